"""The daemon's state and runtime directories: created or checked, private, and used by one daemon at a time."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from hfproxy import paths
from hfproxy.errors import StartError


def private_directory(path: Path) -> Path:
    """Create a directory that only the daemon's user can enter, or check that an existing one is; returns it.

    Raises:
        StartError: it is another user's, open to others, a symbolic link or no directory; nothing is put into it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise StartError(
            f"{path} cannot be made ({error.strerror}); set HFPROXY_STATE_DIR and HFPROXY_RUNTIME_DIR"
        ) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StartError(
            f"{path} is not a directory of yours (uid {status.st_uid}); remove it, or choose another place with"
            " HFPROXY_STATE_DIR and HFPROXY_RUNTIME_DIR"
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise StartError(f"{path} is open to other users; run: chmod 700 {path}")
    return path


def runtime_directory(path: Path) -> tuple[Path, int | None]:
    """Create or check the directory of the control socket.

    Returns it with the group that may enter it: of the dedicated user's directory, which root has created
    (`paths.DEDICATED_DIR`); None: only the daemon's user may enter.

    Raises:
        StartError: it is another user's, or open in any other way.
    """
    if str(path) == paths.DEDICATED_DIR:
        with suppress(FileNotFoundError):
            status = path.lstat()
            if stat.S_IMODE(status.st_mode) == paths.GROUP_DIR_MODE and status.st_uid == os.getuid():
                return path, status.st_gid
    return private_directory(path), None


def lock_state_dir(state: Path) -> int:
    """Lock the state directory for the life of this process (flock(2)); returns the descriptor of the lock.

    Raises:
        StartError: the directory cannot be written, another daemon has it locked (the message names its pid), or its
            file system has no locks.
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
    except OSError as error:  # a home directory on a file server without a lock daemon
        os.close(lock)
        raise StartError(
            f"{state} is on a file system where no file can be locked ({error.strerror}), which is what keeps a second"
            " daemon away; set HFPROXY_STATE_DIR to a directory on a local disk"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock
