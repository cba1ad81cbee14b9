"""Small files that have to be whole and on disk before anybody is told so."""

import os
import secrets
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Put a file there, for nobody else to read: after a crash there is the old one or the new one.

    Raises:
        OSError: it could not be written; the old one is as it was.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        beside.rename(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Take a file away; raises as `write`."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Bring a directory to disk: a name is there when its directory is. Raises as `write`."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
