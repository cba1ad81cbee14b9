"""What the service manager listens to, so as to start a daemon again that hangs."""

import asyncio
import os
import time
from collections.abc import Callable

from hfproxy.daemon import service


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
            service.sd_notify("WATCHDOG=1")
        await asyncio.sleep(limit / 2)
