"""What time it is, for everything that ends by time.

The wall clock may be set back, by a person or by a server, and nothing that was over may live again by that, nor what
was minted while it was ahead live longer. So it is compared with a clock that only goes forward, and counts while the
machine sleeps: the later of the two is true, and from the latest moment that there was it goes on.
"""

import time
from typing import Final


class _Clock:
    def __init__(self) -> None:
        self._ahead = float("-inf")

    def now(self) -> int:
        """Whole seconds since the epoch; never less than what was the time before."""
        wall = time.time()  # first: what passes between the two looks must not make it seem to be ahead for ever
        boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._ahead = max(self._ahead, wall - boot)  # as far ahead as the wall clock ever was
        return int(boot + self._ahead)


now: Final = _Clock().now
