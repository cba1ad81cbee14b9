"""Lockdown: everything ends at once, and nothing begins until somebody unlocks.

It is in force in memory first, where nothing has to be waited for, and on disk before anybody is told so: a file in the
state directory, which a daemon that starts finds. Whatever fails on the way (a full disk, a dead Hub, a keyring that
does not answer), the rest is done, and what failed is said.

Where one daemon serves several users, each locks down what is theirs, and what is the others' goes on: so the vault,
which they share, stays open. Who reaches everything (`members.reach`) locks down everything, and alone can lift that.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from hfproxy import atomic_file
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.users import visible_uid
from hfproxy.daemon.tokens.revocation import FILE as WAITING
from hfproxy.daemon.tokens.revocation import PendingRevocations, RevocationOutcome, RevocationRequest
from hfproxy.errors import HFProxyError, JournalError, RefusedError, StoreError, VaultError, VaultLockedError
from hfproxy.secret import Secret

log = structlog.get_logger()
FILE: Final = "lockdown"
# A vault that asks a person who is not there must not keep the answer back: nothing is given out by then.
VAULT_SECONDS: Final = 10

# Whose: a user's; None: everybody's.
Owner = int | None


class Lockdown:
    """The one switch for all, one for each user, and the way back."""

    def __init__(
        self,
        state: Path,
        accounts: AccountRegistry,
        grants: GrantRegistry,
        journal: JournalWriter,
        recalls: PendingRevocations,
    ) -> None:
        self._state = state
        self._accounts, self._grants, self._journal, self._recalls = accounts, grants, journal, recalls
        self._active = {_whose(marker) for marker in state.glob(f"{FILE}*")}
        self._generation: Counter[Owner] = Counter()
        self._switching = asyncio.Lock()
        self._ended_not_persisted = False  # grants ended that another daemon might still take for living ones

    def is_active(self, uid: int) -> bool:
        """Whether it is in force for a user."""
        return not self._active.isdisjoint({None, uid})

    async def resume(self) -> None:
        """At the start: stay as an earlier daemon was left."""
        for whose in self._active:
            self._shut(whose)
            await self._end_all(whose)
            self._close_vault(whose)
            log.warning("locked_down", uid=whose, way_out="hf-proxy unlock")

    async def engage(
        self, *, recall: bool, account: str | None, uid: int
    ) -> tuple[list[str], list[RevocationOutcome], bool]:
        """End all that a user has in reach; with `recall` also the tokens at the Hub, or that of one account of theirs.

        Returns the ids of the grants that ended, what became of the tokens, and whether the journal has it.

        Raises:
            RefusedError: all that was done, but a daemon that starts anew might not know of it.
        """
        whose = visible_uid(uid)
        self._active.add(whose)
        self._generation[whose] += 1
        held = self._shut(whose)
        wanted = RevocationRequest(account, uid=whose if account is None else uid) if recall else None
        written, ended = await asyncio.gather(self._write_down(whose, wanted), self._end_all(whose))
        outcomes = await self._recall(held, wanted) if wanted is not None else []
        self._close_vault(whose)
        recorded = await self._record(uid, outcomes)
        if not written:
            raise RefusedError(
                f"all grants ended and the vault is locked{_describe(outcomes)}, but {self._marker(whose)} could not be"
                " written: a daemon that is started anew would not know; make room, then again: hf-proxy lockdown"
            )
        return ended, outcomes, recorded

    async def unlock(self, passphrase: Secret | None, uid: int) -> list[RevocationOutcome]:
        """Open the vault and lift the lockdown; then send what could not be sent before.

        Raises:
            PassphraseError: it is the wrong one; nothing has changed.
            RefusedError: what had ended is not on disk yet, somebody locked down in the meantime, or it is not for this
                user to lift.
        """
        whose = visible_uid(uid)
        if self._ended_not_persisted:
            raise RefusedError("the end of some grants could not be written down; make room, start the daemon again")
        self._check_everybody(whose)
        before = self._generation[whose]
        try:
            await self._accounts.unlock(passphrase)
        except VaultLockedError:
            if self._generation[whose] == before:
                raise
        try:
            self._check_everybody(whose)
        except RefusedError:  # meanwhile
            self._close_vault(None)
            await self._end_all(None)
            raise
        if whose in self._active:
            await self._release(whose, before)
        return await self.retry_revocations()

    async def retry_revocations_at_start(self) -> None:
        """At the start, beside everything else: what an earlier daemon could not send."""
        for one in await self.retry_revocations():
            log.warning("revoked_at_the_hub", account=one.account, state=one.state, reason=one.why)

    async def retry_revocations(self) -> list[RevocationOutcome]:
        """Revoke at the Hub what is still to be revoked, if the vault is open; may open a keyring."""
        if not self._recalls.wanted or self._accounts.locked:
            return []
        try:
            return await self._recalls.send_all(await self._accounts.load_all())
        except VaultError as error:
            log.warning("still_to_be_revoked", reason=str(error))
            return []

    def _check_everybody(self, whose: Owner) -> None:
        if None in self._active and whose is not None:
            raise RefusedError("this is locked down for everybody, which only root can lift: sudo hf-proxy unlock")

    def _marker(self, whose: Owner) -> Path:
        return self._state / (FILE if whose is None else f"{FILE}-{whose}")

    def _shut(self, whose: Owner) -> Mapping[AccountKey, AccountToken] | None:
        """Give nothing out any more; returns what was open of the vault when it is shut to all."""
        if whose is None:
            return self._accounts.forget_tokens()
        self._accounts.suspend(whose)
        return None

    async def _release(self, whose: Owner, before: int) -> None:
        marker = self._marker(whose)
        async with self._switching:
            try:
                if self._generation[whose] != before:
                    raise RefusedError("it was locked again in the meantime; run: hf-proxy unlock")
                await asyncio.to_thread(atomic_file.remove, marker)
                if self._generation[whose] == before:
                    self._mark_released(whose)
            except (OSError, RefusedError) as error:
                self._close_vault(whose)
                await self._end_all(whose)  # what was minted while it was open
                why = f"{marker} cannot be removed; see: ls -l {marker}" if isinstance(error, OSError) else str(error)
                raise RefusedError(f"it stays locked, so once more: hf-proxy unlock ({why})") from None

    def _mark_released(self, whose: Owner) -> None:
        self._active.discard(whose)
        if whose is not None:
            self._accounts.reinstate(whose)

    async def _write_down(self, whose: Owner, wanted: RevocationRequest | None) -> bool:
        if wanted is not None:
            try:
                await self._recalls.add(wanted)
            except OSError as error:  # it is sent now all the same
                log.warning("not_written", file=WAITING, reason=error.strerror)
        try:
            async with self._switching:
                await asyncio.to_thread(atomic_file.write, self._marker(whose), b"hf-proxy unlock\n")
        except OSError as error:
            log.warning("not_written", file=FILE, reason=error.strerror)
            return False
        return True

    async def _end_all(self, whose: Owner) -> list[str]:
        living = self._living(whose)
        try:
            await self._grants.revoke(living)
        except HFProxyError as error:
            self._not_recorded(error)
        return living

    def _living(self, whose: Owner) -> list[str]:
        """All that can be ended. What cannot be read cannot be used; the next daemon finds the mark and ends it."""
        try:
            return [grant.id for grant in self._grants.of_user(whose)]
        except StoreError as error:
            self._not_recorded(error)
            return [grant.id for grant in self._grants.loaded_of_user(whose)]

    def _not_recorded(self, error: HFProxyError) -> None:
        self._ended_not_persisted = True
        log.warning("not_recorded", kind=EventKind.REVOKED.value, reason=str(error))

    async def _recall(
        self, held: Mapping[AccountKey, AccountToken] | None, wanted: RevocationRequest
    ) -> list[RevocationOutcome]:
        name, uid = wanted.account or "every account", wanted.uid
        try:
            async with asyncio.timeout(VAULT_SECONDS):
                held = held if held is not None else await self._accounts.read_while_locked()
            return await self._recalls.send_all(held)
        except VaultError:
            return [RevocationOutcome(name, "waiting", "the vault was locked already", uid)]
        except TimeoutError:
            return [RevocationOutcome(name, "waiting", "the vault does not answer", uid)]

    def _close_vault(self, whose: Owner) -> None:
        """The vault is everybody's, so it is closed with everything only."""
        if whose is None:
            self._accounts.lock()

    async def _record(self, uid: int, outcomes: list[RevocationOutcome]) -> bool:
        event: dict[str, object] = {"at": now(), "kind": EventKind.LOCKDOWN.value, "uid": uid}
        if outcomes:
            event["revoked_upstream"] = [one.account for one in outcomes if one.state == "revoked"]
            event["to_revoke"] = [one.account for one in outcomes if one.state == "waiting"]
        try:
            await self._journal.append_durably(event)
        except JournalError:
            log.warning("not_recorded", kind=EventKind.LOCKDOWN.value)
            return False
        return True


def _whose(marker: Path) -> Owner:
    """Whose lockdown a file stands for; one that says nothing that can be read is everybody's."""
    uid = marker.name.removeprefix(f"{FILE}-")
    return int(uid) if uid.isdecimal() and uid.isascii() else None


def _describe(outcomes: list[RevocationOutcome]) -> str:
    return "".join(
        f"; token of {one.account} {'revoked at the Hub' if one.state == 'revoked' else f'NOT revoked ({one.why})'}"
        for one in outcomes
    )
