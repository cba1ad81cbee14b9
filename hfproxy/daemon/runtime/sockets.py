"""Sockets and the service manager: what was passed, what is opened here, and saying that we are ready.

sd_listen_fds(3) and sd_notify(3) are two environment variables and a datagram each; no library needed.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from hfproxy.errors import StartError

# How many may wait while one daemon has gone and the next is not there yet (as systemd has it; the kernel may cut it).
BACKLOG: Final = 4096
TCP_LISTEN: Final = "0A"


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
