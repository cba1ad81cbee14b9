"""The commands about accounts: `login`, `adopt`, `accounts`, `logout`, `rotate`, and the daemon's part of `doctor`.

A user sees and changes accounts of their own only.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from hfproxy import wire
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.model import AccountKey
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.dispatch import CommandTable
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens import check
from hfproxy.daemon.tokens.identify import identify
from hfproxy.daemon.tokens.importing import TokenImporter
from hfproxy.daemon.tokens.rotation import TokenRotation
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import UsageError
from hfproxy.secret import Secret

MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class AccountCommands:
    """Answers the commands about accounts."""

    accounts: AccountRegistry
    grants: GrantRegistry
    journal: JournalWriter
    hub: HubApi
    importer: TokenImporter
    rotation: TokenRotation

    def register(self, table: CommandTable) -> None:
        """Add the handlers to the table."""
        table.add(requests.AccountsRequest, self.list_accounts)
        table.add(requests.LoginRequest, self.login)
        table.add(requests.ImportTokenRequest, self.import_token)
        table.add(requests.LogoutRequest, self.logout)
        table.add(requests.RotateRequest, self.rotate)
        table.add(requests.DoctorRequest, self.doctor)

    async def list_accounts(self, _: requests.AccountsRequest, caller: Caller) -> wire.Message:
        """Return the caller's accounts."""
        accounts = await self.accounts.load(caller.uid)
        return {"accounts": [account_token.account.public() for account_token in accounts.values()]}

    async def login(self, request: requests.LoginRequest, caller: Caller) -> wire.Message:
        """Store a token after asking the Hub for its owner."""
        key = AccountKey(caller.uid, _account_name(request.account))
        self.accounts.vault.user_is_present()
        await self.accounts.load(key.uid)  # fails for a locked or absent vault before the token is sent anywhere
        account_token = await identify(self.hub, key, _token(request.token))
        warnings = await self.rotation.finish_pending(key)
        await self.journal.append_durably(_event(EventKind.LOGIN, key))
        await self.accounts.put(account_token)
        return {**account_token.account.public(), "warnings": [*account_token.account.warnings, *warnings]}

    async def import_token(self, request: requests.ImportTokenRequest, caller: Caller) -> wire.Message:
        """Store a plaintext token that the command has found, and its refresh token, under a free name."""
        refresh = None if request.refresh is None else _token(request.refresh)
        return await self.importer.import_token(caller.uid, _token(request.token), refresh, dry=request.dry)

    async def logout(self, request: requests.LogoutRequest, caller: Caller) -> wire.Message:
        """Remove an account and its token, and abort the transfers that use it."""
        account = await self.accounts.select(caller.uid, request.account)
        warnings = await self.rotation.finish_pending(account.key)
        await self.journal.append_durably(_event(EventKind.LOGOUT, account.key))
        await self.accounts.remove(account.key)
        self.grants.abort_transfers(*account.key)
        return {"account": account.name, "warnings": warnings}

    async def rotate(self, request: requests.RotateRequest, caller: Caller) -> wire.Message:
        """Replace an account's token."""
        return await self.rotation.rotate(caller.uid, request.account, _token(request.token))

    async def doctor(self, _: requests.DoctorRequest, caller: Caller) -> wire.Message:
        """Check the Hub; and if it answers and the vault is open, the tokens of the caller."""
        network = await check.check_hub(self.hub)
        if network["why"] is not None or self.accounts.cache.locked_to(caller.uid):
            return {"network": network, "tokens": []}
        accounts = await self.accounts.load(caller.uid)
        tokens = await asyncio.gather(*(check.check_token(self.hub, one) for one in accounts.values()))
        return {"network": network, "tokens": tokens}


def _event(kind: EventKind, key: AccountKey) -> dict[str, object]:
    return {"at": now(), "kind": kind.value, "uid": key.uid, "account": key.name}


def _account_name(text: str) -> str:
    if not text or len(text) > MAX_NAME or not all(char.isalnum() or char in "._-" for char in text):
        raise UsageError("an account's name is at most 64 letters, digits, '.', '_' and '-': --account NAME")
    return text


def _token(text: str) -> Secret:
    """Check that a text can be a token, which is sent in a header: one word of visible ASCII.

    The form of tokens: docs/hub-protocol.md#credential-shape.
    """
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("this is not a token: it must be one word; copy it again from huggingface.co/settings/tokens")
    if text.startswith("hf_px_"):
        raise UsageError("this is a credential of hf-proxy, not a token; log in with one of the Hub's: hf-proxy login")
    return Secret(text)
