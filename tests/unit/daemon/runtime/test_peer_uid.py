"""Whose connection it is, asked of the real kernel with real users."""

import os
import socket
import subprocess
import sys

import pytest

from hfproxy.daemon.runtime import peer_uid

OTHER = 65534


def connected(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(listener.getsockname())
    return client, listener.accept()[0]


@pytest.fixture
def listener() -> "socket.socket":
    listener = socket.create_server(("127.0.0.1", 0))
    yield listener
    listener.close()


def test_our_own_connection_is_ours(listener: socket.socket) -> None:
    client, served = connected(listener)
    found = peer_uid.tcp_peer(served.getsockname(), served.getpeername())
    assert found == (os.getuid(), os.fstat(client.fileno()).st_ino)
    client.close()
    served.close()


def test_the_connection_of_another_user_is_theirs(listener: socket.socket) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    port = listener.getsockname()[1]
    code = f"import os,socket,sys; os.setuid({OTHER}); s=socket.socket(); s.connect(('127.0.0.1',{port})); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE)
    served, _ = listener.accept()
    found = peer_uid.tcp_peer(served.getsockname(), served.getpeername())
    assert found is not None
    assert found.uid == OTHER
    assert other.stdin is not None
    other.stdin.close()
    assert other.wait(10) == 0
    served.close()


def test_a_connection_that_was_closed_belongs_to_nobody(listener: socket.socket) -> None:
    client, served = connected(listener)
    client.close()
    assert peer_uid.tcp_peer(served.getsockname(), served.getpeername()) is None
    served.close()


def test_a_connection_that_never_was_belongs_to_nobody() -> None:
    assert peer_uid.tcp_peer(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


def test_the_far_end_is_looked_up_and_not_our_own(listener: socket.socket) -> None:
    """Asked the other way round, the kernel would always answer with us."""
    client, served = connected(listener)
    assert peer_uid.tcp_peer(client.getsockname(), ("127.0.0.1", 9)) is None
    client.close()
    served.close()


def test_the_peer_of_a_unix_socket_is_known_by_process_and_user() -> None:
    ours, theirs = socket.socketpair()
    assert peer_uid.unix_peer(ours) == (os.getpid(), os.getuid())
    ours.close()
    theirs.close()
