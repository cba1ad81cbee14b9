"""The service manager's protocol: readiness, the watchdog, and the sockets that it passes.

sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3) are a datagram and environment variables; no library is
needed. Without a service manager none of this does anything.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Final

from hfproxy.errors import StartError

# Inherited sockets have the descriptors from this one on (SD_LISTEN_FDS_START, sd_listen_fds(3)).
FIRST_PASSED: Final = 3


def sd_notify(state: str) -> None:
    """Send a state to the service manager, if there is one: `READY=1`, `STOPPING=1` or `WATCHDOG=1`.

    A message that cannot be sent is dropped: the address may be inherited from a manager that does not manage this
    process, or has exited.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager,
    ):
        # A leading @ stands for the zero byte of an abstract socket (sd_notify(3), unix(7)).
        manager.connect("\0" + address[1:] if address.startswith("@") else address)
        manager.sendall(state.encode())


def inherited_sockets() -> dict[str, socket.socket]:
    """Return the sockets that the service manager passed to this process, by name (`LISTEN_FDNAMES`).

    Raises:
        StartError: the names are other than `data` and `control`, or one occurs twice.
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
    for listener in passed.values():
        os.set_inheritable(listener.fileno(), False)
    return passed


def watchdog_interval_s() -> float | None:
    """Return the watchdog's time limit in seconds (sd_watchdog_enabled(3)); None: there is no watchdog."""
    text = os.environ.get("WATCHDOG_USEC", "")
    is_for_this_process = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(text) / 1_000_000 if is_for_this_process and text.isdecimal() and int(text) else None


async def feed_watchdog(last_round: Callable[[], float]) -> None:
    """Feed the watchdog, twice within its limit, for as long as the daemon works; otherwise it is restarted.

    The daemon works if the event loop runs this coroutine, and the periodic work finished a round within the limit.
    `last_round` returns when it last did, by the monotonic clock. Returns at once if there is no watchdog.
    """
    limit = watchdog_interval_s()
    while limit is not None:
        if time.monotonic() - last_round() < limit:
            sd_notify("WATCHDOG=1")
        await asyncio.sleep(limit / 2)
