"""How much a test does: a sample in `make test`, all of it in `make test-all` (`HFPROXY_BUDGET=full`).

Each budget has a variable of its own, for one run: `HFPROXY_KILLS=50 pytest tests/drills/test_kills.py`.
"""

import os
from datetime import UTC, datetime

FULL = os.environ.get("HFPROXY_BUDGET") == "full"


def _budget(variable: str, sample: int, full: int) -> int:
    return int(os.environ.get(variable, full if FULL else sample))


KILLS = _budget("HFPROXY_KILLS", 30, 300)
"""How often the daemon is killed under load."""

SILENCE_S = _budget("HFPROXY_SILENCE_S", 30, 600)
"""How long a stream of events says nothing."""

BULK_MIB = _budget("HFPROXY_BULK_MIB", 64, 2048)
"""The size of a body that must take no memory."""

CRASH_STRIDE = _budget("HFPROXY_CRASH_STRIDE", 5, 1)
"""Of the steps at which `scan --migrate` is killed, every so many; which ones changes from day to day."""

FIRST_CRASH = 1 + datetime.now(UTC).toordinal() % CRASH_STRIDE

EXAMPLES_PERCENT = _budget("HFPROXY_EXAMPLES_PERCENT", 25, 100)
"""How many of a property's examples are tried."""
