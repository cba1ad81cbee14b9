"""Removes tokens from a file atomically: after a crash there is either the old file or the new one.

1. The file is read and searched again, since the scan's result may be a minute old.
2. The new content is written to a temporary file beside it, with its mode, owner and extended attributes, and synced.
3. If the file has not changed since it was read, the temporary file is renamed over it. A hard-linked file is replaced
   under all of its names, which must all be known.

A crash leaves at most the temporary file, under a name derived from the file's; the next run removes it first.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hfproxy import atomic_file
from hfproxy.detect import find
from hfproxy.detect.kinds import LocationKind
from hfproxy.scan import redact
from hfproxy.secret import Secret

# The old and the new content are in memory at the same time.
MAX_BYTES: Final = 256 * 1024 * 1024
READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ManualEditError(Exception):
    """A file that must be edited by hand; the message is the reason."""


def redact_file(names: Sequence[str], kind: LocationKind, is_stored: Callable[[Secret], bool]) -> None:
    """Remove the tokens for which `is_stored` is true from a file.

    Args:
        names: the known names (hard links) of the file, as real paths.
        kind: the kind of the file.
        is_stored: whether a token is safe in the vault, so that it may be removed.

    Raises:
        ManualEditError: the file cannot be changed, and was not.
    """
    try:
        before, data = _read(names[0])
        new = redact.remove_tokens(data, find.find_tokens(data, names[0], kind), kind, is_stored)
        if new != data:
            _check(before, len(names))
            _replace(names, before, new)
    except FileNotFoundError:
        return  # the file is gone, and its tokens with it
    except OSError as error:
        raise ManualEditError(error.strerror or "it cannot be changed") from None


def _read(path: str) -> tuple[os.stat_result, bytes]:
    fd = os.open(path, READ_FLAGS)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ManualEditError("it is no longer a regular file")
        if status.st_size > MAX_BYTES:
            raise ManualEditError("it is too large to be edited in memory")
        data = file.read()
    if find.is_binary(data):
        raise ManualEditError("it is binary")
    return status, data


def _check(status: os.stat_result, names: int) -> None:
    if status.st_uid != os.geteuid():
        raise ManualEditError(f"it belongs to uid {status.st_uid}")
    if not status.st_mode & stat.S_IWUSR:
        raise ManualEditError("it is read-only")
    if status.st_nlink != names:
        raise ManualEditError(f"it has {status.st_nlink} names, and not all of them were scanned")


def _replace(names: Sequence[str], before: os.stat_result, new: bytes) -> None:
    with _temporary_name(names[0]) as temporary:
        _write(temporary, names[0], before, new)
        for name in names:
            if _identity(os.lstat(name)) != _identity(before):
                raise ManualEditError("it was changed in the meantime; run the command again")
        for name in names[1:]:
            with _temporary_name(name) as other:
                os.link(temporary, other)
                os.rename(other, name)
                atomic_file.sync_directory(Path(name).parent)
        os.rename(temporary, names[0])
        atomic_file.sync_directory(Path(names[0]).parent)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """Return the fields of a file's status that change when the file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


@contextmanager
def _temporary_name(path: str) -> Iterator[str]:
    """Yield an unused name in the same directory; on an error the file of that name is removed."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".hf-proxy-scan-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}")
    _unlink(temporary)  # left by a run that was killed
    try:
        yield temporary
    except BaseException:
        _unlink(temporary)
        raise


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _write(path: str, original: str, before: os.stat_result, data: bytes) -> None:
    fd = os.open(path, WRITE_FLAGS, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        status = os.fstat(fd)
        if (status.st_uid, status.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(fd, before.st_uid, before.st_gid)
        _copy_attributes(original, fd)
        os.fchmod(fd, stat.S_IMODE(before.st_mode))
        os.fsync(fd)


def _copy_attributes(path: str, fd: int) -> None:
    """Copy access lists, labels and user attributes (xattr(7)); on Linux only, and if the file system has them."""
    if not hasattr(os, "listxattr"):
        return
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return
    for name in names:
        value = os.getxattr(path, name, follow_symlinks=False)
        if name not in os.listxattr(fd) or os.getxattr(fd, name) != value:
            os.setxattr(fd, name, value)
