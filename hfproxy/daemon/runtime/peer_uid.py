"""The user and process at the far end of a local connection, as the kernel knows them.

Every user of the machine can connect to a loopback port, and a credential that another user got hold of must be worth
nothing. So the owner of the far end of a TCP connection is looked up once per connection, before anything is read from
it, with a `SOCK_DIAG_BY_FAMILY` request for exactly this connection (sock_diag(7)): one message there and one back,
however many sockets are open. The far end of a Unix socket is known from its options (unix(7)).
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
    """The far end of a connection: the uid of its owner, and the inode number of its socket."""

    uid: int
    inode: int


def tcp_peer(local: Address, remote: Address) -> Peer | None:
    """Return the peer at the far end of a loopback TCP connection; None if the kernel does not name it.

    A socket that is closing has no owner (the kernel then says uid 0, inode 0), and so no peer is returned for it.

    Args:
        local: This end, as `getsockname` returns it.
        remote: The far end, as `getpeername` returns it.
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
    """Return whether an address is one of this machine's, so that connections from it are of its own programs.

    The kernel drops packets from outside with such a source address. Only a local address can be bound (bind(2)); with
    `ip_nonlocal_bind` (ip(7)) every address can, and is taken for local.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        try:
            any_socket.bind((host, 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True


def unix_peer(connection: socket.socket) -> tuple[int, int]:
    """Return the pid and uid of the far end of a Unix socket when it connected (`SO_PEERCRED`, unix(7))."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid


def unix_peer_pidfd(connection: socket.socket) -> int:
    """Return a pidfd on the process that connected a Unix socket (`SO_PEERPIDFD`, Linux 6.5); the caller closes it.

    An older kernel has only the process's number, which may be another's by now.

    Raises:
        OSError: the process has exited.
    """
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        return os.pidfd_open(unix_peer(connection)[0])


def check_platform() -> None:
    """Refuse a platform on which peers cannot be looked up: every user of the machine could use the port.

    Raises:
        StartError: this is not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise StartError("peer look-up is built for Linux only so far; on other systems hf-proxy does not start")
