"""The life of grants in this daemon: minted, renewed, ended, and what must happen then.

The broker knows the rules; here they meet the clock, the random numbers, processes, the store, the journal and running
connections. What ends is cut at once, and on disk before anybody is told so.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace

import structlog

from hfproxy.core import credential
from hfproxy.core.access import Deny, Refusal
from hfproxy.core.asleep import Brief
from hfproxy.core.audit import Kind
from hfproxy.core.broker import Bind, Broker, Grant, Inside, Order
from hfproxy.core.caveats import MINUTE, Expires
from hfproxy.daemon import processes
from hfproxy.daemon.clock import now
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.leases import Leases, open_process
from hfproxy.daemon.processes import Process
from hfproxy.daemon.running import Running
from hfproxy.daemon.store import Found, Store
from hfproxy.errors import JournalError, RefusedError, StoreError

log = structlog.get_logger()

SWEEP_SECONDS = 1
UNSEEN = RefusedError("it cannot be seen what this was started by; run the command again")
LEFT = RefusedError("the grant that this runs inside of is over; run it outside of that command: hf-proxy exec -- CMD")


class Grants:
    """All grants and everything that hangs on them."""

    def __init__(self, journal: Journal, store: Store, longest: int) -> None:
        """`longest`: how many seconds a grant may live, renewals included."""
        self.broker = Broker()
        self.running = Running()
        self._journal, self._store, self._longest = journal, store, longest
        self._leases = Leases()
        self._used: set[str] = set()
        self._kept_at = 0
        self._background: set[asyncio.Task[None]] = set()
        self.swept_at = time.monotonic()
        """When `sweep` last came round, by the monotonic clock: it hangs if that is long ago."""

    # --- before and after this daemon ---------------------------------------------------------------------------------

    async def restore(self, left: Found) -> None:
        """Take in what an earlier daemon left: what is over, or bound to a process that is gone, ends here."""
        boot, barred = processes.boot(), list(left.barred)
        for digest, how in left.ended:
            self.broker.recall(digest, how)
        briefs = await self._with_our_clock(left)
        self.broker.restore(briefs, self._store.grant)
        barred += await self._bury_left(self.broker.expire(now()), Refusal.EXPIRED)
        for brief in briefs:
            if brief.pid is not None and not self._held(brief, same_boot=left.boot == boot):
                barred += await self._bury_left(self.broker.revoke(brief.id), Refusal.REVOKED)
        for process in barred:
            if left.boot != boot or not self._barred(process):
                await self._store.free(process)
        self._store.remember("boot", boot)

    async def _with_our_clock(self, left: Found) -> tuple[Brief, ...]:
        """If the clock was set back, that is on disk before anything else is, or the time that is written with it would
        hide it."""
        back = left.at - now()
        if back <= 0:
            return left.briefs
        found = [_set_back(grant, back) for brief in left.briefs if (grant := self._store.grant(brief.id))]
        await self._store.keep(found, now())
        return tuple(grant.brief for grant in found)

    def _held(self, brief: Brief, *, same_boot: bool) -> bool:
        """Hold a grant to its process, if it has not ended yet; False: that one is gone."""
        grant = self.broker.find(brief.id)
        if grant is None or grant.order.pid is None:
            return True
        try:
            held = open_process(grant.order.pid)
        except RefusedError:
            return False
        if not same_boot or held.process.start != grant.order.start:  # another process has its number now
            held.close()
            return False
        self._leases.take(grant.id, held, self._process_ended)
        return True

    async def _bury_left(self, ended: Iterable[Grant], how: Refusal) -> list[Process]:
        """Write down what ended while there was no daemon; returns the processes that may live on without it."""
        ended = list(ended)
        tied = [process for grant in ended for process in _tied_to(grant)]
        await self._bury(ended, how, tied)
        return tied

    def _barred(self, process: Process) -> bool:
        """Know a process as one whose grant is over; False if it has ended, too."""
        try:
            held = open_process(process.pid)
        except RefusedError:
            return False
        if held.process != process:
            held.close()
            return False
        self._leases.bar(held, self._process_gone)
        return True

    async def close(self) -> None:
        """Finish what is being ended, and write down what was used. Grants live on, for the next daemon to take in."""
        self._leases.close()
        await asyncio.gather(*self._background)
        with suppress(StoreError):
            await self._store.keep(self.broker.awake(), now())

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
            self._leases.drop(grant.id)  # nobody was given anything
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
        self.broker.grant(grant_id)  # it may have ended meanwhile
        await self._store.keep([grant], now())
        return grant

    async def used(self, grant: Grant) -> None:
        """A request was allowed. What is limited is on disk when this returns, so that no crash gives it back.

        Raises:
            StoreError: it could not be written; the request must not go on.
        """
        self.touched(grant)
        if grant.is_limited:
            await self._store.keep(self.broker.lineage(grant), now())

    def touched(self, grant: Grant) -> None:
        """What a grant was used for has changed; it is written down within a second or so."""
        self._used.add(grant.id)

    async def verify(self, presented: str) -> Grant | Deny:
        """Whose credential is this? What is overdue is seen to before it is called expired; raises as `end_expired`."""
        found = self.broker.verify(presented, now())
        if isinstance(found, Deny) and found.refusal is Refusal.EXPIRED:
            await self.end_expired()
            found = self.broker.verify(presented, now())
        return found

    # --- who holds what -----------------------------------------------------------------------------------------------

    def owned(self, uid: int | None) -> list[Grant]:
        """The living grants of a user, the oldest first; None: everybody's.

        Raises:
            StoreError: one that an earlier daemon left cannot be read.
        """
        return [grant for grant in self.broker.grants() if uid in {None, grant.order.uid}]

    def awake(self, uid: int | None) -> list[Grant]:
        """Those of them that were asked for since the start; none has to be read for that."""
        return [grant for grant in self.broker.awake() if uid in {None, grant.order.uid}]

    def holder(self, pid: int, uid: int) -> Grant | None:
        """The user's grant whose process, or a descendant of it, this is; the innermost, if there are several.

        Other users' grants are not looked at: a process may be in one by another user's doing.

        Raises:
            RefusedError: that cannot be said, or that grant is over: whoever ran inside of it is not outside by that.
        """
        try:
            line = processes.lineage(pid)
        except (LookupError, OSError):
            raise UNSEEN from None
        for process in line:
            if self._leases.is_left(process) and uid in {os.getuid(), processes.owner(process.pid)}:
                raise LEFT
            found = [self.broker.grant(grant_id) for grant_id in self._leases.holding(process)]
            held = [grant for grant in found if grant.order.uid == uid]
            if held:
                return max(held, key=lambda grant: len(self.broker.lineage(grant)))
        return None

    async def inside(self, grant: Grant, inode: int) -> Inside:
        """Of a grant and all above it those bound to a tree of processes that this connection comes from."""
        trees = grant.trees if self.broker.is_living(grant) else ()
        return frozenset([one for one in trees if await self._is_inside(one, inode)])

    async def ambient(self, inode: int) -> Grant | None:
        """The innermost grant whose tree needs no credential, and this connection comes from."""
        open_to_all = [grant for grant in self._bound() if grant.order.ambient]
        found = [grant for grant in open_to_all if await self._is_inside(grant.id, inode)]
        living = filter(self.broker.is_living, found)
        return max(living, key=lambda grant: len(self.broker.lineage(grant)), default=None)

    def _bound(self) -> list[Grant]:
        return [self.broker.grant(grant_id) for grant_id in self._leases.ids()]

    async def _is_inside(self, grant_id: str, inode: int) -> bool:
        tree = self._leases.tree(grant_id)
        try:
            return tree is not None and await asyncio.to_thread(tree.holds, inode)
        except OSError:
            return False

    # --- ending -------------------------------------------------------------------------------------------------------

    async def revoke(self, grant_ids: Iterable[str]) -> list[str]:
        """End grants and their children; returns the ids of all that ended, once that is on disk.

        Raises:
            StoreError, JournalError: they ended, but could not be written down: another daemon might not know of it.
        """
        ended = [grant for grant_id in grant_ids for grant in self.broker.revoke(grant_id)]
        await self._bury(ended, Refusal.REVOKED)
        return [grant.id for grant in ended]

    def cut(self, uid: int | None = None, account: str | None = None) -> None:
        """Break off what runs at this moment, of everybody or of one user, of all accounts or of one; the grants stay
        what they are."""
        for grant in self.awake(uid):
            if account in {None, grant.order.account}:
                self.running.cut(grant.id)

    async def sweep(self) -> None:
        """Every second, for as long as the daemon runs: end what is over, look at trees, renew, write down."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.end_expired()
                await self._look_at_trees()
                await self._keep_used()
            except (JournalError, StoreError) as error:
                log.warning("not_recorded", reason=str(error))
            except OSError as error:
                log.warning("processes_not_seen", reason=error.strerror)
            self.swept_at = time.monotonic()

    async def end_expired(self) -> None:
        """End what is over, so that no clock can bring it back; raises as `revoke`.

        First comes what a living process holds: a machine that slept for longer than a grant's time did not end it.
        """
        await self._renew_bound()
        await self._bury(self.broker.expire(now()), Refusal.EXPIRED)

    async def _look_at_trees(self) -> None:
        """Before a process is orphaned it has to be seen."""
        trees = [self._leases.tree(grant.id) for grant in self._bound() if grant.order.bind is Bind.TREE]
        for tree in (*trees, *self._leases.left_trees()):
            if tree is not None:
                await asyncio.to_thread(tree.look)

    async def _renew_bound(self) -> None:
        """A long job never breaks: while its process lives, a grant without a set end is renewed at half its time."""
        for grant in self._bound():
            with suppress(RefusedError):  # it ended while another was renewed
                if self._is_to_be_renewed(self.broker.grant(grant.id)):
                    await self.renew(grant.id, grant.order.ttl)

    def _is_to_be_renewed(self, grant: Grant) -> bool:
        _, *above = self.broker.lineage(grant)
        last = min([grant.minted_at + self._longest, *(one.expires_at for one in above)])
        return grant.order.renews and grant.expires_at - now() < grant.order.ttl / 2 and grant.expires_at < last

    async def _keep_used(self) -> None:
        """What was used, and if nothing was, what time it is: what a clock is compared with that was set back."""
        used, self._used = self._used, set()
        is_due = now() >= self._kept_at + MINUTE and bool(self.broker.count())
        if used or is_due or self._store.is_behind:
            self._kept_at = now()
            await self._store.keep([grant for one in used if (grant := self.broker.find(one))], now())

    def _process_ended(self, grant_id: str) -> None:
        self._beside(self._revoke_quietly(grant_id))

    def _process_gone(self, process: Process) -> None:
        self._beside(self._free_quietly(process))

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _free_quietly(self, process: Process) -> None:
        with suppress(StoreError):  # the next daemon finds out by itself
            await self._store.free(process)

    async def _revoke_quietly(self, grant_id: str) -> None:
        try:
            await self.revoke([grant_id])
        except (JournalError, StoreError):
            log.warning("not_recorded", kind=Kind.REVOKED.value, grant=grant_id)

    async def _bury(self, ended: Iterable[Grant], how: Refusal, barred: Iterable[Process] = ()) -> None:
        """Cut what runs under ended grants, then write it down: in the journal also where the store cannot.

        `barred`: processes that may live on without their grant, besides those that are known here.
        """
        ended = list(ended)
        barred = [*barred, *self._cut(ended)]
        if not ended:
            return
        try:
            await self._store.end([(grant, how) for grant in ended], now(), barred)
        finally:
            *first, last = ended
            for grant in first:
                self._journal.note(_event(Kind(how.value), grant))
            await self._journal.record(_event(Kind(how.value), last))  # and with it those before

    def _cut(self, ended: Iterable[Grant]) -> list[Process]:
        """Break off what runs under them; returns the processes that live on without their grant."""
        left: list[Process] = []
        for grant in ended:
            process = self._leases.leave(grant.id, self._process_gone)
            left += [] if process is None else [process]
            self.running.cut(grant.id)
        return left


def _tied_to(grant: Grant) -> list[Process]:
    pid, start = grant.order.pid, grant.order.start
    return [] if pid is None or start is None else [Process(pid, start)]


def _set_back(grant: Grant, back: int) -> Grant:
    """If the clock was set back while no daemon ran, what was left of a grant's life is still all there is."""
    minted_at, expires_at = max(0, grant.minted_at - back), max(0, grant.expires_at - back)
    caveats = (Expires(expires_at), *grant.caveats[1:])
    return replace(grant, minted_at=minted_at, expires_at=expires_at, caveats=caveats)


def _event(kind: Kind, grant: Grant, **more: object) -> dict[str, object]:
    return {
        "at": now(),
        "kind": kind.value,
        "uid": grant.order.uid,
        "grant": grant.id,
        "account": grant.order.account,
        "program": grant.order.program,
        "parent": grant.order.parent,
        **more,
    }
