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

from hfproxy.core.audit.chain import EventKind
from hfproxy.core.policy import credential
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.caveats import MINUTE, Expires
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms, MatchingTrees
from hfproxy.core.policy.unloaded_grants import GrantSummary
from hfproxy.daemon.grants.connections import ActiveConnections
from hfproxy.daemon.grants.leases import Leases, open_process
from hfproxy.daemon.grants.store import GrantStore, StoredState
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime import procfs
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.procfs import Process
from hfproxy.errors import JournalError, RefusedError, StoreError

log = structlog.get_logger()

SWEEP_SECONDS = 1
UNSEEN = RefusedError("it cannot be seen what this was started by; run the command again")
GRANT_IS_OVER = RefusedError(
    "the grant that this runs inside of is over; run it outside of that command: hf-proxy exec -- CMD"
)


class GrantRegistry:
    """All grants and everything that hangs on them."""

    def __init__(self, journal: JournalWriter, store: GrantStore, max_ttl_s: int) -> None:
        """`longest`: how many seconds a grant may live, renewals included."""
        self.broker = Broker()
        self.connections = ActiveConnections()
        self._journal, self._store, self._max_ttl_s = journal, store, max_ttl_s
        self._leases = Leases()
        self._used: set[str] = set()
        self._kept_at = 0
        self._background: set[asyncio.Task[None]] = set()
        self.last_sweep_at = time.monotonic()
        """When `sweep` last came round, by the monotonic clock: it hangs if that is long ago."""

    # --- before and after this daemon ---------------------------------------------------------------------------------

    async def restore(self, left: StoredState) -> None:
        """Take in what an earlier daemon left: what is over, or bound to a process that is gone, ends here."""
        boot, survivors = procfs.boot_id(), list(left.survivors)
        for digest, how in left.ended:
            self.broker.remember_ended(digest, how)
        briefs = await self._with_our_clock(left)
        self.broker.restore(briefs, self._store.grant)
        survivors += await self._record_ended_while_down(self.broker.expire(now()), Refusal.EXPIRED)
        for brief in briefs:
            if brief.pid is not None and not self._reattach_lease(brief, same_boot=left.boot == boot):
                survivors += await self._record_ended_while_down(self.broker.revoke(brief.id), Refusal.REVOKED)
        for process in survivors:
            if left.boot != boot or not self._survivors(process):
                await self._store.forget_survivor(process)
        self._store.set_meta("boot", boot)

    async def _with_our_clock(self, left: StoredState) -> tuple[GrantSummary, ...]:
        """If the clock was set back, that is on disk before anything else is, or the time that is written with it would
        hide it."""
        back = left.at - now()
        if back <= 0:
            return left.summaries
        found = [_set_back(grant, back) for brief in left.summaries if (grant := self._store.grant(brief.id))]
        await self._store.save(found, now())
        return tuple(grant.brief for grant in found)

    def _reattach_lease(self, brief: GrantSummary, *, same_boot: bool) -> bool:
        """Hold a grant to its process, if it has not ended yet; False: that one is gone."""
        grant = self.broker.find(brief.id)
        if grant is None or grant.terms.pid is None:
            return True
        try:
            held = open_process(grant.terms.pid)
        except RefusedError:
            return False
        if not same_boot or held.process.start != grant.terms.start:  # another process has its number now
            held.close()
            return False
        self._leases.attach(grant.id, held, self._holder_exited)
        return True

    async def _record_ended_while_down(self, ended: Iterable[Grant], how: Refusal) -> list[Process]:
        """Write down what ended while there was no daemon; returns the processes that may live on without it."""
        ended = list(ended)
        tied = [process for grant in ended for process in _tied_to(grant)]
        await self._record_ended(ended, how, tied)
        return tied

    def _survivors(self, process: Process) -> bool:
        """Know a process as one whose grant is over; False if it has ended, too."""
        try:
            held = open_process(process.pid)
        except RefusedError:
            return False
        if held.process != process:
            held.close()
            return False
        self._leases.track_survivor(held, self._survivor_exited)
        return True

    async def close(self) -> None:
        """Finish what is being ended, and write down what was used. Grants live on, for the next daemon to take in."""
        self._leases.close()
        await asyncio.gather(*self._background)
        with suppress(StoreError):
            await self._store.save(self.broker.loaded(), now())

    # --- minting and renewing -----------------------------------------------------------------------------------------

    async def mint(self, order: GrantTerms) -> tuple[Grant, str]:
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
            self._leases.attach(grant.id, held, self._holder_exited)
        try:
            await self._store.save([grant], now())
            await self._journal.append_durably(
                _event(
                    EventKind.MINTED,
                    grant,
                    scopes=[str(scope) for scope in order.scopes],
                    label=order.label,
                    container=order.container or None,
                )
            )
        except BaseException:
            self._leases.detach(grant.id)  # nobody was given anything
            self._cut(self.broker.revoke(grant.id))
            with suppress(StoreError):
                await self._store.save_ended([(grant, Refusal.REVOKED)], now())
            raise
        return grant, bearer

    async def renew(self, grant_id: str, ttl: int) -> Grant:
        """Move a grant's end away, in place: to `ttl` seconds from now, to the longest life there is at the most.

        Raises:
            RefusedError: there is no such grant, or it is over already.
        """
        grant = self.broker.grant(grant_id)
        expires_at = max(grant.expires_at, min(now() + ttl, grant.minted_at + self._max_ttl_s))
        grant = self.broker.renew(grant_id, expires_at, now())
        await self._journal.append_durably(_event(EventKind.RENEWED, grant, expires_at=grant.expires_at))
        self.broker.grant(grant_id)  # it may have ended meanwhile
        await self._store.save([grant], now())
        return grant

    async def persist_use(self, grant: Grant) -> None:
        """A request was allowed. What is limited is on disk when this returns, so that no crash gives it back.

        Raises:
            StoreError: it could not be written; the request must not go on.
        """
        self.mark_dirty(grant)
        if grant.is_limited:
            await self._store.save(self.broker.lineage(grant), now())

    def mark_dirty(self, grant: Grant) -> None:
        """What a grant was used for has changed; it is written down within a second or so."""
        self._used.add(grant.id)

    async def verify(self, presented: str) -> Grant | Deny:
        """Whose credential is this? What is overdue is seen to before it is called expired; raises as `end_expired`."""
        found = self.broker.verify(presented, now())
        if isinstance(found, Deny) and found.refusal is Refusal.EXPIRED:
            await self.expire_due()
            found = self.broker.verify(presented, now())
        return found

    # --- who holds what -----------------------------------------------------------------------------------------------

    def of_user(self, uid: int | None) -> list[Grant]:
        """The living grants of a user, the oldest first; None: everybody's.

        Raises:
            StoreError: one that an earlier daemon left cannot be read.
        """
        return [grant for grant in self.broker.grants() if uid in {None, grant.terms.uid}]

    def loaded_of_user(self, uid: int | None) -> list[Grant]:
        """Those of them that were asked for since the start; none has to be read for that."""
        return [grant for grant in self.broker.loaded() if uid in {None, grant.terms.uid}]

    def enclosing_grant(self, pid: int, uid: int) -> Grant | None:
        """The user's grant whose process, or a descendant of it, this is; the innermost, if there are several.

        Other users' grants are not looked at: a process may be in one by another user's doing.

        Raises:
            RefusedError: that cannot be said, or that grant is over: whoever ran inside of it is not outside by that.
        """
        try:
            line = procfs.ancestors(pid)
        except (LookupError, OSError):
            raise UNSEEN from None
        for process in line:
            if self._leases.is_survivor(process) and uid in {os.getuid(), procfs.real_uid(process.pid)}:
                raise GRANT_IS_OVER
            found = [self.broker.grant(grant_id) for grant_id in self._leases.grants_of(process)]
            held = [grant for grant in found if grant.terms.uid == uid]
            if held:
                return max(held, key=lambda grant: len(self.broker.lineage(grant)))
        return None

    async def matching_trees(self, grant: Grant, inode: int) -> MatchingTrees:
        """Of a grant and all above it those bound to a tree of processes that this connection comes from."""
        trees = grant.trees if self.broker.is_alive(grant) else ()
        return frozenset([one for one in trees if await self._is_inside(one, inode)])

    async def ambient_grant(self, inode: int) -> Grant | None:
        """The innermost grant whose tree needs no credential, and this connection comes from."""
        open_to_all = [grant for grant in self._bound() if grant.terms.ambient]
        found = [grant for grant in open_to_all if await self._is_inside(grant.id, inode)]
        living = filter(self.broker.is_alive, found)
        return max(living, key=lambda grant: len(self.broker.lineage(grant)), default=None)

    def _bound(self) -> list[Grant]:
        return [self.broker.grant(grant_id) for grant_id in self._leases.ids()]

    async def _is_inside(self, grant_id: str, inode: int) -> bool:
        tree = self._leases.tree(grant_id)
        try:
            return tree is not None and await asyncio.to_thread(tree.owns_socket, inode)
        except OSError:
            return False

    # --- ending -------------------------------------------------------------------------------------------------------

    async def revoke(self, grant_ids: Iterable[str]) -> list[str]:
        """End grants and their children; returns the ids of all that ended, once that is on disk.

        Raises:
            StoreError, JournalError: they ended, but could not be written down: another daemon might not know of it.
        """
        ended = [grant for grant_id in grant_ids for grant in self.broker.revoke(grant_id)]
        await self._record_ended(ended, Refusal.REVOKED)
        return [grant.id for grant in ended]

    def abort_transfers(self, uid: int | None = None, account: str | None = None) -> None:
        """Break off what runs at this moment, of everybody or of one user, of all accounts or of one; the grants stay
        what they are."""
        for grant in self.loaded_of_user(uid):
            if account in {None, grant.terms.account}:
                self.connections.abort(grant.id)

    async def sweep(self) -> None:
        """Every second, for as long as the daemon runs: end what is over, look at trees, renew, write down."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.expire_due()
                await self._refresh_trees()
                await self._keep_used()
            except (JournalError, StoreError) as error:
                log.warning("not_recorded", reason=str(error))
            except OSError as error:
                log.warning("processes_not_seen", reason=error.strerror)
            self.last_sweep_at = time.monotonic()

    async def expire_due(self) -> None:
        """End what is over, so that no clock can bring it back; raises as `revoke`.

        First comes what a living process holds: a machine that slept for longer than a grant's time did not end it.
        """
        await self._renew_bound()
        await self._record_ended(self.broker.expire(now()), Refusal.EXPIRED)

    async def _refresh_trees(self) -> None:
        """Before a process is orphaned it has to be seen."""
        trees = [self._leases.tree(grant.id) for grant in self._bound() if grant.terms.bind is Bind.TREE]
        for tree in (*trees, *self._leases.survivor_trees()):
            if tree is not None:
                await asyncio.to_thread(tree.refresh)

    async def _renew_bound(self) -> None:
        """A long job never breaks: while its process lives, a grant without a set end is renewed at half its time."""
        for grant in self._bound():
            with suppress(RefusedError):  # it ended while another was renewed
                if self._is_to_be_renewed(self.broker.grant(grant.id)):
                    await self.renew(grant.id, grant.terms.ttl)

    def _is_to_be_renewed(self, grant: Grant) -> bool:
        _, *above = self.broker.lineage(grant)
        last = min([grant.minted_at + self._max_ttl_s, *(one.expires_at for one in above)])
        return grant.terms.renews and grant.expires_at - now() < grant.terms.ttl / 2 and grant.expires_at < last

    async def _keep_used(self) -> None:
        """What was used, and if nothing was, what time it is: what a clock is compared with that was set back."""
        used, self._used = self._used, set()
        is_due = now() >= self._kept_at + MINUTE and bool(self.broker.count())
        if used or is_due or self._store.has_unsaved:
            self._kept_at = now()
            await self._store.save([grant for one in used if (grant := self.broker.find(one))], now())

    def _holder_exited(self, grant_id: str) -> None:
        self._spawn(self._revoke_quietly(grant_id))

    def _survivor_exited(self, process: Process) -> None:
        self._spawn(self._forget_survivor(process))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _forget_survivor(self, process: Process) -> None:
        with suppress(StoreError):  # the next daemon finds out by itself
            await self._store.forget_survivor(process)

    async def _revoke_quietly(self, grant_id: str) -> None:
        try:
            await self.revoke([grant_id])
        except (JournalError, StoreError):
            log.warning("not_recorded", kind=EventKind.REVOKED.value, grant=grant_id)

    async def _record_ended(self, ended: Iterable[Grant], how: Refusal, survivors: Iterable[Process] = ()) -> None:
        """Cut what runs under ended grants, then write it down: in the journal also where the store cannot.

        `barred`: processes that may live on without their grant, besides those that are known here.
        """
        ended = list(ended)
        survivors = [*survivors, *self._cut(ended)]
        if not ended:
            return
        try:
            await self._store.save_ended([(grant, how) for grant in ended], now(), survivors)
        finally:
            *first, last = ended
            for grant in first:
                self._journal.append(_event(EventKind(how.value), grant))
            await self._journal.append_durably(_event(EventKind(how.value), last))  # and with it those before

    def _cut(self, ended: Iterable[Grant]) -> list[Process]:
        """Break off what runs under them; returns the processes that live on without their grant."""
        left: list[Process] = []
        for grant in ended:
            process = self._leases.detach_survivor(grant.id, self._survivor_exited)
            left += [] if process is None else [process]
            self.connections.abort(grant.id)
        return left


def _tied_to(grant: Grant) -> list[Process]:
    pid, start = grant.terms.pid, grant.terms.start
    return [] if pid is None or start is None else [Process(pid, start)]


def _set_back(grant: Grant, back: int) -> Grant:
    """If the clock was set back while no daemon ran, what was left of a grant's life is still all there is."""
    minted_at, expires_at = max(0, grant.minted_at - back), max(0, grant.expires_at - back)
    caveats = (Expires(expires_at), *grant.caveats[1:])
    return replace(grant, minted_at=minted_at, expires_at=expires_at, caveats=caveats)


def _event(kind: EventKind, grant: Grant, **more: object) -> dict[str, object]:
    return {
        "at": now(),
        "kind": kind.value,
        "uid": grant.terms.uid,
        "grant": grant.id,
        "account": grant.terms.account,
        "program": grant.terms.program,
        "parent": grant.terms.parent,
        **more,
    }
