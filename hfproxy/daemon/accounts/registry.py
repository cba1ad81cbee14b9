"""Accounts: named tokens, what the Hub said about each, and the origin each was logged in for.

The vault holds all of them as one document, so that a change is whole or not at all. Here they are kept in
memory while the vault is open: a keyring's prompt must never block a request. The origin is part of the vault's
document and not of the config, so that a changed config cannot send a token elsewhere.

An account belongs to the user of the machine who brought it, and is found by who asks and its name: where one daemon
serves several users, each of them may have a `default`.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping

import msgspec

from hfproxy.core.policy.account_choice import AccountRights
from hfproxy.daemon.accounts.model import DEFAULT, Account, AccountKey, AccountToken
from hfproxy.daemon.runtime.blocking import run_in_daemon_thread
from hfproxy.errors import AccountError, RefusedError, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault.interface import Vault

KEY_BYTES = 32
LOCKED = "the vault is locked; run: hf-proxy unlock"


class _Stored(msgspec.Struct, frozen=True):
    account: Account
    token: str
    refresh: str | None = None


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    accounts: tuple[_Stored, ...]
    journal_key: str | None = None


class AccountRegistry:
    """The open vault. One change at a time."""

    def __init__(self, vault: Vault, on_close: Callable[[], None] = lambda: None) -> None:
        """`before_shut` is called whenever it is shut, while there still is a journal key; it must not fail."""
        self.vault, self._on_close = vault, on_close
        self._tokens: Mapping[AccountKey, AccountToken] | None = None
        self._rights: dict[int, Mapping[str, AccountRights]] = {}
        self._journal_key: Secret | None = None
        self._forgotten = False
        self._suspended: set[int] = set()
        self._close_count = 0
        self._changing = asyncio.Lock()
        self._opening: asyncio.Task[Mapping[AccountKey, AccountToken]] | None = None

    @property
    def opened(self) -> bool:
        """Whether the vault has been read, so that what is known of it is what it holds."""
        return self._tokens is not None

    @property
    def locked(self) -> bool:
        """Whether nothing can be used until `unlock`."""
        return self._forgotten or self.vault.locked

    def locked_to(self, uid: int) -> bool:
        """Whether a user can use nothing: everybody, or this one alone."""
        return self.locked or uid in self._suspended

    def get(self, key: AccountKey) -> AccountToken | None:
        """The account, if the vault has been opened and holds it. Never waits."""
        return None if self._tokens is None or key.uid in self._suspended else self._tokens.get(key)

    @property
    def journal_key(self) -> Secret | None:
        """What journal lines are MACed with; None while the vault is not open, and before anything was put into it."""
        return self._journal_key

    def usable(self, uid: int) -> Mapping[str, AccountRights]:
        """A user's accounts whose tokens may be spent now. Never waits."""
        if uid not in self._rights:
            held = self._of(uid).items()
            self._rights[uid] = {name: one.account.rights for name, one in held if one.account.revoked_at is None}
        return self._rights[uid]

    def known(self, uid: int) -> list[Account]:
        """What has been read of a user's accounts so far; empty until the vault is opened."""
        return [held.account for held in self._of(uid).values()]

    async def load(self, uid: int) -> Mapping[str, AccountToken]:
        """A user's accounts, by their names; raises as `everything`."""
        await self.load_all()
        if uid in self._suspended:
            raise VaultLockedError(LOCKED)
        return self._of(uid)

    async def load_all(self) -> Mapping[AccountKey, AccountToken]:
        """Read the vault, unless that was done; may wait for a person at a keyring prompt.

        Whoever comes while it is being read gets what comes of that: one prompt, and one failure, for all of them.

        Raises:
            VaultError: it is locked, absent or damaged.
        """
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def select(self, uid: int, name: str | None) -> Account:
        """A user's account of that name, or `default`, or the only one there is.

        Raises:
            AccountError: there is none such.
        """
        held = await self.load(uid)
        if name is None and DEFAULT not in held and len(held) > 1:
            raise AccountError(f"there are several accounts; choose one: --account {'|'.join(sorted(held))}")
        found = held.get(name or DEFAULT) or (next(iter(held.values()), None) if name is None else None)
        if found is None:
            what = "there is no account yet" if not held else f"no account '{ascii(name)[1:-1][:60]}'"
            raise AccountError(f"{what}; run: hf-proxy login" + (f" --account {name}" if held and name else ""))
        return found.account

    async def put(self, held: AccountToken) -> None:
        """Store an account, in place of one of the same name."""
        async with self._changing:
            known, key = await self._read(), held.account.key
            await self._write({**known, key: _inherit_login(held, known.get(key))})

    async def mark_revoked(self, held: AccountToken, at: int) -> bool:
        """Note that the Hub no longer accepts a token; False if the account has another one by now, or is gone."""
        async with self._changing:
            known = await self._read()
            there = known.get(held.account.key)
            if there is None or there.token != held.token:
                return False
            marked = AccountToken(msgspec.structs.replace(there.account, revoked_at=at), there.token, there.refresh)
            await self._write({**known, there.account.key: marked})
            return True

    async def remove(self, key: AccountKey) -> None:
        """Forget an account and its token.

        Raises:
            AccountError: its user has none of that name.
        """
        async with self._changing:
            rest = dict(await self._read())
            if rest.pop(key, None) is None:
                raise AccountError(f"no account '{ascii(key.name)[1:-1][:60]}'; see: hf-proxy accounts")
            await self._write(rest)

    async def unlock(self, passphrase: Secret | None) -> None:
        """Open the vault again; a sealed one needs its passphrase.

        Raises:
            PassphraseError: it is the wrong one.
            RefusedError: somebody locked it in the meantime.
        """
        if passphrase is None:
            await self._unlock(self.vault.user_is_present)
        else:
            await self._unlock(self.vault.unlock, passphrase)

    async def unlock_with_key(self, key: Secret) -> None:
        """The same with the key that an earlier daemon had; raises as `unlock`."""
        await self._unlock(self.vault.unlock_with_key, key)

    async def seal(self, passphrase: Secret, *, undo: bool = False) -> None:
        """Put what the vault holds under a passphrase, or with `undo` in the clear again.

        Raises:
            PassphraseError: it is the wrong one.
            VaultError: it cannot be done; the vault holds what it held.
        """
        async with self._changing:
            if not undo:
                await self._read()
            await run_in_daemon_thread(self.vault.unseal if undo else self.vault.seal, passphrase)

    def suspend(self, uid: int) -> None:
        """Give one user nothing any more, until `admit`."""
        self._suspended.add(uid)
        self._rights.clear()

    def reinstate(self, uid: int) -> None:
        """Serve a user again who was barred."""
        self._suspended.discard(uid)
        self._rights.clear()

    def forget_tokens(self) -> Mapping[AccountKey, AccountToken] | None:
        """Forget every token until `unlock`, and wait for nobody; returns what was open, None if nothing was."""
        if not self._forgotten:
            self._on_close()
        held = self._tokens
        self._tokens, self._rights, self._journal_key, self._forgotten = None, {}, None, True
        self._close_count += 1
        return held

    def lock(self) -> None:
        """The same, and close the vault."""
        self.forget_tokens()
        self.vault.lock()

    async def read_while_locked(self) -> Mapping[AccountKey, AccountToken]:
        """What the vault holds, though it may be shut: for what has to be done about tokens that are not to be used.

        Raises:
            VaultError: it is sealed, absent or damaged.
        """
        async with self._changing:
            return self._tokens or _parse(await run_in_daemon_thread(self.vault.read))[0]

    async def _open(self) -> Mapping[AccountKey, AccountToken]:
        async with self._changing:
            return await self._read()

    async def _unlock(self, way: Callable[..., None], *means: Secret) -> None:
        async with self._changing:
            before = self._close_count
            await run_in_daemon_thread(way, *means)
            if self._close_count != before:
                self.vault.lock()
                raise RefusedError("it was locked again in the meantime; run: hf-proxy unlock")
            self._forgotten = False
            await self._read()

    async def read_back(self, key: AccountKey) -> AccountToken | None:
        """An account as the vault itself gives it back, whatever is remembered here; raises as `open`."""
        async with self._changing:
            if self.locked:
                raise VaultLockedError(LOCKED)
            return _parse(await run_in_daemon_thread(self.vault.read))[0].get(key)

    def _of(self, uid: int) -> dict[str, AccountToken]:
        """What is open of a user's accounts, by their names."""
        if self._tokens is None or uid in self._suspended:
            return {}
        return {key.name: held for key, held in self._tokens.items() if key.uid == uid}

    async def _read(self) -> Mapping[AccountKey, AccountToken]:
        if self.locked:
            raise VaultLockedError(LOCKED)
        if self._tokens is not None:
            return self._tokens
        return self._keep(*_parse(await run_in_daemon_thread(self.vault.read)))

    async def _write(self, held: dict[AccountKey, AccountToken]) -> None:
        key = self._journal_key or Secret(secrets.token_hex(KEY_BYTES))
        await run_in_daemon_thread(self.vault.write, _print(held, key))
        self._keep(held, key)

    def _keep(self, held: Mapping[AccountKey, AccountToken], key: Secret | None) -> Mapping[AccountKey, AccountToken]:
        if self._forgotten:  # while the vault took its time
            raise VaultLockedError(LOCKED)
        self._tokens, self._journal_key = held, key
        self._rights = {}
        return held


def _inherit_login(held: AccountToken, before: AccountToken | None) -> AccountToken:
    """Another token of the same user in the same place goes on with what was granted; anything else begins anew."""
    same = before is not None and before.account.owner == held.account.owner
    login = before.account.login if before is not None and same else secrets.token_hex(8)
    return AccountToken(msgspec.structs.replace(held.account, login=login), held.token, held.refresh)


def _parse(document: Secret | None) -> tuple[dict[AccountKey, AccountToken], Secret | None]:
    if document is None:
        return {}, None
    try:
        stored = msgspec.json.decode(document.reveal(), type=_Document)
    except msgspec.MsgspecError:
        raise VaultError(
            "what the vault holds was not written by this hf-proxy; update it, or set another vault.backend"
        ) from None
    held = {one.account.key: _token_of(one) for one in stored.accounts}
    return held, Secret(stored.journal_key) if stored.journal_key else None


def _token_of(one: _Stored) -> AccountToken:
    return AccountToken(one.account, Secret(one.token), None if one.refresh is None else Secret(one.refresh))


def _stored(one: AccountToken) -> _Stored:
    return _Stored(one.account, one.token.reveal(), None if one.refresh is None else one.refresh.reveal())


def _print(held: Mapping[AccountKey, AccountToken], key: Secret) -> Secret:
    stored = tuple(map(_stored, held.values()))
    return Secret(msgspec.json.encode(_Document(1, stored, key.reveal())).decode())
