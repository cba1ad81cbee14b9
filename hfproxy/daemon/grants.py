"""The life of grants in this daemon: minted, renewed, ended, and what must happen then.

The broker knows the rules; here they meet the clock, the random numbers, processes, the store, the journal and running
connections. What ends is cut at once, and on disk before anybody is told so.
"""

import asyncio
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import structlog

from hfproxy.core import credential
from hfproxy.core.access import Refusal
from hfproxy.core.audit import Kind
from hfproxy.core.broker import Bind, Broker, Grant, Inside, Order
from hfproxy.core.caveats import Expires, MaxBytes, MaxRate, MaxUses
from hfproxy.daemon import processes
from hfproxy.daemon.clock import now
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.leases import Leases, open_process
from hfproxy.daemon.running import Running
from hfproxy.daemon.store import Kept, Store
from hfproxy.errors import JournalError, RefusedError, StoreError

log = structlog.get_logger()

SWEEP_SECONDS = 1
COUNTING = (MaxUses, MaxRate, MaxBytes)


class Grants:
    """All grants and everything that hangs on them."""

    def __init__(self, journal: Journal, store: Store, longest: int) -> None:
        """`longest`: how many seconds a grant may live, renewals included."""
        self.broker = Broker()
        self.running = Running()
        self._journal, self._store, self._longest = journal, store, longest
        self._leases = Leases()
        self._used: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()

    # --- before and after this daemon ---------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Take in what an earlier daemon left: what is over, or bound to a process that is gone, ends here."""
        kept = self._store.load()
        boot = processes.boot()
        for digest, how in kept.ended:
            self.broker.recall(digest, how)
        for grant in kept.grants:
            grant = _set_back(grant, kept)  # noqa: PLW2901  (the one that counts from here on)
            fate = self._restored(grant, same_boot=kept.boot == boot)
            if fate is not None:
                self.broker.recall(grant.digest, fate)
                await self._bury([grant], fate)
        self._store.remember("boot", boot)

    def _restored(self, grant: Grant, *, same_boot: bool) -> Refusal | None:
        """Take a grant in; or say how it ended."""
        if now() >= grant.expires_at:
            return Refusal.EXPIRED
        held = None
        try:
            if grant.order.pid is not None:
                held = open_process(grant.order.pid)
                if not same_boot or held.process.start != grant.order.start:
                    raise RefusedError("another process has its number now")
            self.broker.restore(grant)
        except RefusedError:
            if held is not None:
                held.close()
            return Refusal.REVOKED
        if held is not None:
            self._leases.take(grant.id, held, self._process_ended)
        return None

    async def close(self) -> None:
        """Finish what is being ended, and write down what was used. Grants live on, for the next daemon to take in."""
        self._leases.close()
        await asyncio.gather(*self._background)
        with suppress(StoreError):
            await self._keep_used()

    # --- minting and renewing -----------------------------------------------------------------------------------------

    async def mint(self, order: Order) -> tuple[Grant, str]:
        """Make a grant; it and its journal line are on disk before the credential is given away.

        Raises:
            RefusedError: the process to bind to has ended, or there is no such parent.
            JournalError, StoreError: it could not be recorded; there is no grant then.
        """
        held = open_process(order.pid) if order.pid is not None else None
        if held is not None:
            order = replace(order, start=held.process.start)
        grant, bearer = self.broker.mint(order, secrets.token_bytes(credential.ENTROPY_BYTES), now())
        if held is not None:
            self._leases.take(grant.id, held, self._process_ended)
        try:
            await self._store.keep([grant], now())
            await self._journal.record(
                _event(
                    Kind.MINTED,
                    grant,
                    scopes=[str(scope) for scope in order.scopes],
                    label=order.label,
                    container=order.container or None,
                )
            )
        except BaseException:
            self._cut(self.broker.revoke(grant.id))
            with suppress(StoreError):
                await self._store.end([(grant, Refusal.REVOKED)], now())
            raise
        return grant, bearer

    async def renew(self, grant_id: str, ttl: int) -> Grant:
        """Move a grant's end away, in place: to `ttl` seconds from now, to the longest life there is at the most.

        Raises:
            RefusedError: there is no such grant, or it is over already.
        """
        grant = self.broker.grant(grant_id)
        expires_at = max(grant.expires_at, min(now() + ttl, grant.minted_at + self._longest))
        grant = self.broker.renew(grant_id, expires_at, now())
        await self._journal.record(_event(Kind.RENEWED, grant, expires_at=grant.expires_at))
        await self._store.keep([grant], now())
        return grant

    async def used(self, grant: Grant) -> None:
        """A request was allowed. What is limited is on disk when this returns, so that no crash gives it back.

        Raises:
            StoreError: it could not be written; the request must not go on.
        """
        lineage = self.broker.lineage(grant)
        if any(isinstance(caveat, COUNTING) for one in lineage for caveat in one.caveats):
            await self._store.keep(lineage, now())
        self.touched(grant)

    def touched(self, grant: Grant) -> None:
        """What a grant was used for has changed; it is written down within a second or so."""
        self._used.add(grant.id)

    # --- who holds what -----------------------------------------------------------------------------------------------

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
        open_to_all = [grant for grant in self._bound() if grant.order.ambient]
        found = [grant for grant in open_to_all if await self._is_inside(grant.id, inode)]
        return max(found, key=lambda grant: len(self.broker.lineage(grant)), default=None)

    def _bound(self) -> list[Grant]:
        return [self.broker.grant(grant_id) for grant_id in self._leases.ids()]

    async def _is_inside(self, grant_id: str, inode: int) -> bool:
        tree = self._leases.tree(grant_id)
        return tree is not None and await asyncio.to_thread(tree.holds, inode)

    # --- ending -------------------------------------------------------------------------------------------------------

    async def revoke(self, grant_ids: Iterable[str]) -> list[str]:
        """End grants and their children; returns the ids of all that ended, once that is on disk.

        Raises:
            StoreError, JournalError: they ended, but could not be written down: another daemon might not know of it.
        """
        ended = [grant for grant_id in grant_ids for grant in self.broker.revoke(grant_id)]
        await self._bury(ended, Refusal.REVOKED)
        return [grant.id for grant in ended]

    def cut(self, account: str | None = None) -> None:
        """Break off what runs at this moment, of one account or of all; the grants stay what they are."""
        for grant in self.broker.grants():
            if account in {None, grant.order.account}:
                self.running.cut(grant.id)

    async def sweep(self) -> None:
        """Every second, for as long as the daemon runs: end what is over, look at trees, renew, write down."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.end_expired()
                await self._look_at_trees()
                await self._renew_bound()
                await self._keep_used()
            except (JournalError, StoreError) as error:
                log.warning("not_recorded", reason=str(error))

    async def end_expired(self) -> None:
        """End what is over, so that no clock can bring it back; raises as `revoke`."""
        await self._bury(self.broker.expire(now()), Refusal.EXPIRED)

    async def _look_at_trees(self) -> None:
        """Before a process is orphaned it has to be seen."""
        for grant in self._bound():
            tree = self._leases.tree(grant.id) if grant.order.bind is Bind.TREE else None
            if tree is not None:
                await asyncio.to_thread(tree.look)

    async def _renew_bound(self) -> None:
        """A long job never breaks: while its process lives, a grant without a set end is renewed at half its time."""
        for grant in self._bound():
            left, last = grant.expires_at - now(), grant.minted_at + self._longest
            if grant.order.renews and left < grant.order.ttl / 2 and grant.expires_at < last:
                await self.renew(grant.id, grant.order.ttl)

    async def _keep_used(self) -> None:
        used, self._used = self._used, set()
        if used:
            await self._store.keep([grant for grant in self.broker.grants() if grant.id in used], now())

    def _process_ended(self, grant_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._revoke_quietly(grant_id))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _revoke_quietly(self, grant_id: str) -> None:
        try:
            await self.revoke([grant_id])
        except (JournalError, StoreError):
            log.warning("not_recorded", kind=Kind.REVOKED.value, grant=grant_id)

    async def _bury(self, ended: Iterable[Grant], how: Refusal) -> None:
        """Cut what runs under ended grants, then write it down: in the journal also where the store cannot."""
        ended = list(ended)
        self._cut(ended)
        if not ended:
            return
        try:
            await self._store.end([(grant, how) for grant in ended], now())
        finally:
            for grant in ended:
                await self._journal.record(_event(Kind(how.value), grant))

    def _cut(self, ended: Iterable[Grant]) -> None:
        for grant in ended:
            self._leases.drop(grant.id)
            self.running.cut(grant.id)


def _set_back(grant: Grant, kept: Kept) -> Grant:
    """If the clock was set back while no daemon ran, what was left of a grant's life is still all there is."""
    back = kept.at - now()
    if back <= 0:
        return grant
    expires_at = grant.expires_at - back
    return replace(grant, expires_at=expires_at, caveats=(Expires(expires_at), *grant.caveats[1:]))


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
