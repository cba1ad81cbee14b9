"""Sockets and the service manager: what was passed, what is opened here, and saying that we are ready.

sd_listen_fds(3) and sd_notify(3) are two environment variables and a datagram each; no library needed.
"""

import contextlib
import fcntl
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from hfproxy import paths
from hfproxy.errors import StartError

FIRST_PASSED: Final = 3
# How many may wait while one daemon has gone and the next is not there yet (as systemd has it; the kernel may cut it).
BACKLOG: Final = 4096
TCP_LISTEN: Final = "0A"


def sd_notify(state: str) -> None:
    """Tell the service manager, if there is one: `READY=1`, `STOPPING=1`, `WATCHDOG=1`.

    Nobody there is no failure: a shell may have inherited the address of a manager that is not ours.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager,
    ):
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.sendall(state.encode())


def inherited_sockets() -> dict[str, socket.socket]:
    """The sockets that the service manager opened for us, by their names (`LISTEN_FDNAMES`).

    Raises:
        StartError: they are not the two this program knows, `data` and `control`.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    if not count:
        return {}
    if len(names) != count or not set(names) <= {"data", "control"} or len(set(names)) != count:
        raise StartError(
            "LISTEN_FDNAMES must name the passed sockets 'data' and 'control'; run: hf-proxy service install"
        )
    passed = {name: socket.socket(fileno=FIRST_PASSED + index) for index, name in enumerate(names)}
    for one in passed.values():
        os.set_inheritable(one.fileno(), False)
    return passed


def data_socket(passed: socket.socket | None, wanted: tuple[str, int], remembered: Path) -> socket.socket:
    """The listening socket of the data plane. Port 0: any free one, kept in `remembered` and tried first.

    Raises:
        StartError: the port is taken, or a passed socket contradicts the config.
    """
    if passed is not None:
        return _check_inherited(passed, wanted)
    host, port = wanted
    if port:
        return _listen(host, port)
    try:
        found = _listen(host, int(remembered.read_text("ascii")))
    except (OSError, ValueError, StartError):
        found = _listen(host, 0)
        with suppress(OSError):  # then it is another one the next time
            remembered.write_text(str(found.getsockname()[1]), "ascii")
    return found


def _check_inherited(passed: socket.socket, wanted: tuple[str, int]) -> socket.socket:
    given = passed.getsockname()
    if passed.family != socket.AF_INET or given[0] != "127.0.0.1":
        raise StartError(f"the passed data socket listens on {given}, not on 127.0.0.1; fix ListenStream=")
    if wanted[1] and wanted != given:
        raise StartError(
            f"the passed data socket listens on {given[0]}:{given[1]}, but listen.address in config.toml is"
            f" {wanted[0]}:{wanted[1]}; make them equal, or run: hf-proxy service install"
        )
    return passed


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError):  # a remembered port may be any number
        listener.close()
        raise StartError(
            f"{host}:{port} is held by {_port_owner(port)}; stop it, or set listen.address in config.toml"
        ) from None
    return listener


def _port_owner(port: int) -> str:
    """Who listens on a port, from /proc/net/tcp (proc(5): the local address and port in hexadecimal)."""
    try:
        rows = [row.split() for row in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    except OSError:
        return "another program"
    uids = [row[7] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == TCP_LISTEN]
    return f"a program of uid {uids[0]}" if uids else "another program"


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


def control_socket(passed: socket.socket | None, path: Path, group: int | None = None) -> socket.socket:
    """The listening socket of the control plane, for us, or for a group as well.

    Raises:
        StartError: another daemon answers there, or nothing can be made there.
    """
    if passed is not None:
        return passed
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if _is_served(probe, path):
            raise StartError(f"another daemon answers at {path}; see: hf-proxy status")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(0o600 if group is None else 0o660)
        listener.listen(BACKLOG)
    except OSError as error:  # without an errno where the path is longer than a socket's may be (108 bytes, unix(7))
        listener.close()
        raise StartError(f"{path} cannot be made ({error.strerror or error}); set HFPROXY_RUNTIME_DIR") from None
    return listener


def _is_served(probe: socket.socket, path: Path) -> bool:
    try:
        probe.connect(str(path))
    except OSError:
        return False
    return True


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
