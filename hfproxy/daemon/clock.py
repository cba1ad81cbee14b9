"""What time it is, for everything that ends by time.

The wall clock may be set back, by a person or by a server, and nothing that was over may live again by that. So it is
compared with a clock that only goes forward, and counts while the machine sleeps: the later of the two is true.
"""

import time
from typing import Final

STARTED: Final = (time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))


def now() -> int:
    """Whole seconds since the epoch; never less than what was the time before."""
    wall, boot = STARTED
    return int(max(time.time(), wall + time.clock_gettime(time.CLOCK_BOOTTIME) - boot))
