"""The listener for containers, on the address of a bridge such as docker0 (docs/threat-model.md#t19).

Linux accepts a packet for any of its addresses on any interface, so a private address alone keeps no neighbour on the
network out. Therefore the socket is bound to the bridge itself (SO_BINDTODEVICE, socket(7)), and the bridge may have no
member that leads out of the machine. Programs of the machine can still connect; they are recognised by their address
(`peer_uid.is_local`) and not served.
"""

import array
import asyncio
import fcntl
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from hfproxy.daemon.listen.listener import HttpListener
from hfproxy.daemon.runtime.sockets import BACKLOG
from hfproxy.errors import StartError

log = structlog.get_logger()
CHECK_SECONDS: Final = 1
# netdevice(7): lists addresses as struct ifreq, which is a name of 16 bytes and, in 24 more, a struct sockaddr_in.
SIOCGIFCONF: Final = 0x8912
IFREQ_BYTES: Final = 40
MAX_ADDRESSES: Final = 1024
INTERFACES: Final = Path("/sys/class/net")
ADVICE: Final = "name the address of docker0 or the like: listen.bridge in config.toml"


class ContainerListener:
    """A listener that is open while its bridge exists: container engines create and remove bridges at any time."""

    def __init__(self, host: str, port: int, make_listener: Callable[[socket.socket], HttpListener]) -> None:
        """Listen on an address; `make_listener` is given the bound socket each time the bridge appears."""
        self._host, self._port, self._make_listener = host, port, make_listener
        self._active: HttpListener | None = None
        self._index = 0
        self._draining = False

    async def start(self) -> None:
        """Open the listener if the bridge exists, and close it if the bridge is gone.

        Raises:
            StartError: The interface with the address is no closed bridge, or the port is taken.
        """
        interface = _interface(self._host)
        index = 0 if interface is None else socket.if_nametoindex(interface)
        if index != self._index:  # a new interface of the same name is not the one that the socket is bound to
            await self.drain(0)
        if interface is None:
            return
        try:
            _check_is_closed_bridge(interface, self._host)
        except StartError:
            await self.drain(0)
            raise
        if self._active is None:
            self._active = self._make_listener(_listen(self._host, self._port, interface))
            self._index = index
            await self._active.start()

    async def watch_interface(self) -> None:
        """Call `start` every `CHECK_SECONDS` until `stop_accepting`; log why the listener is closed, once a reason."""
        logged = ""
        while not self._draining:
            try:
                await self.start()
                why = ""
            except (StartError, OSError) as error:  # OSError: the interface was removed while it was inspected
                why = str(error)
            if why not in {"", logged}:
                log.warning("bridge_closed", reason=why)
            logged = why
            await asyncio.sleep(CHECK_SECONDS)

    def stop_accepting(self) -> None:
        """Close the listening socket, if it is open, and stop watching; accepted connections stay open."""
        self._draining = True
        if self._active is not None:
            self._active.stop_accepting()

    async def serve_accepted(self) -> None:
        """Wait until the connections that were accepted last have sent their first request, for about a second."""
        if self._active is not None:
            await self._active.serve_accepted()

    async def drain(self, timeout_s: float) -> None:
        """Close the listener and its connections, as `HttpListener.drain`; `start` may open it again."""
        listener, self._active, self._index = self._active, None, 0
        if listener is not None:
            await listener.drain(timeout_s)


def _listen(host: str, port: int, interface: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartError(f"{host}:{port} cannot be used ({error.strerror}); set listen.bridge in config.toml") from None
    return listener


def _interface(host: str) -> str | None:
    """Return the name of the interface that has an IPv4 address; None if none has."""
    buffer = array.array("B", bytes(MAX_ADDRESSES * IFREQ_BYTES))
    address, size = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        ifconf = fcntl.ioctl(any_socket, SIOCGIFCONF, struct.pack("iP", size, address))
    (filled, _) = struct.unpack("iP", ifconf)
    packed_host = socket.inet_aton(host)
    for offset in range(0, filled, IFREQ_BYTES):
        name, packed = bytes(buffer[offset : offset + 16]), bytes(buffer[offset + 20 : offset + 24])
        if packed == packed_host:  # a label, as in `eth0:1`, is no part of the interface's name
            return name.partition(b"\0")[0].decode().partition(":")[0]
    return None


def _check_is_closed_bridge(interface: str, host: str) -> None:
    if not (INTERFACES / interface / "bridge").is_dir():
        raise StartError(f"listen.bridge {host} is of {interface}, which is no bridge: others could get in; {ADVICE}")
    for member in sorted((INTERFACES / interface / "brif").iterdir()):
        path = INTERFACES / member.name
        # A veth or tap of a container has no DEVTYPE, no device and no lower interface; network cards, VLANs and
        # tunnels have one of them.
        has_type = "DEVTYPE=" in (path / "uevent").read_text("ascii")
        if has_type or (path / "device").exists() or any(path.glob("lower_*")):
            raise StartError(f"{interface} of listen.bridge leads out of this machine by {member.name}; {ADVICE}")
