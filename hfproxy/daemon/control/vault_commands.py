"""The commands about the vault: `unlock`, `seal`, `lock` and `lockdown`.

All users of a daemon share the vault: each of them may close it, a sealed one is opened by its passphrase, and only
root or the daemon's own user may seal it.
"""

from dataclasses import dataclass

from hfproxy import wire
from hfproxy.config import parse_duration
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.opener import VaultOpener
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.dispatch import CommandTable
from hfproxy.daemon.control.lockdown import Lockdown
from hfproxy.daemon.control.minting import grant_json
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.tokens.revocation import RevocationOutcome
from hfproxy.errors import PassphraseError, RefusedError, VaultLockedError
from hfproxy.secret import Secret


@dataclass(frozen=True, slots=True)
class VaultCommands:
    """Answers the commands that open and close the vault."""

    accounts: AccountRegistry
    opener: VaultOpener
    grants: GrantRegistry
    journal: JournalWriter
    lockdown: Lockdown

    def register(self, table: CommandTable) -> None:
        """Add the handlers to the table."""
        table.add(requests.UnlockRequest, self.unlock)
        table.add(requests.SealRequest, self.seal)
        table.add(requests.LockRequest, self.lock)
        table.add(requests.LockdownRequest, self.lock_down)

    async def unlock(self, request: requests.UnlockRequest, caller: Caller) -> wire.Message:
        """Open the vault and lift the caller's lockdown.

        Without a passphrase in the request, a sealed vault is opened by the config's key file or systemd's credential;
        if there is neither, the reply says that a passphrase is needed.
        """
        vault = self.accounts.vault
        cache_s = None if request.keep is None else parse_duration(request.keep)
        passphrase = None if request.passphrase is None else Secret(request.passphrase)
        needs_passphrase: wire.Message = {"locked": True, "exists": vault.exists}
        if passphrase is None and vault.locked and (passphrase := self.opener.passphrase()) is None:
            return needs_passphrase
        try:
            outcomes = await self.lockdown.unlock(passphrase, caller.uid)
        except PassphraseError as error:
            raise error if request.passphrase is not None else self.opener.wrong_passphrase() from None
        except VaultLockedError:
            if passphrase is None and vault.locked:  # reading it showed that it is sealed: its marker file was missing
                return needs_passphrase
            raise
        self.journal.append_best_effort(EventKind.UNLOCK)
        if cache_s is not None:
            self.opener.cache_key(cache_s)
        return {
            "locked": self.accounts.cache.locked_to(caller.uid),
            "exists": True,
            "recalled": _outcomes_json(outcomes, caller.visible_uid),
        }

    async def seal(self, request: requests.SealRequest, caller: Caller) -> wire.Message:
        """Encrypt the vault under a passphrase, or store it as plaintext in the keyring again."""
        if caller.visible_uid is not None:
            raise RefusedError("only root may seal the vault that all share: sudo hf-proxy vault seal")
        await self.accounts.seal(Secret(request.passphrase), undo=request.undo)
        self.opener.drop_cached_key()  # it opens the vault of before
        return {"vault": self.accounts.vault.name, "locked": self.accounts.cache.locked}

    async def lock(self, _: requests.LockRequest, __: Caller) -> wire.Message:
        """Close the vault and abort the transfers that use its tokens; the grants stay."""
        self.grants.abort_transfers()
        self.accounts.lock()
        return {"locked": True}

    async def lock_down(self, request: requests.LockdownRequest, caller: Caller) -> wire.Message:
        """End everything that the caller reaches; with `dry`, only list it."""
        if request.dry:
            return await self._preview(request, caller)
        result = await self.lockdown.engage(revoke_tokens=request.recall, account=request.account, uid=caller.uid)
        return {
            "ended": result.ended,
            "recalled": _outcomes_json(result.outcomes, caller.visible_uid),
            "recorded": result.recorded,
        }

    async def _preview(self, request: requests.LockdownRequest, caller: Caller) -> wire.Message:
        grants, accounts = await self.lockdown.preview(
            revoke_tokens=request.recall, account=request.account, uid=caller.uid
        )
        tokens = (
            None
            if accounts is None
            else [{"account": one.name, "user": one.user, "origin": one.origin.url} for one in accounts]
        )
        return {"grants": [grant_json(grant) for grant in grants], "tokens": tokens}


def _outcomes_json(outcomes: list[RevocationOutcome], visible_uid: int | None) -> list[wire.Message]:
    """Return the outcomes that concern a user's own accounts; `visible_uid` None: all of them."""
    return [
        {"account": outcome.account, "state": outcome.state, "why": outcome.why}
        for outcome in outcomes
        if visible_uid is None or outcome.uid == visible_uid
    ]
