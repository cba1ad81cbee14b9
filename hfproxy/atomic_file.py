"""Small files that are replaced atomically and are on disk before the call returns."""

import os
import secrets
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Replace a file with mode 0600; after a crash either the old content or the new one is there.

    Raises:
        OSError: the file could not be written; the old one is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file if it exists, and sync its directory.

    Raises:
        OSError: the file could not be removed, or the directory not synced.
    """
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Sync a directory: a created, renamed or removed name is durable once its directory is.

    Raises:
        OSError: the directory could not be opened or synced.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
