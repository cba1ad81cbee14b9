"""What time it is, for everything that ends by time.

The wall clock may be set back, by a person or by a server, and nothing that was over may live again by that, nor what
was minted while it was ahead live longer. So it is compared with a clock that only goes forward, and counts while the
machine sleeps: the later of the two is true, and from the latest moment that there was it goes on.
"""

import time
from typing import Final


class _Clock:
    def __init__(self) -> None:
        self._latest = self._looked()

    def now(self) -> float:
        wall, boot = self._looked()
        before, then = self._latest
        self._latest = max(wall, before + boot - then), boot
        return self._latest[0]

    def _looked(self) -> tuple[float, float]:
        return time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)


_CLOCK: Final = _Clock()


def now() -> int:
    """Whole seconds since the epoch; never less than what was the time before."""
    return int(_CLOCK.now())
