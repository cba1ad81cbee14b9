"""What a decision costs with one grant and with 100,000: at most 1.3 times as much.

    python tests/bench/bench_authorize.py

Both are asked in turn, in blocks, so that what disturbs one disturbs the other; the medians of the blocks are compared.
Exits 1 above the bar.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from deciding import authorize

from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.decision import Allow
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.scope import parse

MANY = 100_000
BLOCKS, ASKED = 60, 500
BAR = 1.3
READ = Access((Need(Action.READ, Target(RepoType.MODELS, "me", "a")),))
ORDER = GrantTerms("default", (parse("read:me/*"),), 3600)


def filled(count: int) -> tuple[Broker, str]:
    """A broker with so many grants, and the credential of one in the middle."""
    broker, bearers = Broker(), []
    for number in range(count):
        bearers.append(broker.mint(ORDER, number.to_bytes(24), 0)[1])
    return broker, bearers[count // 2]


def block(broker: Broker, bearer: str) -> float:
    """Microseconds that one decision takes, over a block of them."""
    start = time.perf_counter()
    for _ in range(ASKED):
        grant = broker.verify(bearer, 1)
        assert isinstance(grant, Grant)
        assert authorize(broker, grant, READ, 1) == Allow()
    return 1_000_000 * (time.perf_counter() - start) / ASKED


def main() -> int:
    """Returns 0 when the bar is held."""
    few, many = filled(1), filled(MANY)
    taken = [(block(*few), block(*many)) for _ in range(BLOCKS)]
    one, all_of_them = (statistics.median(column) for column in zip(*taken, strict=True))
    print(f"one grant: {one:.2f} us; {MANY} grants: {all_of_them:.2f} us a decision")
    print(f"ratio: {all_of_them / one:.2f} (bar {BAR})")
    return int(all_of_them / one > BAR)


if __name__ == "__main__":
    sys.exit(main())
