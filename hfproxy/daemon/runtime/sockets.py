"""The daemon's two listening sockets: the loopback TCP port of the proxy, and the Unix socket of the control server.

Each is inherited from the service manager (`systemd.inherited_sockets`) or opened here.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from hfproxy.daemon.runtime.procfs import tcp_listeners
from hfproxy.errors import StartError

# How many connections may wait to be accepted, for instance while the daemon restarts behind an inherited socket. The
# kernel caps it at net.core.somaxconn, which is 4096 since Linux 5.4 (listen(2)).
BACKLOG: Final = 4096
# The state of a listening socket in /proc/net/tcp (TCP_LISTEN, include/net/tcp_states.h), in hexadecimal.


def data_socket(inherited: socket.socket | None, configured: tuple[str, int], port_file: Path) -> socket.socket:
    """Return the listening socket of the proxy.

    Args:
        inherited: The socket that the service manager passed; None: none.
        configured: Host and port of `listen.address`. Port 0: any free port.
        port_file: Where a free port that was chosen is written, to be tried first the next time.

    Raises:
        StartError: the port is taken, or the inherited socket contradicts the configuration.
    """
    if inherited is not None:
        return _check_inherited(inherited, configured)
    host, port = configured
    if port:
        return _listen(host, port)
    try:
        listener = _listen(host, int(port_file.read_text("ascii")))
    except (OSError, ValueError, StartError):
        listener = _listen(host, 0)
        with suppress(OSError):  # then the next start chooses another port
            port_file.write_text(str(listener.getsockname()[1]), "ascii")
    return listener


def _check_inherited(inherited: socket.socket, configured: tuple[str, int]) -> socket.socket:
    actual = inherited.getsockname()
    if inherited.family != socket.AF_INET or actual[0] != "127.0.0.1":
        raise StartError(f"the passed data socket listens on {actual}, not on 127.0.0.1; fix ListenStream=")
    if configured[1] and configured != actual:
        raise StartError(
            f"the passed data socket listens on {actual[0]}:{actual[1]}, but listen.address in config.toml is"
            f" {configured[0]}:{configured[1]}; make them equal, or run: hf-proxy service install"
        )
    return inherited


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError):  # OverflowError: the number in the port file is no port
        listener.close()
        raise StartError(
            f"{host}:{port} is held by {_port_owner(port)}; stop it, or set listen.address in config.toml"
        ) from None
    return listener


def _port_owner(port: int) -> str:
    """Describe the user who listens on a port, for a message."""
    try:
        listeners = tcp_listeners(port)
    except OSError:
        listeners = []
    return f"a program of uid {listeners[0][1]}" if listeners else "another program"


def control_socket(inherited: socket.socket | None, path: Path, group: int | None = None) -> socket.socket:
    """Return the listening socket of the control server.

    Args:
        inherited: The socket that the service manager passed; None: none.
        path: Where to create it otherwise; a socket that is left there from before is replaced.
        group: The group that may connect, too (mode 0660); None: the daemon's own user only (0600).

    Raises:
        StartError: another daemon answers at `path`, or the socket cannot be created.
    """
    if inherited is not None:
        return inherited
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
    except OSError as error:  # without an errno if the path exceeds the 108 bytes of a socket address (unix(7))
        listener.close()
        raise StartError(f"{path} cannot be made ({error.strerror or error}); set HFPROXY_RUNTIME_DIR") from None
    return listener


def _is_served(probe: socket.socket, path: Path) -> bool:
    try:
        probe.connect(str(path))
    except OSError:
        return False
    return True
