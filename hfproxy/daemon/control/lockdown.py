"""Lockdown: all grants end at once, and none can be minted until a person unlocks.

A lockdown takes effect in memory first, without waiting for anything, and is on disk before it is confirmed: a marker
file in the state directory, which a daemon that starts finds. If a step fails (a full disk, a dead Hub, a keyring that
does not answer), the other steps are taken nevertheless, and the reply reports the failure.

Where one daemon serves several users, each of them locks down their own grants and accounts, and the vault, which they
share, stays open. A user who sees everything (`runtime.users.visible_uid`) locks down everything, and only such a user
can lift that.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from hfproxy import atomic_file
from hfproxy.core.audit.chain import EventKind
from hfproxy.core.policy.grant import Grant
from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.users import visible_uid
from hfproxy.daemon.tokens.revocation import PENDING_FILE as REVOCATIONS_FILE
from hfproxy.daemon.tokens.revocation import PendingRevocations, RevocationOutcome, RevocationRequest
from hfproxy.errors import HFProxyError, JournalError, RefusedError, StoreError, VaultError, VaultLockedError
from hfproxy.secret import Secret

log = structlog.get_logger()
MARKER_FILE: Final = "lockdown"
# How long a lockdown waits for a vault that prompts an absent user. By then nothing can be used, but the reply is due.
VAULT_TIMEOUT_S: Final = 10

# The uid of the user whose grants and accounts a lockdown covers; None: everything.
Owner = int | None


class LockdownResult(NamedTuple):
    """What a lockdown has done.

    Attributes:
        ended: the ids of the grants that it ended.
        outcomes: the outcome for each token that was to be revoked at the Hub.
        recorded: whether the journal has it.
    """

    ended: list[str]
    outcomes: list[RevocationOutcome]
    recorded: bool


class Lockdown:
    """The lockdowns in force: one for everything, and one for each user."""

    def __init__(
        self,
        state_dir: Path,
        accounts: AccountRegistry,
        grants: GrantRegistry,
        journal: JournalWriter,
        revocations: PendingRevocations,
    ) -> None:
        self._state_dir = state_dir
        self._accounts, self._grants, self._journal, self._revocations = accounts, grants, journal, revocations
        self._active = {_owner(marker) for marker in state_dir.glob(f"{MARKER_FILE}*")}
        # How often each owner has locked down: an unlock that was overtaken by a lockdown lifts nothing.
        self._generation: Counter[Owner] = Counter()
        self._marking = asyncio.Lock()
        self._ended_not_persisted = False  # the store still has ended grants, which the next daemon would revive

    def is_active(self, uid: int) -> bool:
        """Return whether a lockdown is in force for a user."""
        return not self._active.isdisjoint({None, uid})

    async def resume(self) -> None:
        """Put the lockdowns of an earlier daemon in force. Called before anything is served."""
        for owner in self._active:
            self._stop_tokens(owner)
            await self._end_grants(owner)
            self._close_vault(owner)
            log.warning("locked_down", uid=owner, way_out="hf-proxy unlock")

    async def engage(self, *, revoke_tokens: bool, account: str | None, uid: int) -> LockdownResult:
        """Lock down everything that a user reaches.

        Args:
            revoke_tokens: also revoke tokens at the Hub.
            account: revoke only this account's token, of this user; None: all tokens that the user reaches.
            uid: the user who asks.

        Raises:
            RefusedError: everything was done, but the marker file could not be written: a restarted daemon would not
                be locked down.
        """
        owner = visible_uid(uid)
        self._active.add(owner)
        self._generation[owner] += 1
        tokens = self._stop_tokens(owner)
        request = RevocationRequest(account, uid=owner if account is None else uid) if revoke_tokens else None
        written, ended = await asyncio.gather(self._write(owner, request), self._end_grants(owner))
        outcomes = [] if request is None else await self._revoke(tokens, request)
        self._close_vault(owner)
        recorded = await self._record(uid, outcomes)
        if not written:
            raise RefusedError(
                f"all grants ended and the vault is locked{_describe(outcomes)}, but {self._marker(owner)} could not be"
                " written: a daemon that is started anew would not know; make room, then again: hf-proxy lockdown"
            )
        return LockdownResult(ended, outcomes, recorded)

    async def preview(
        self, *, revoke_tokens: bool, account: str | None, uid: int
    ) -> tuple[list[Grant], list[Account] | None]:
        """Return the grants that `engage` would end and the accounts that it would revoke, None if the vault is locked.

        May wait for a keyring prompt.
        """
        owner = visible_uid(uid)
        grants = self._grants.of_user(owner)
        if not revoke_tokens:
            return grants, []
        if self._accounts.cache.locked:
            return grants, None
        token_owner = owner if account is None else uid
        tokens = await self._accounts.load_all()
        return grants, [
            account_token.account
            for key, account_token in tokens.items()
            if token_owner in {None, key.uid} and account in {None, key.name}
        ]

    async def unlock(self, passphrase: Secret | None, uid: int) -> list[RevocationOutcome]:
        """Open the vault and lift a user's lockdown; then retry the pending revocations.

        Raises:
            PassphraseError: the passphrase is wrong; nothing has changed.
            RefusedError: ended grants are not on disk yet, a lockdown came meanwhile, or the lockdown covers everything
                and this user does not.
        """
        owner = visible_uid(uid)
        if self._ended_not_persisted:
            raise RefusedError("the end of some grants could not be written down; make room, start the daemon again")
        self._check_may_lift(owner)
        generation = self._generation[owner]
        try:
            await self._accounts.unlock(passphrase)
        except VaultLockedError:
            if self._generation[owner] == generation:
                raise
        try:
            self._check_may_lift(owner)
        except RefusedError:  # everything was locked down while the vault was opening
            self._close_vault(None)
            await self._end_grants(None)
            raise
        if owner in self._active:
            await self._lift(owner, generation)
        return await self.retry_revocations()

    async def retry_revocations_at_start(self) -> None:
        """Retry what an earlier daemon could not revoke, and log the outcomes. A background job of the daemon."""
        for outcome in await self.retry_revocations():
            log.warning("revoked_at_the_hub", account=outcome.account, state=outcome.state, reason=outcome.why)

    async def retry_revocations(self) -> list[RevocationOutcome]:
        """Revoke the pending tokens at the Hub, unless the vault is locked. May wait for a keyring prompt."""
        if not self._revocations.requests or self._accounts.cache.locked:
            return []
        try:
            return await self._revocations.send_all(await self._accounts.load_all())
        except VaultError as error:
            log.warning("still_to_be_revoked", reason=str(error))
            return []

    def _check_may_lift(self, owner: Owner) -> None:
        if None in self._active and owner is not None:
            raise RefusedError("this is locked down for everybody, which only root can lift: sudo hf-proxy unlock")

    def _marker(self, owner: Owner) -> Path:
        return self._state_dir / (MARKER_FILE if owner is None else f"{MARKER_FILE}-{owner}")

    def _stop_tokens(self, owner: Owner) -> Mapping[AccountKey, AccountToken] | None:
        """Make tokens unusable at once; return all that were open if it is the tokens of all users."""
        if owner is None:
            return self._accounts.forget_tokens()
        self._accounts.cache.suspend(owner)
        return None

    async def _lift(self, owner: Owner, generation: int) -> None:
        marker = self._marker(owner)
        async with self._marking:
            try:
                if self._generation[owner] != generation:
                    raise RefusedError("it was locked again in the meantime; run: hf-proxy unlock")
                await asyncio.to_thread(atomic_file.remove, marker)
                if self._generation[owner] == generation:
                    self._mark_lifted(owner)
            except (OSError, RefusedError) as error:
                self._close_vault(owner)
                await self._end_grants(owner)  # those minted while the vault was open
                why = f"{marker} cannot be removed; see: ls -l {marker}" if isinstance(error, OSError) else str(error)
                raise RefusedError(f"still locked ({why}); try again: hf-proxy unlock") from None

    def _mark_lifted(self, owner: Owner) -> None:
        self._active.discard(owner)
        if owner is not None:
            self._accounts.cache.reinstate(owner)

    async def _write(self, owner: Owner, request: RevocationRequest | None) -> bool:
        """Write the revocation request and the marker; return whether the marker is on disk."""
        if request is not None:
            try:
                await self._revocations.add(request)
            except OSError as error:  # it is sent now nevertheless
                log.warning("not_written", file=REVOCATIONS_FILE, reason=error.strerror)
        try:
            async with self._marking:
                await asyncio.to_thread(atomic_file.write, self._marker(owner), b"hf-proxy unlock\n")
        except OSError as error:
            log.warning("not_written", file=MARKER_FILE, reason=error.strerror)
            return False
        return True

    async def _end_grants(self, owner: Owner) -> list[str]:
        ids = self._grants_to_end(owner)
        try:
            await self._grants.revoke(ids)
        except HFProxyError as error:
            self._not_recorded(error)
        return ids

    def _grants_to_end(self, owner: Owner) -> list[str]:
        """Return the ids of the living grants that can be read.

        A grant that cannot be read cannot be used either; the next daemon finds the marker and ends it.
        """
        try:
            return [grant.id for grant in self._grants.of_user(owner)]
        except StoreError as error:
            self._not_recorded(error)
            return [grant.id for grant in self._grants.loaded_of_user(owner)]

    def _not_recorded(self, error: HFProxyError) -> None:
        self._ended_not_persisted = True
        log.warning("not_recorded", kind=EventKind.REVOKED.value, reason=str(error))

    async def _revoke(
        self, tokens: Mapping[AccountKey, AccountToken] | None, request: RevocationRequest
    ) -> list[RevocationOutcome]:
        name, uid = request.account or "every account", request.uid
        try:
            async with asyncio.timeout(VAULT_TIMEOUT_S):
                tokens = tokens if tokens is not None else await self._accounts.read_while_locked()
            return await self._revocations.send_all(tokens)
        except VaultError:
            return [RevocationOutcome(name, "waiting", "the vault was locked already", uid)]
        except TimeoutError:
            return [RevocationOutcome(name, "waiting", "the vault does not answer", uid)]

    def _close_vault(self, owner: Owner) -> None:
        if owner is None:  # a single user's lockdown leaves the shared vault open
            self._accounts.lock()

    async def _record(self, uid: int, outcomes: list[RevocationOutcome]) -> bool:
        event: dict[str, object] = {"at": now(), "kind": EventKind.LOCKDOWN.value, "uid": uid}
        if outcomes:
            event["revoked_upstream"] = [outcome.account for outcome in outcomes if outcome.state == "revoked"]
            event["to_revoke"] = [outcome.account for outcome in outcomes if outcome.state == "waiting"]
        try:
            await self._journal.append_durably(event)
        except JournalError:
            log.warning("not_recorded", kind=EventKind.LOCKDOWN.value)
            return False
        return True


def _owner(marker: Path) -> Owner:
    """Return the owner that a marker file names; a name that cannot be read locks down everything."""
    uid = marker.name.removeprefix(f"{MARKER_FILE}-")
    return int(uid) if uid.isdecimal() and uid.isascii() else None


def _describe(outcomes: list[RevocationOutcome]) -> str:
    return "".join(
        f"; token of {one.account} {'revoked at the Hub' if one.state == 'revoked' else f'NOT revoked ({one.why})'}"
        for one in outcomes
    )
