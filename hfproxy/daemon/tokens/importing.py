"""Taking in tokens that were found lying about in the clear (`hf-proxy scan --migrate`).

Whoever found one takes it out of its file once the answer to `adopt` says, by its digest, that the vault gives back
that very token. So what is answered is what was read from the vault after it was written. Asked again, after a crash
on either side, it stores nothing twice: one token is one account.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from itertools import count

import msgspec

from hfproxy import wire
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.model import DEFAULT, AccountKey, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens import identify
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, RefusedError, VaultError
from hfproxy.secret import Secret

VAULT_IS_VOLATILE = (
    "this vault ends with the daemon, and the token would too; choose another backend under [vault] in config.toml"
)
NOT_READ_BACK = "the vault does not give back what was put into it, so the token stays where it is; try: hf-proxy login"


class TokenImporter:
    """Serves `adopt` of the control plane."""

    def __init__(self, accounts: AccountRegistry, journal: JournalWriter, upstream: UpstreamClient) -> None:
        self._accounts, self._journal, self._upstream = accounts, journal, upstream
        self._one_at_a_time = asyncio.Lock()  # two who bring the same token would be given a name each

    async def import_token(self, uid: int, token: Secret, refresh: Secret | None, *, dry: bool) -> wire.Message:
        """Store a token of a user, unless it is there; with `dry` only say whose it is, and where it is or would be.

        Raises:
            RefusedError: this vault keeps nothing.
            VaultError: it is locked or absent, or does not give back what was put into it.
            UpstreamError: the Hub cannot be asked whose the token is; nothing was changed.
        """
        if not dry and self._accounts.vault.name == "memory":
            raise RefusedError(VAULT_IS_VOLATILE)
        async with self._one_at_a_time:
            known = await self._accounts.load(uid)
            there = next((held for held in known.values() if held.token == token), None)
            try:
                held = there or await self._identified(uid, token, known)
            except AccountError:
                return {"dead": True}
            answer = _shown(held, there=there is not None)
            return answer if dry else {**answer, **await self._kept(held, refresh, known)}

    async def _identified(self, uid: int, token: Secret, known: Mapping[str, AccountToken]) -> AccountToken:
        held = await identify.identify(self._upstream, AccountKey(uid, DEFAULT), token)
        return AccountToken(msgspec.structs.replace(held.account, name=_free_name(held.account.user, known)), token)

    async def _kept(
        self, held: AccountToken, refresh: Secret | None, known: Mapping[str, AccountToken]
    ) -> wire.Message:
        """Put it into the vault, and say what the vault then has."""
        key, wanted = held.account.key, refresh or held.refresh
        if key.name not in known or wanted != held.refresh:
            await self._journal.append_durably(
                {"at": now(), "kind": EventKind.LOGIN.value, "uid": key.uid, "account": key.name}
            )
            await self._accounts.put(AccountToken(held.account, held.token, wanted))
        again = await self._accounts.read_back(key)
        if again is None:
            raise VaultError(NOT_READ_BACK)
        return {"digest": _digest(again.token), "refresh": None if again.refresh is None else _digest(again.refresh)}


def _free_name(user: str, known: Mapping[str, AccountToken]) -> str:
    """A name for one more account: `default`, or the user's, or that with a number."""
    if DEFAULT not in known:
        return DEFAULT
    plain = "".join(char for char in user if char.isalnum() or char in "._-")[:50] or "account"
    numbered = (f"{plain}-{number}" for number in count(2))
    return plain if plain not in known else next(name for name in numbered if name not in known)


def _shown(held: AccountToken, *, there: bool) -> wire.Message:
    account = held.account
    return {"account": account.name, "user": account.user, "role": account.role, "there": there, "dead": False}


def _digest(secret: Secret) -> str:
    """SHA-256: enough to compare, for who has the same."""
    return hashlib.sha256(secret.reveal().encode()).hexdigest()
