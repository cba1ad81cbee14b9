"""The listener for containers: the address of a bridge, such as docker0's, and nothing wider
(docs/threat-model.md#t19).

Linux answers on any of its addresses whichever network card a packet came in by, so a private address alone keeps no
neighbour of the machine out. Therefore the socket is bound to the bridge itself, which may have nothing in it that
leads out of the machine. Programs of the machine itself still get in, and are told by their address (`peers.is_local`).
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
SIOCGIFCONF: Final = 0x8912  # netdevice(7): struct ifreq is a name of 16 bytes and, in 24 more, a struct sockaddr_in
IFREQ_BYTES: Final = 40
MOST: Final = 1024
INTERFACES: Final = Path("/sys/class/net")
ADVICE: Final = "name the address of docker0 or the like: listen.bridge in config.toml"


class ContainerListener:
    """The entrance for containers, open as long as its bridge is there: engines make one and take it away."""

    def __init__(self, host: str, port: int, make_listener: Callable[[socket.socket], HttpListener]) -> None:
        """`enter` makes an entrance of a listening socket."""
        self._host, self._port, self._enter = host, port, make_listener
        self._active: HttpListener | None = None
        self._index = 0
        self._draining = False

    async def start(self) -> None:
        """Look whether the bridge is there, and open or close.

        Raises:
            StartError: what has the address is no bridge of containers, or the port is taken.
        """
        interface = _interface(self._host)
        index = 0 if interface is None else socket.if_nametoindex(interface)
        if index != self._index:  # another one under the old name is not what the socket was bound to
            await self.drain(0)
        if interface is None:
            return
        try:
            _check_is_closed_bridge(interface, self._host)
        except StartError:
            await self.drain(0)
            raise
        if self._active is None:
            self._active = self._enter(_listen(self._host, self._port, interface))
            self._index = index
            await self._active.start()

    async def watch_interface(self) -> None:
        """Look every second, for as long as the daemon runs."""
        said = ""
        while not self._draining:
            try:
                await self.start()
                why = ""
            except (StartError, OSError) as error:  # an interface may go while it is looked at
                why = str(error)
            if why not in {"", said}:
                log.warning("bridge_closed", reason=why)
            said = why
            await asyncio.sleep(CHECK_SECONDS)

    def stop_accepting(self) -> None:
        """As an Entrance."""
        self._draining = True
        if self._active is not None:
            self._active.stop_accepting()

    async def serve_accepted(self) -> None:
        """As an Entrance."""
        if self._active is not None:
            await self._active.serve_accepted()

    async def drain(self, seconds: float) -> None:
        """As an Entrance, but that it may be opened again."""
        entrance, self._active, self._index = self._active, None, 0
        if entrance is not None:
            await entrance.drain(seconds)


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
    """The interface that has an address; None: there is none."""
    buffer = array.array("B", bytes(MOST * IFREQ_BYTES))
    address, size = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFCONF, struct.pack("iP", size, address))
    (filled, _) = struct.unpack("iP", answer)
    wanted = socket.inet_aton(host)
    for place in range(0, filled, IFREQ_BYTES):
        name, found = bytes(buffer[place : place + 16]), bytes(buffer[place + 20 : place + 24])
        if found == wanted:  # an address may have a name of its own behind a colon
            return name.partition(b"\0")[0].decode().partition(":")[0]
    return None


def _check_is_closed_bridge(interface: str, host: str) -> None:
    if not (INTERFACES / interface / "bridge").is_dir():
        raise StartError(f"listen.bridge {host} is of {interface}, which is no bridge: others could get in; {ADVICE}")
    for member in sorted((INTERFACES / interface / "brif").iterdir()):
        place = INTERFACES / member.name
        # What is made for a container (veth, tap) is of no kind and lies on nothing; cards, VLANs, tunnels do.
        kinds = "DEVTYPE=" in (place / "uevent").read_text("ascii")
        if kinds or (place / "device").exists() or any(place.glob("lower_*")):
            raise StartError(f"{interface} of listen.bridge leads out of this machine by {member.name}; {ADVICE}")
