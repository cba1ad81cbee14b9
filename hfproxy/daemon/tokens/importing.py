"""Imports plaintext tokens that `hf-proxy scan --migrate` has found.

The command removes a token from its file only after the reply has proven, by a SHA-256 digest, that the vault returns
that very token: the digest is computed from what was read back from the vault after writing. A repeated import, after a
crash on either side, stores nothing twice: each token is one account.
"""

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Final

import msgspec

from hfproxy import wire
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.model import DEFAULT, AccountKey, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens.identify import identify
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, RefusedError, VaultError
from hfproxy.secret import Secret

VAULT_IS_VOLATILE: Final = (
    "this vault ends with the daemon, and the token would too; choose another backend under [vault] in config.toml"
)
NOT_READ_BACK: Final = (
    "the vault does not give back what was put into it, so the token stays where it is; try: hf-proxy login"
)
MAX_NAME: Final = 50


class TokenImporter:
    """Stores tokens under free account names."""

    def __init__(self, accounts: AccountRegistry, journal: JournalWriter, hub: HubApi) -> None:
        self._accounts, self._journal, self._hub = accounts, journal, hub
        self._importing = asyncio.Lock()  # two imports of one token at a time would store it under two names

    async def import_token(self, uid: int, token: Secret, refresh: Secret | None, *, dry: bool) -> wire.Message:
        """Store a user's token, unless the vault holds it already.

        Args:
            uid: the user of this machine who owns the account.
            token: the token.
            refresh: the refresh token that was found beside it.
            dry: do not store it; only report its owner and the account it has or would get.

        Returns:
            `{"dead": true}` for a token that the Hub does not accept; else `{"account", "user", "role", "there",
            "dead"}`, and unless `dry` the digests `{"digest", "refresh"}`.

        Raises:
            RefusedError: the vault is in memory only.
            VaultError: it is locked or absent, or does not return what was written to it.
            UpstreamError: the Hub cannot be asked for the token's owner; nothing was changed.
        """
        if not dry and self._accounts.vault.name == "memory":
            raise RefusedError(VAULT_IS_VOLATILE)
        async with self._importing:
            accounts = await self._accounts.load(uid)
            stored = next((one for one in accounts.values() if one.token == token), None)
            try:
                account_token = stored or await self._identify(uid, token, accounts)
            except AccountError:
                return {"dead": True}
            report = _report(account_token, there=stored is not None)
            return report if dry else {**report, **await self._store(account_token, refresh, accounts)}

    async def _identify(self, uid: int, token: Secret, accounts: Mapping[str, AccountToken]) -> AccountToken:
        account = (await identify(self._hub, AccountKey(uid, DEFAULT), token)).account
        return AccountToken(msgspec.structs.replace(account, name=_free_name(account.user, accounts)), token)

    async def _store(
        self, account_token: AccountToken, refresh: Secret | None, accounts: Mapping[str, AccountToken]
    ) -> wire.Message:
        """Write the tokens to the vault unless they are there; return the digests of what it then holds."""
        key, refresh = account_token.account.key, refresh or account_token.refresh
        if key.name not in accounts or refresh != account_token.refresh:
            await self._journal.append_durably(
                {"at": now(), "kind": EventKind.LOGIN.value, "uid": key.uid, "account": key.name}
            )
            await self._accounts.put(AccountToken(account_token.account, account_token.token, refresh))
        stored = await self._accounts.read_back(key)
        if stored is None:
            raise VaultError(NOT_READ_BACK)
        return {
            "digest": stored.token.sha256(),
            "refresh": None if stored.refresh is None else stored.refresh.sha256(),
        }


def _free_name(user: str, accounts: Mapping[str, AccountToken]) -> str:
    """Return an unused account name: `default`, else the Hub user's name, else that with a number."""
    if DEFAULT not in accounts:
        return DEFAULT
    plain = "".join(char for char in user if char.isalnum() or char in "._-")[:MAX_NAME] or "account"
    numbered = (f"{plain}-{number}" for number in count(2))
    return plain if plain not in accounts else next(name for name in numbered if name not in accounts)


def _report(account_token: AccountToken, *, there: bool) -> wire.Message:
    account = account_token.account
    return {"account": account.name, "user": account.user, "role": account.role, "there": there, "dead": False}
