"""The listener for containers: the address of a bridge, such as docker0's, and nothing wider (threats T19).

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

from hfproxy.daemon.entrance import Entrance
from hfproxy.daemon.service import BACKLOG
from hfproxy.errors import StartError

log = structlog.get_logger()
LOOK_SECONDS: Final = 1
SIOCGIFCONF: Final = 0x8912  # netdevice(7): struct ifreq is a name of 16 bytes and, in 24 more, a struct sockaddr_in
IFREQ_BYTES: Final = 40
MOST: Final = 1024
INTERFACES: Final = Path("/sys/class/net")
ELSE: Final = "name the address of docker0 or the like: listen.bridge in config.toml"


class Bridge:
    """The entrance for containers, open as long as its bridge is there: engines make one and take it away."""

    def __init__(self, host: str, port: int, enter: Callable[[socket.socket], Entrance]) -> None:
        """`enter` makes an entrance of a listening socket."""
        self._host, self._port, self._enter = host, port, enter
        self._entrance: Entrance | None = None
        self._index = 0
        self._leaving = False

    async def open(self) -> None:
        """Look whether the bridge is there, and open or close.

        Raises:
            StartError: what has the address is no bridge of containers, or the port is taken.
        """
        interface = _interface(self._host)
        index = 0 if interface is None else socket.if_nametoindex(interface)
        if index != self._index:  # another one under the old name is not what the socket was bound to
            await self.close(0)
        if interface is None:
            return
        try:
            _check(interface, self._host)
        except StartError:
            await self.close(0)
            raise
        if self._entrance is None:
            self._entrance = self._enter(_listen(self._host, self._port, interface))
            self._index = index
            await self._entrance.open()

    async def keep(self) -> None:
        """Look every second, for as long as the daemon runs."""
        said = ""
        while not self._leaving:
            try:
                await self.open()
                why = ""
            except (StartError, OSError) as error:  # an interface may go while it is looked at
                why = str(error)
            if why not in {"", said}:
                log.warning("bridge_closed", reason=why)
            said = why
            await asyncio.sleep(LOOK_SECONDS)

    def refuse_new(self) -> None:
        """As an Entrance."""
        self._leaving = True
        if self._entrance is not None:
            self._entrance.refuse_new()

    async def settle(self) -> None:
        """As an Entrance."""
        if self._entrance is not None:
            await self._entrance.settle()

    async def close(self, seconds: float) -> None:
        """As an Entrance, but that it may be opened again."""
        entrance, self._entrance, self._index = self._entrance, None, 0
        if entrance is not None:
            await entrance.close(seconds)


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


def _check(interface: str, host: str) -> None:
    if not (INTERFACES / interface / "bridge").is_dir():
        raise StartError(f"listen.bridge {host} is of {interface}, which is no bridge: others could get in; {ELSE}")
    for member in sorted((INTERFACES / interface / "brif").iterdir()):
        place = INTERFACES / member.name
        # What is made for a container (veth, tap) is of no kind and lies on nothing; cards, VLANs, tunnels do.
        kinds = "DEVTYPE=" in (place / "uevent").read_text("ascii")
        if kinds or (place / "device").exists() or any(place.glob("lower_*")):
            raise StartError(f"{interface} of listen.bridge leads out of this machine by {member.name}; {ELSE}")
