"""Takes tokens out of a file so that whatever happens, there is the old file or the new one.

1. The file is read anew and searched anew: what the scan saw may be a minute old.
2. Its new content is written beside it, with its mode, owner and extended attributes, and brought to disk.
3. If the file is still the one that was read, the new one is renamed into its place. A hard-linked file is replaced
   under all of its names, which have to be known.

A crash leaves at most the one beside it, under a name that follows from the file's; the next run begins by removing it.
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

# All of it is held in memory, twice.
MOST_BYTES: Final = 256 * 1024 * 1024
FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ManualEditError(Exception):
    """This file is not to be changed by a program; says why."""


def redact_file(names: Sequence[str], kind: LocationKind, is_stored: Callable[[Secret], bool]) -> None:
    """Take the tokens that are `gone` out of a file; `names` are those of its names that are known, real paths all.

    Raises:
        ByHandError: it cannot be done, and nothing was changed.
    """
    try:
        before, data = _read(names[0])
        new = redact.remove_tokens(data, find.find_tokens(data, names[0], kind), kind, is_stored)
        if new != data:
            _check(before, len(names))
            _replace(names, before, new)
    except FileNotFoundError:
        return  # and its tokens with it
    except OSError as error:
        raise ManualEditError(error.strerror or "it cannot be changed") from None


def _read(path: str) -> tuple[os.stat_result, bytes]:
    fd = os.open(path, FLAGS)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ManualEditError("it is not a file any more")
        if status.st_size > MOST_BYTES:
            raise ManualEditError("it is too large to be changed in one piece")
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
    with _beside(names[0]) as fresh:
        _write(fresh, names[0], before, new)
        for name in names:
            if _identity(os.lstat(name)) != _identity(before):
                raise ManualEditError("it was changed meanwhile; run it again")
        for name in names[1:]:
            with _beside(name) as other:
                os.link(fresh, other)
                os.rename(other, name)
                atomic_file.sync_directory(Path(name).parent)
        os.rename(fresh, names[0])
        atomic_file.sync_directory(Path(names[0]).parent)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


@contextmanager
def _beside(path: str) -> Iterator[str]:
    """A name in the same directory, which nothing has, and nothing keeps if it goes wrong."""
    folder, name = os.path.split(path)
    fresh = os.path.join(folder, f".hf-proxy-scan-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}")
    _unlink(fresh)  # of a run that was killed
    try:
        yield fresh
    except BaseException:
        _unlink(fresh)
        raise


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _write(path: str, original: str, before: os.stat_result, data: bytes) -> None:
    fd = os.open(path, WRITE, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        made = os.fstat(fd)
        if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(fd, before.st_uid, before.st_gid)
        _copy_attributes(original, fd)
        os.fchmod(fd, stat.S_IMODE(before.st_mode))
        os.fsync(fd)


def _copy_attributes(path: str, fd: int) -> None:
    """Access lists, labels and what users have put there (xattr(7)); Linux only, as the file system has them."""
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
