"""The life of grants in this daemon: minted, ended, and what must happen then.

The broker knows the rules; here they meet the clock, the random numbers, processes, the journal and running
connections. A grant ends in one place, `_ended`, however it came to that.
"""

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import replace

import structlog

from hfproxy.core import credential
from hfproxy.core.audit import Kind
from hfproxy.core.broker import Bind, Broker, Grant, Inside, Order
from hfproxy.daemon import processes
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
        held = open_process(order.pid) if order.pid is not None else None
        if held is not None:
            order = replace(order, start=held[0].start)
        grant, bearer = self.broker.mint(order, secrets.token_bytes(credential.ENTROPY_BYTES), now())
        if held is not None:
            self._leases.take(grant.id, *held, self._process_ended)
        try:
            await self._journal.record(_event(Kind.MINTED, grant, scopes=[str(scope) for scope in order.scopes]))
        except BaseException:
            self._cut(self.broker.revoke(grant.id))
            raise
        return grant, bearer

    async def renew(self, grant_id: str, ttl: int, longest: int) -> Grant:
        """Move a grant's end away, in place: to `ttl` seconds from now, to `longest` after it was minted at the most.

        Raises:
            RefusedError: there is no such grant.
        """
        grant = self.broker.grant(grant_id)
        expires_at = max(grant.expires_at, min(now() + ttl, grant.minted_at + longest))
        await self._journal.record(_event(Kind.RENEWED, grant, expires_at=expires_at))
        return self.broker.renew(grant_id, expires_at)

    def holder(self, pid: int) -> Grant | None:
        """The grant whose process, or a descendant of it, this is; the innermost, if there are several."""
        for process in processes.lineage(pid):
            held = [self.broker.grant(grant_id) for grant_id in self._leases.holding(process)]
            if held:
                return max(held, key=lambda grant: len(self.broker.lineage(grant)))
        return None

    async def inside(self, grant: Grant, inode: int) -> Inside:
        """Of a grant and all above it those bound to a tree of processes that this connection comes from."""
        bound = [one.id for one in self.broker.lineage(grant) if one.order.bind is Bind.TREE]
        return frozenset([one for one in bound if await self._is_inside(one, inode)])

    async def ambient(self, inode: int) -> Grant | None:
        """The innermost grant whose tree needs no credential, and this connection comes from."""
        open_to_all = [grant for grant in self.broker.grants() if grant.order.ambient]
        found = [grant for grant in open_to_all if await self._is_inside(grant.id, inode)]
        return max(found, key=lambda grant: len(self.broker.lineage(grant)), default=None)

    async def _is_inside(self, grant_id: str, inode: int) -> bool:
        tree = self._leases.tree(grant_id)
        return tree is not None and await asyncio.to_thread(tree.holds, inode)

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
            await self._look_at_trees()
            ended = self.broker.expire(now())
            self._cut(ended)
            for grant in ended:
                self._expired(grant)

    async def _look_at_trees(self) -> None:
        """Before a process is orphaned it has to be seen."""
        for grant in self.broker.grants():
            tree = self._leases.tree(grant.id) if grant.order.bind is Bind.TREE else None
            if tree is not None:
                await asyncio.to_thread(tree.look)

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
        "parent": grant.order.parent,
        **more,
    }
