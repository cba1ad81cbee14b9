"""Whose connection is this? Asked of the kernel, once per connection, before anything else.

Loopback is open to every user of the machine, and a credential that another user has got hold of must be worth
nothing. The owner of the other end of a TCP connection is looked up with an exact
`SOCK_DIAG_BY_FAMILY` request (sock_diag(7)): one message there, one back, whatever else is open.
"""

import errno
import os
import socket
import struct
import sys
from typing import Final, NamedTuple

from hfproxy.errors import StartError

Address = tuple[str, int]

SO_PEERPIDFD: Final = 77  # asm-generic/socket.h; the socket module does not name it
NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLM_F_REQUEST: Final = 1
NLMSG_ERROR: Final = 2
TCPF_ESTABLISHED: Final = 1 << 1
INET_DIAG_NOCOOKIE: Final = b"\xff" * 8

# struct nlmsghdr, then struct inet_diag_req_v2 with its inet_diag_sockid (linux/inet_diag.h).
HEADER: Final = struct.Struct("=IHHII")
REQUEST: Final = struct.Struct("=BBBxI")
# struct inet_diag_msg: family, state, timer, retrans, sockid (48 bytes), expires, rqueue, wqueue, uid, inode.
ANSWER: Final = struct.Struct("=BBBB48sIIIII")


class Peer(NamedTuple):
    """The far end of a connection: whose it is, and the number of its socket."""

    uid: int
    inode: int


def tcp_peer(local: Address, remote: Address) -> Peer | None:
    """Who is at the far end of a loopback TCP connection of ours; None if that cannot be said.

    `local` and `remote` are this end and the far end, as `getsockname` and `getpeername` give them. A
    socket that is closing belongs to nobody any more (the kernel then says uid 0, inode 0).
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(2)
            netlink.sendto(_request(remote, local), (0, 0))
            return _peer(netlink.recv(4096), remote, local)
    except OSError:
        return None


def _request(source: Address, destination: Address) -> bytes:
    body = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, TCPF_ESTABLISHED) + _socket_id(source, destination)
    return HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0) + body


def _socket_id(source: Address, destination: Address) -> bytes:
    ports = struct.pack("!HH", source[1], destination[1])
    addresses = b"".join(socket.inet_aton(host).ljust(16, b"\0") for host in (source[0], destination[0]))
    return ports + addresses + struct.pack("=I", 0) + INET_DIAG_NOCOOKIE


def _peer(answer: bytes, source: Address, destination: Address) -> Peer | None:
    _, kind, *_ = HEADER.unpack_from(answer)
    if kind != SOCK_DIAG_BY_FAMILY:
        return None
    *_, sockid, _expires, _rqueue, _wqueue, uid, inode = ANSWER.unpack_from(answer, HEADER.size)
    # The kernel may answer with a listener that would match; only this very connection counts.
    if sockid[:36] != _socket_id(source, destination)[:36] or inode == 0:
        return None
    return Peer(uid, inode)


def is_local(host: str) -> bool:
    """Whether an address is one of this machine's, so that what comes from it is from a program of this machine.

    The kernel drops packets that claim such an address and come from outside. Only a local address can be bound; where
    that is set otherwise (`ip_nonlocal_bind`), all are taken for local.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        try:
            any_socket.bind((host, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def unix_peer(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the far end of a Unix socket, as they were when it connected (`SO_PEERCRED`)."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid


def unix_peer_pidfd(connection: socket.socket) -> int:
    """A pidfd of the far end of a Unix socket, taken when it connected (`SO_PEERPIDFD`, Linux 6.5).

    An older kernel has only the number, which may have been given out again meanwhile.

    Raises:
        OSError: the process has ended.
    """
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        return os.pidfd_open(unix_peer(connection)[0])


def check_platform() -> None:
    """Raises StartError where peers cannot be looked up: without it every user could use the port."""
    if not sys.platform.startswith("linux"):
        raise StartError("peer look-up is built for Linux only so far; on other systems hf-proxy does not start")
