"""The word to the service manager that all is well."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfproxy.daemon.runtime import systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
        yield manager


async def test_it_is_fed_while_all_is_well_and_not_before(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    last_well = time.monotonic() - 1
    feeding = asyncio.create_task(systemd.feed_watchdog(lambda: last_well))
    await asyncio.sleep(0)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    last_well = time.monotonic() + 60
    assert await asyncio.get_running_loop().sock_recv(manager, 100) == b"WATCHDOG=1"
    assert await asyncio.get_running_loop().sock_recv(manager, 100) == b"WATCHDOG=1"
    feeding.cancel()


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("3000000", "", 3.0),
        ("3000000", "us", 3.0),
        ("3000000", "1", None),
        ("0", "", None),
        ("x", "", None),
        ("", "", None),
    ],
)
def test_it_is_ours_to_feed_if_the_manager_says_so(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, seconds: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "us" else pid)
    assert systemd.watchdog_interval_s() == seconds
