"""The state and runtime directories of the daemon."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from hfproxy import paths
from hfproxy.errors import StartError


def private_directory(path: Path) -> Path:
    """Make a directory that only we can enter, or check that it is one.

    Raises:
        StartError: it is somebody else's, open to others, or not a directory; nothing is put into it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise StartError(
            f"{path} cannot be made ({error.strerror}); set HFPROXY_STATE_DIR and HFPROXY_RUNTIME_DIR"
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StartError(
            f"{path} is not a directory of yours (uid {found.st_uid}); remove it, or choose another place with"
            " HFPROXY_STATE_DIR and HFPROXY_RUNTIME_DIR"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StartError(f"{path} is open to other users; run: chmod 700 {path}")
    return path


def runtime_directory(path: Path) -> tuple[Path, int | None]:
    """Make or check the directory of the control socket, and find whose it is: the group that may enter it, if this is
    the dedicated user's, which root has made (`paths.DEDICATED_DIR`); None: only we.

    Raises:
        StartError: it is somebody else's, or open in another way.
    """
    if str(path) == paths.DEDICATED_DIR:
        with suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_IMODE(found.st_mode) == paths.GROUP_DIR_MODE and found.st_uid == os.getuid():
                return path, found.st_gid
    return private_directory(path), None


def lock_state_dir(state: Path) -> int:
    """Hold the state directory for this daemon as long as it lives; returns the lock's descriptor.

    Raises:
        StartError: it cannot be written, or another daemon holds it; names its pid.
    """
    try:
        lock = os.open(state / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartError(
            f"{state} cannot be written: {error.strerror}; make it writable, or set HFPROXY_STATE_DIR"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise StartError(f"a daemon runs already (pid {pid}); see: hf-proxy status") from None
    except OSError as error:  # a home on a file server without a lock daemon
        os.close(lock)
        raise StartError(
            f"{state} is on a file system where no file can be locked ({error.strerror}), which is what keeps a second"
            " daemon away; set HFPROXY_STATE_DIR to a directory on a local disk"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock
