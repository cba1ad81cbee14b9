"""The life of grants in this daemon: minted, ended, and what must happen then.

The broker knows the rules; here they meet the clock, the random numbers, processes, the journal and running
connections. A grant ends in one place, `_ended`, however it came to that.
"""

import asyncio
import secrets
import time
from collections.abc import Iterable

import structlog

from hfproxy.core import credential
from hfproxy.core.audit import Kind
from hfproxy.core.broker import Broker, Grant, Order
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.leases import Leases, open_process
from hfproxy.daemon.running import Running
from hfproxy.errors import JournalError

log = structlog.get_logger()

SWEEP_SECONDS = 1


def now() -> int:
    """Seconds since the epoch, whole."""
    return int(time.time())


class Grants:
    """All grants and everything that hangs on them."""

    def __init__(self, journal: Journal) -> None:
        self.broker = Broker()
        self.running = Running()
        self._journal = journal
        self._leases = Leases()
        self._background: set[asyncio.Task[None]] = set()

    async def mint(self, order: Order) -> tuple[Grant, str]:
        """Make a grant; its journal line is on disk before the credential is given away.

        Raises:
            RefusedError: the process to bind to has ended, or there is no such parent.
            JournalError: it could not be recorded; there is no grant then.
        """
        pidfd = open_process(order.pid) if order.pid is not None else None
        grant, bearer = self.broker.mint(order, secrets.token_bytes(credential.ENTROPY_BYTES), now())
        if pidfd is not None:
            self._leases.take(grant.id, pidfd, self._process_ended)
        try:
            await self._journal.record(_event(Kind.MINTED, grant, scopes=[str(scope) for scope in order.scopes]))
        except BaseException:
            self._cut(self.broker.revoke(grant.id))
            raise
        return grant, bearer

    async def revoke(self, grant_ids: Iterable[str]) -> list[str]:
        """End grants and their children; returns the ids of all that ended, once that is on disk."""
        ended = [grant for grant_id in grant_ids for grant in self.broker.revoke(grant_id)]
        self._cut(ended)
        for grant in ended:
            await self._journal.record(_event(Kind.REVOKED, grant))
        return [grant.id for grant in ended]

    async def sweep(self) -> None:
        """End what is over, every second, for as long as the daemon runs."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            ended = self.broker.expire(now())
            self._cut(ended)
            for grant in ended:
                self._expired(grant)

    def _expired(self, grant: Grant) -> None:
        try:
            self._journal.note(_event(Kind.EXPIRED, grant))
        except JournalError:
            log.warning("not_recorded", kind=Kind.EXPIRED.value, grant=grant.id)

    def _process_ended(self, grant_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._revoke_quietly(grant_id))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _revoke_quietly(self, grant_id: str) -> None:
        try:
            await self.revoke([grant_id])
        except JournalError:
            log.warning("not_recorded", kind=Kind.REVOKED.value, grant=grant_id)

    def _cut(self, ended: Iterable[Grant]) -> None:
        for grant in ended:
            self._leases.drop(grant.id)
            self.running.cut(grant.id)


def _event(kind: Kind, grant: Grant, **more: object) -> dict[str, object]:
    return {
        "at": now(),
        "kind": kind.value,
        "grant": grant.id,
        "account": grant.order.account,
        "program": grant.order.program,
        **more,
    }
