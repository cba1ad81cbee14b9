"""The listener for containers: the address of a bridge, such as docker0's, and nothing wider (threats T19).

Linux answers on any of its addresses whichever network card a packet came in by, so a private address alone keeps no
neighbour of the machine out. Therefore the socket is bound to the bridge itself, which may have nothing in it that
leads out of the machine. Programs of the machine itself still get in, and are told by their address (`peers.is_local`).
"""

import array
import fcntl
import socket
import struct
from pathlib import Path
from typing import Final

from hfproxy.daemon.service import BACKLOG
from hfproxy.errors import StartError

SIOCGIFCONF: Final = 0x8912  # netdevice(7): struct ifreq is a name of 16 bytes and, in 24 more, a struct sockaddr_in
IFREQ_BYTES: Final = 40
MOST: Final = 1024
INTERFACES: Final = Path("/sys/class/net")
ELSE: Final = "name the address of docker0 or the like: listen.bridge in config.toml"


def bridge_socket(host: str, port: int) -> socket.socket:
    """Listen on a bridge.

    Raises:
        StartError: the address is none of this machine, not a bridge's, or taken.
    """
    interface = _interface(host)
    if interface is None:
        raise StartError(f"listen.bridge {host} is no address of this machine (is docker running?); see: ip -4 address")
    _check(interface, host)
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
