"""The present time, for everything that expires.

The wall clock may be set back, by a user or by a time server. That must not revive an expired grant, nor lengthen the
life of one that was minted while the clock was ahead. So the time is counted by CLOCK_BOOTTIME, which only goes forward
and counts while the machine sleeps (clock_gettime(2)), from the furthest that the wall clock was ever seen ahead of it:
a clock that is set forward is followed, one that is set back is not.

That holds within one run of the daemon. Between two runs the last moment written in the grant store is compared
(`daemon.grants.registry`).
"""

import time
from typing import Final


class _Clock:
    def __init__(self) -> None:
        self._ahead = float("-inf")

    def now(self) -> int:
        """Return whole seconds since the epoch; never less than before."""
        # The wall clock first: a pause between the two readings then makes it seem behind. The other way round it would
        # seem ahead, and stay so.
        wall = time.time()
        boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._ahead = max(self._ahead, wall - boot)
        return int(boot + self._ahead)


now: Final = _Clock().now
