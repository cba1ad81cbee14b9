"""Fill a daemon's state directory while it is stopped: `fill.py STATE [GRANTS LINES]`."""

import asyncio
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.grants.store import GrantStore

EVENT = {"kind": "decided", "account": "default", "method": "GET", "target": "/api/models/me/small", "action": "read"}


async def main(state: Path, grants: int = 100_000, lines: int = 1_000_000) -> None:
    """Grants that live a day, and lines as requests leave them."""
    now, broker = int(time.time()), Broker()
    order = GrantTerms("default", (parse("read:me/*"),), 86_400)
    store = GrantStore(state)
    await store.save([broker.mint(order, secrets.token_bytes(24), now)[0] for _ in range(grants)], now)
    store.close()
    journal = JournalWriter(state / "journal")
    for number in range(lines):
        journal.append({"at": now, "grant": f"{number % grants:016x}", **EVENT})
        if number % 10_000 == 0:
            await journal.flush()
    await journal.flush()
    journal.close()


asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
