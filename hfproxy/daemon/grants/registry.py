"""Grants in the daemon: where the broker's rules meet the clock, processes, the store, the journal and connections.

The life of a grant:

1. **Mint.** The broker issues it, a lease ties it to its process, the store and the journal have it on disk; only then
   its credential is returned. If any of that fails, the grant is revoked again.
2. **Use.** `verify` finds the grant of a credential, the broker decides. Counters that a limit depends on are on disk
   before the request goes on (`persist_use`); all others within about a second (`mark_dirty`, `sweep`).
3. **Renew.** The expiry moves, `max_ttl_s` after minting at the latest. A grant that renews itself is renewed while its
   process lives.
4. **End**, for good, in one of two ways. *Revoke* ends it before its time: by command, by lockdown, or because its
   process exited. *Expire* ends it at its time. Its descendants end with it. Either way, in this order:
   the broker removes the grant, its lease is *detached*, its connections are *aborted*, the store and the journal have
   it on disk, and only then the caller is told.
5. **Restart.** Grants live on while no daemon runs. The next one ends those that have expired or lost their process,
   attaches the others to their processes again, and loads each when it is first asked for (`lazy_broker`).

A *survivor* is a process that outlives the grant it was bound to. It is remembered until it exits, so that ending its
grant does not make a process look as if it ran outside of any.

Left to others: the policy (`core.policy.broker`), the format on disk (`store`), pidfds and process trees (`leases`),
and which grant a process or a connection belongs to (`membership`).
"""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import replace

import structlog

from hfproxy.core.audit.chain import EventKind
from hfproxy.core.policy import credential
from hfproxy.core.policy.broker import Broker, GrantNotLoaded
from hfproxy.core.policy.caveats import MINUTE_S, Expires
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.unloaded_grants import GrantSummary
from hfproxy.daemon.grants.connections import ActiveConnections
from hfproxy.daemon.grants.lazy_broker import LazyBroker
from hfproxy.daemon.grants.leases import Leases, open_process
from hfproxy.daemon.grants.membership import ProcessMembership
from hfproxy.daemon.grants.store import GrantStore, StoredState
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime import procfs
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.procfs import Process
from hfproxy.errors import JournalError, RefusedError, StoreError

log = structlog.get_logger()

SWEEP_SECONDS = 1


class GrantRegistry:
    """All grants, with their leases, their connections and their records on disk."""

    def __init__(self, journal: JournalWriter, store: GrantStore, max_ttl_s: int) -> None:
        """`max_ttl_s`: how many seconds a grant may live, renewals included."""
        self.broker = Broker()
        """For questions about grants that were verified or minted here: those are loaded."""
        self.connections = ActiveConnections()
        self._grants = LazyBroker(self.broker, store.grant)
        self._journal, self._store, self._max_ttl_s = journal, store, max_ttl_s
        self._leases = Leases()
        self.membership = ProcessMembership(self.broker, self._leases)
        self._dirty: set[str] = set()
        self._last_save_at = 0
        self._background: set[asyncio.Task[None]] = set()
        self.last_sweep_at = time.monotonic()
        """When `sweep` last finished a round, by the monotonic clock; for the watchdog (`runtime.systemd.feed`)."""

    # --- before and after this daemon ---------------------------------------------------------------------------------

    async def restore(self, state: StoredState) -> None:
        """Take over the grants of an earlier daemon; end those that expired or lost their process meanwhile.

        Raises:
            StoreError, JournalError: that could not be recorded.
        """
        boot = procfs.boot_id()
        for digest, how in state.ended:
            self.broker.remember_ended(digest, how)
        summaries = await self._adjust_to_clock(state)
        self.broker.restore(summaries)
        survivors = list(state.survivors)
        survivors += await self._record_ended_while_down(self._grants.expire(now()), Refusal.EXPIRED)
        for summary in summaries:
            if summary.pid is not None and not self._reattach_lease(summary.id, same_boot=state.boot == boot):
                survivors += await self._record_ended_while_down(self._grants.revoke(summary.id), Refusal.REVOKED)
        for process in survivors:
            if state.boot != boot or not self._reattach_survivor(process):
                await self._store.forget_survivor(process)
        self._store.set_meta("boot", boot)

    async def _adjust_to_clock(self, state: StoredState) -> tuple[GrantSummary, ...]:
        """Move all grants back by as much as the clock was set back while no daemon ran.

        That is on disk before anything else is written: the present time is written with everything, and would hide
        that the clock was set back.
        """
        seconds = state.at - now()
        if seconds <= 0:
            return state.summaries
        grants = [_moved_back(grant, seconds) for one in state.summaries if (grant := self._store.grant(one.id))]
        await self._store.save(grants, now())
        return tuple(grant.summary for grant in grants)

    def _reattach_lease(self, grant_id: str, *, same_boot: bool) -> bool:
        """Tie a bound grant to its process again, if it has not ended; False: the process has exited."""
        grant = self._grants.find(grant_id)
        if grant is None or grant.terms.pid is None:
            return True
        try:
            handle = open_process(grant.terms.pid)
        except RefusedError:
            return False
        # Another process may have the number by now; after a restart of the machine start times begin anew, too.
        if not same_boot or handle.process.start != grant.terms.start:
            handle.close()
            return False
        self._leases.attach(grant.id, handle, self._on_bound_process_exit)
        return True

    async def _record_ended_while_down(self, ended: Iterable[Grant], how: Refusal) -> list[Process]:
        """Record grants that ended while no daemon ran; returns the processes that may have survived them."""
        ended = list(ended)
        processes = [process for grant in ended for process in _bound_process(grant)]
        await self._record_ended(ended, how, processes)
        return processes

    def _reattach_survivor(self, process: Process) -> bool:
        """Watch a survivor that an earlier daemon recorded; False: it has exited."""
        try:
            handle = open_process(process.pid)
        except RefusedError:
            return False
        if handle.process != process:
            handle.close()
            return False
        self._leases.track_survivor(handle, self._on_survivor_exit)
        return True

    async def close(self) -> None:
        """Finish the ends under way, and write the counters. Grants live on; the next daemon restores them."""
        self._leases.close()
        await asyncio.gather(*self._background)
        with suppress(StoreError):
            await self._store.save(self.broker.grants(), now())

    # --- minting, using and renewing ----------------------------------------------------------------------------------

    async def mint(self, terms: GrantTerms) -> tuple[Grant, str]:
        """Issue a grant; returns it with its credential once the store and the journal have it on disk.

        Raises:
            RefusedError: the process to bind it to has exited, or the parent does not live.
            JournalError, StoreError: it could not be recorded; there is no grant then.
        """
        grant, bearer = self._issue(terms)
        try:
            await self._store.save([grant], now())
            await self._journal.append_durably(
                _event(
                    EventKind.MINTED,
                    grant,
                    scopes=[str(scope) for scope in terms.scopes],
                    label=terms.label,
                    container=terms.container or None,
                )
            )
        except BaseException:
            # Detached first: the process had nothing of the grant, so it does not become a survivor.
            self._leases.detach(grant.id)
            self._detach_and_abort(self._grants.revoke(grant.id))
            with suppress(StoreError):
                await self._store.save_ended([(grant, Refusal.REVOKED)], now())
            raise
        return grant, bearer

    def _issue(self, terms: GrantTerms) -> tuple[Grant, str]:
        handle = open_process(terms.pid) if terms.pid is not None else None
        if handle is not None:
            terms = replace(terms, start=handle.process.start)
        try:
            grant, bearer = self._grants.mint(terms, secrets.token_bytes(credential.ENTROPY_BYTES), now())
        except BaseException:
            if handle is not None:
                handle.close()
            raise
        if handle is not None:
            self._leases.attach(grant.id, handle, self._on_bound_process_exit)
        return grant, bearer

    async def renew(self, grant_id: str, ttl: int) -> Grant:
        """Move a grant's expiry to `ttl` seconds from now, `max_ttl_s` after minting at the latest; never back.

        Raises:
            RefusedError: no such grant lives, or it has expired.
            JournalError, StoreError: the new expiry could not be recorded.
        """
        grant = self.grant(grant_id)
        expires_at = max(grant.expires_at, min(now() + ttl, grant.minted_at + self._max_ttl_s))
        grant = self._grants.renew(grant_id, expires_at, now())
        await self._journal.append_durably(_event(EventKind.RENEWED, grant, expires_at=grant.expires_at))
        self.grant(grant_id)  # raises if it ended while the journal was written
        await self._store.save([grant], now())
        return grant

    async def verify(self, presented: str, at: int) -> Grant | Deny:
        """Return the grant that a credential stands for, or why there is none.

        Before a credential is called expired, due renewals are made: its grant may be one that renews itself.

        Args:
            presented: The credential.
            at: When it was presented, in seconds since the epoch.

        Raises:
            StoreError: the grant cannot be read, or an end cannot be recorded.
            JournalError: an end cannot be recorded.
        """
        verdict: Grant | Deny | GrantNotLoaded = self.broker.verify(presented, at)
        if isinstance(verdict, Grant):  # nearly every request: nothing to load, nothing due
            return verdict
        verdict = self._grants.verify(presented, at)
        if isinstance(verdict, Deny) and verdict.refusal is Refusal.EXPIRED:
            await self.expire_due()
            verdict = self._grants.verify(presented, now())
        return verdict

    async def persist_use(self, grant: Grant) -> None:
        """Record that a request was allowed. If the grant is limited, its counters are on disk when this returns, so
        that no crash gives a use back.

        Raises:
            StoreError: they could not be written; the request must not go on.
        """
        self.mark_dirty(grant)
        if grant.is_limited:
            await self._store.save(self.broker.lineage(grant), now())

    def mark_dirty(self, grant: Grant) -> None:
        """Have the grant's counters written by the next `sweep`."""
        self._dirty.add(grant.id)

    # --- finding ------------------------------------------------------------------------------------------------------

    def find(self, grant_id: str) -> Grant | None:
        """Return the living grant of that id; None: there is none.

        Raises:
            StoreError: an earlier daemon persisted it, and it cannot be read.
        """
        return self._grants.find(grant_id)

    def grant(self, grant_id: str) -> Grant:
        """Return the living grant of that id.

        Raises:
            RefusedError: there is none.
            StoreError: an earlier daemon persisted it, and it cannot be read.
        """
        self._grants.find(grant_id)
        return self.broker.grant(grant_id)

    def subtree(self, grant_id: str) -> tuple[Grant, ...]:
        """Return a grant and its descendants, parents first; empty if it has ended.

        Raises:
            StoreError: an earlier daemon persisted the grant, and it cannot be read.
        """
        return self._grants.subtree(grant_id)

    def of_user(self, uid: int | None) -> list[Grant]:
        """Return the living grants of a user, of all users for None, oldest first.

        Raises:
            StoreError: one that an earlier daemon persisted cannot be read.
        """
        return [grant for grant in self._grants.grants() if uid in {None, grant.terms.uid}]

    def loaded_of_user(self, uid: int | None) -> list[Grant]:
        """Return those of them that are loaded: only they were used since the start. Reads nothing."""
        return [grant for grant in self.broker.grants() if uid in {None, grant.terms.uid}]

    # --- ending -------------------------------------------------------------------------------------------------------

    async def revoke(self, grant_ids: Iterable[str]) -> list[str]:
        """End grants and their descendants before their time; returns the ids of all that ended, once that is on disk.

        Raises:
            StoreError, JournalError: they ended, but that could not be recorded: the next daemon might not know of it.
        """
        ended = [grant for grant_id in grant_ids for grant in self._grants.revoke(grant_id)]
        await self._record_ended(ended, Refusal.REVOKED)
        return [grant.id for grant in ended]

    def abort_transfers(self, uid: int | None = None, account: str | None = None) -> None:
        """Abort the connections in use at this moment, of one user or all, and of one account or all.

        The grants live on.
        """
        for grant in self.loaded_of_user(uid):
            if account in {None, grant.terms.account}:
                self.connections.abort(grant.id)

    async def sweep(self) -> None:
        """Every second, until cancelled: renew and expire grants, refresh the trees, write the counters."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.expire_due()
                await self.membership.refresh_trees()
                await self._save_dirty()
            except (JournalError, StoreError) as error:
                log.warning("not_recorded", reason=str(error))
            except OSError as error:
                log.warning("processes_not_seen", reason=error.strerror)
            self.last_sweep_at = time.monotonic()

    async def expire_due(self) -> None:
        """End the grants that have expired, and record that, so that no clock brings them back.

        Grants that renew themselves are renewed first: a machine that slept for longer than such a grant's time did not
        end it while its process lives.

        Raises:
            StoreError, JournalError: a renewal or an end could not be recorded.
        """
        await self._renew_bound()
        await self._record_ended(self._grants.expire(now()), Refusal.EXPIRED)

    async def _renew_bound(self) -> None:
        """Renew the grants that renew themselves, at half of their time: a long job never breaks."""
        for grant in self.membership.bound_grants():
            with suppress(RefusedError):  # it ended while the one before was renewed
                if self._is_renewal_due(self.broker.grant(grant.id)):
                    await self.renew(grant.id, grant.terms.ttl)

    def _is_renewal_due(self, grant: Grant) -> bool:
        _, *ancestors = self.broker.lineage(grant)
        latest = min([grant.minted_at + self._max_ttl_s, *(ancestor.expires_at for ancestor in ancestors)])
        return grant.terms.renews and grant.expires_at - now() < grant.terms.ttl / 2 and grant.expires_at < latest

    async def _save_dirty(self) -> None:
        """Write changed counters; if there are none, once a minute the time, which the next daemon compares its clock
        with."""
        dirty, self._dirty = self._dirty, set()
        is_due = now() >= self._last_save_at + MINUTE_S and bool(self.broker.count())
        if dirty or is_due or self._store.has_unsaved:
            self._last_save_at = now()
            await self._store.save([grant for one in dirty if (grant := self.broker.find(one))], now())

    def _on_bound_process_exit(self, grant_id: str) -> None:
        self._spawn(self._revoke_after_exit(grant_id))

    def _on_survivor_exit(self, process: Process) -> None:
        self._spawn(self._forget_survivor(process))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` in the background; `close` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _forget_survivor(self, process: Process) -> None:
        with suppress(StoreError):  # the next daemon sees that it has exited
            await self._store.forget_survivor(process)

    async def _revoke_after_exit(self, grant_id: str) -> None:
        try:
            await self.revoke([grant_id])
        except (JournalError, StoreError):
            log.warning("not_recorded", kind=EventKind.REVOKED.value, grant=grant_id)

    async def _record_ended(self, ended: Iterable[Grant], how: Refusal, survivors: Iterable[Process] = ()) -> None:
        """Do what follows the end of grants in the broker: detach, abort, store, journal. Returns when it is on disk.

        The journal is written also if the store cannot be. `survivors`: processes that may outlive their grants, beside
        those that have a lease.
        """
        ended = list(ended)
        survivors = [*survivors, *self._detach_and_abort(ended)]
        if not ended:
            return
        try:
            await self._store.save_ended([(grant, how) for grant in ended], now(), survivors)
        finally:
            *first, last = ended
            for grant in first:
                self._journal.append(_event(EventKind(how.value), grant))
            await self._journal.append_durably(_event(EventKind(how.value), last))  # and with it the lines before

    def _detach_and_abort(self, ended: Iterable[Grant]) -> list[Process]:
        """Release the leases of ended grants and abort their connections; returns the processes that survive them."""
        survivors: list[Process] = []
        for grant in ended:
            process = self._leases.detach_survivor(grant.id, self._on_survivor_exit)
            survivors += [] if process is None else [process]
            self.connections.abort(grant.id)
        return survivors


def _bound_process(grant: Grant) -> list[Process]:
    pid, start = grant.terms.pid, grant.terms.start
    return [] if pid is None or start is None else [Process(pid, start)]


def _moved_back(grant: Grant, seconds: int) -> Grant:
    """The grant with its remaining life kept on a clock that was set back."""
    minted_at, expires_at = max(0, grant.minted_at - seconds), max(0, grant.expires_at - seconds)
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
