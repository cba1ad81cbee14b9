"""The service manager's protocol: readiness and watchdog messages, and the sockets that it passes.

sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3) are environment variables and a datagram;
no library is needed.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Final

from hfproxy.errors import StartError

FIRST_PASSED: Final = 3


def sd_notify(state: str) -> None:
    """Tell the service manager, if there is one: `READY=1`, `STOPPING=1`, `WATCHDOG=1`.

    Nobody there is no failure: a shell may have inherited the address of a manager that is not ours.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager,
    ):
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.sendall(state.encode())


def inherited_sockets() -> dict[str, socket.socket]:
    """The sockets that the service manager opened for us, by their names (`LISTEN_FDNAMES`).

    Raises:
        StartError: they are not the two this program knows, `data` and `control`.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    if not count:
        return {}
    if len(names) != count or not set(names) <= {"data", "control"} or len(set(names)) != count:
        raise StartError(
            "LISTEN_FDNAMES must name the passed sockets 'data' and 'control'; run: hf-proxy service install"
        )
    passed = {name: socket.socket(fileno=FIRST_PASSED + index) for index, name in enumerate(names)}
    for one in passed.values():
        os.set_inheritable(one.fileno(), False)
    return passed


def interval_s() -> float | None:
    """Within how many seconds the manager wants to hear that all is well (sd_watchdog_enabled(3)); None: never."""
    text = os.environ.get("WATCHDOG_USEC", "")
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(text) / 1_000_000 if for_us and text.isdecimal() and int(text) else None


async def feed(last_well: Callable[[], float]) -> None:
    """Say that all is well, twice in the time that the manager gives; a daemon that hangs does not, and is restarted.

    Well is: this loop turns, and what is done every second was done lately; `last_well` says when (monotonic clock).
    """
    limit = interval_s()
    while limit is not None:
        if time.monotonic() - last_well() < limit:
            sd_notify("WATCHDOG=1")
        await asyncio.sleep(limit / 2)
