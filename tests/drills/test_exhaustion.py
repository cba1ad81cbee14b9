"""When a machine has no more to give: descriptors, a writable directory, patience."""

import os
import resource
import socket
import statistics
import subprocess
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from fakehub import FakeHub
from daemon_fixture import PersistentDaemon
from wire_client import ask, bearer

MODEL = "/api/models/me/secret-model"
MANY = 1000


def opened(endpoint: str, stack: ExitStack, count: int, said: bytes = b"") -> list[socket.socket]:
    place = urlsplit(endpoint)
    found = []
    for _ in range(count):
        found.append(stack.enter_context(socket.create_connection((place.hostname, place.port), timeout=60)))
        found[-1].sendall(said)
    return found


def test_without_descriptors_the_daemon_lives_on_and_serves_again(daemon: PersistentDaemon) -> None:
    minted = daemon.mint()
    assert daemon.process is not None
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (64, 4096))
    with ExitStack() as stack:
        opened(minted["endpoint"], stack, 100)
        assert daemon.process.poll() is None
    deadline = time.monotonic() + 30
    while True:
        try:
            if ask(minted["endpoint"], "GET", MODEL, bearer(minted["credential"]), timeout=5).status == 200:
                break
        except OSError:
            pass
        assert time.monotonic() < deadline
    assert daemon.status()["grants"] == 1


def test_a_thousand_connections_that_say_nothing_do_not_keep_others_waiting(
    daemon: PersistentDaemon, hub: FakeHub
) -> None:
    minted = daemon.mint()

    def taken() -> float:
        start = time.monotonic()
        assert ask(minted["endpoint"], "GET", MODEL, bearer(minted["credential"])).status == 200
        return time.monotonic() - start

    alone = statistics.median(taken() for _ in range(20))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with ExitStack() as stack:
        slow = opened(minted["endpoint"], stack, MANY, b"GET /api/models/me/secret-model HTTP/1.1\r\nX-Slow: ")
        beside = statistics.median(taken() for _ in range(20))
        for connection in slow:
            assert connection.recv(1) == b""  # let go, without having come to the point
    print(f"alone {alone * 1000:.1f} ms, beside {MANY} slow ones {beside * 1000:.1f} ms")
    assert daemon.must("status")


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


def test_a_read_only_state_directory_is_named(daemon: PersistentDaemon) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a directory read-only")
    daemon.stop()
    command = ["unshare", "-m", "bash", "-c", READ_ONLY, "-", str(daemon.state), *daemon.hfproxy, "daemon"]
    done = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{daemon.state} cannot be written: Read-only file system" in done.stderr
    assert done.stderr.count("\n") == 1
    daemon.begin()
    assert daemon.status()["locked"] is False
