"""The accounts in the vault: named tokens, each with what the Hub said about it and the origin it was logged in for.

An account belongs to the user of this machine who brought it, and is identified by that user and a name: where one
daemon serves several users, each of them may have a `default`.

Every coroutine of `AccountRegistry` may wait for a person at a keyring prompt, and raises VaultError if the vault is
locked, absent or damaged. What must not wait reads `AccountRegistry.cache`.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from hfproxy.daemon.accounts.cache import AccountCache
from hfproxy.daemon.accounts.model import DEFAULT, Account, AccountKey, AccountToken
from hfproxy.daemon.accounts.vault_document import VaultDocument
from hfproxy.daemon.runtime.blocking import run_in_daemon_thread
from hfproxy.errors import AccountError, RefusedError
from hfproxy.secret import Secret
from hfproxy.vault.interface import Vault

KEY_BYTES: Final = 32
LOGIN_BYTES: Final = 8


class AccountRegistry:
    """Reads and changes the vault, one change at a time."""

    def __init__(self, vault: Vault, on_close: Callable[[], None] = lambda: None) -> None:
        """`on_close` is called whenever the vault is closed, while the journal key is still there; it must not fail."""
        self.vault, self._on_close = vault, on_close
        self.cache = AccountCache(lambda: vault.locked)
        self._close_count = 0
        self._changing = asyncio.Lock()
        self._opening: asyncio.Task[VaultDocument] | None = None

    # --- reading: may wait for a prompt, unless the vault is open -----------------------------------------------------

    async def load(self, uid: int) -> Mapping[str, AccountToken]:
        """Open the vault; return a user's accounts by name. May wait for a keyring prompt.

        Raises:
            VaultLockedError: the vault is locked, or the user is suspended.
            VaultError: it is absent or damaged.
        """
        await self.load_all()
        self.cache.check_not_suspended(uid)
        return self.cache.of_user(uid)

    async def load_all(self) -> Mapping[AccountKey, AccountToken]:
        """Open the vault; return the accounts of all users. May wait for a keyring prompt.

        Callers that come while the vault is being read share the outcome: one prompt, and one failure, for all of them.

        Raises:
            VaultError: it is locked, absent or damaged.
        """
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        return (await asyncio.shield(self._opening)).tokens

    async def select(self, uid: int, name: str | None) -> Account:
        """Return a user's account of that name; without a name `default`, or the only one. May wait for a prompt.

        Raises:
            AccountError: there is no such account, or no name was given and there are several.
            VaultError: the vault is locked, absent or damaged.
        """
        accounts = await self.load(uid)
        if name is None and DEFAULT not in accounts and len(accounts) > 1:
            raise AccountError(f"there are several accounts; choose one: --account {'|'.join(sorted(accounts))}")
        only = next(iter(accounts.values()), None) if name is None else None
        chosen = accounts.get(name or DEFAULT) or only
        if chosen is None:
            what = "there is no account yet" if not accounts else f"no account '{ascii(name)[1:-1][:60]}'"
            raise AccountError(f"{what}; run: hf-proxy login" + (f" --account {name}" if accounts and name else ""))
        return chosen.account

    async def read_back(self, key: AccountKey) -> AccountToken | None:
        """Return an account as the vault itself returns it, bypassing the cache. May wait for a keyring prompt.

        Raises:
            VaultError: the vault is locked, absent or damaged.
        """
        async with self._changing:
            self.cache.check_unlocked()
            return (await self._read_vault()).tokens.get(key)

    async def read_while_locked(self) -> Mapping[AccountKey, AccountToken]:
        """Return all accounts even after `lock`, to revoke tokens that must not be used. May wait for a prompt.

        Raises:
            VaultError: the vault is sealed, absent or damaged.
        """
        async with self._changing:
            return (self.cache.document or await self._read_vault()).tokens

    # --- changing: may wait for a prompt ------------------------------------------------------------------------------

    async def put(self, account_token: AccountToken) -> None:
        """Store an account; it replaces one of the same user and name. May wait for a keyring prompt.

        Raises:
            VaultError: it could not be stored; the vault holds what it held before.
        """
        async with self._changing:
            tokens, key = (await self._read()).tokens, account_token.account.key
            await self._write({**tokens, key: _inherit_login(account_token, tokens.get(key))})

    async def mark_revoked(self, account_token: AccountToken, at: int) -> bool:
        """Mark an account whose token the Hub no longer accepts. May wait for a keyring prompt.

        Returns False if the account has another token by now, or is gone.

        Raises:
            VaultError: it could not be stored.
        """
        async with self._changing:
            tokens = (await self._read()).tokens
            stored = tokens.get(account_token.account.key)
            if stored is None or stored.token != account_token.token:
                return False
            marked = AccountToken(msgspec.structs.replace(stored.account, revoked_at=at), stored.token, stored.refresh)
            await self._write({**tokens, stored.account.key: marked})
            return True

    async def remove(self, key: AccountKey) -> None:
        """Remove an account and its token. May wait for a keyring prompt.

        Raises:
            AccountError: its user has no account of that name.
            VaultError: it could not be removed; the vault holds what it held before.
        """
        async with self._changing:
            tokens = dict((await self._read()).tokens)
            if tokens.pop(key, None) is None:
                raise AccountError(f"no account '{ascii(key.name)[1:-1][:60]}'; see: hf-proxy accounts")
            await self._write(tokens)

    async def seal(self, passphrase: Secret, *, undo: bool = False) -> None:
        """Encrypt the vault under a passphrase; with `undo`, store it as plaintext in the keyring again. May wait.

        Raises:
            PassphraseError: the passphrase is wrong.
            VaultError: it cannot be done; the vault holds what it held before.
        """
        async with self._changing:
            if not undo:
                await self._read()
            await run_in_daemon_thread(self.vault.unseal if undo else self.vault.seal, passphrase)

    # --- opening and closing ------------------------------------------------------------------------------------------

    async def unlock(self, passphrase: Secret | None) -> None:
        """Open the vault after `lock`; a sealed one needs its passphrase. May wait for a keyring prompt.

        Raises:
            PassphraseError: the passphrase is wrong.
            RefusedError: the vault was locked again meanwhile.
            VaultError: it cannot be read.
        """
        if passphrase is None:
            await self._unlock(self.vault.user_is_present)
        else:
            await self._unlock(self.vault.unlock, passphrase)

    async def unlock_with_key(self, key: Secret) -> None:
        """Open a sealed vault with the key that an earlier daemon derived from its passphrase.

        Raises:
            PassphraseError: the key does not open the vault.
            RefusedError: the vault was locked again meanwhile.
            VaultError: it cannot be read.
        """
        await self._unlock(self.vault.unlock_with_key, key)

    def forget_tokens(self) -> Mapping[AccountKey, AccountToken] | None:
        """Drop all tokens from memory until `unlock`; return what was open, None if nothing was. Never waits."""
        if not self.cache.closed:
            self._on_close()
        self._close_count += 1
        return self.cache.close()

    def lock(self) -> None:
        """Drop all tokens from memory until `unlock`, and the key of a sealed vault as well. Never waits."""
        self.forget_tokens()
        self.vault.lock()

    async def _unlock(self, unlock: Callable[..., None], *secret: Secret) -> None:
        async with self._changing:
            close_count = self._close_count
            await run_in_daemon_thread(unlock, *secret)
            if self._close_count != close_count:
                self.vault.lock()
                raise RefusedError("it was locked again in the meantime; run: hf-proxy unlock")
            self.cache.reopen()
            await self._read()

    async def _open(self) -> VaultDocument:
        async with self._changing:
            return await self._read()

    # --- with `_changing` held ----------------------------------------------------------------------------------------

    async def _read(self) -> VaultDocument:
        self.cache.check_unlocked()
        return self.cache.document or self.cache.store(await self._read_vault())

    async def _read_vault(self) -> VaultDocument:
        return VaultDocument.decode(await run_in_daemon_thread(self.vault.read))

    async def _write(self, tokens: Mapping[AccountKey, AccountToken]) -> None:
        document = VaultDocument(tokens, self.cache.journal_key or Secret(secrets.token_hex(KEY_BYTES)))
        await run_in_daemon_thread(self.vault.write, document.encode())
        self.cache.store(document)


def _inherit_login(new: AccountToken, old: AccountToken | None) -> AccountToken:
    """Give a token the login of the one it replaces, so that the account's grants live on.

    A token of another user of the Hub, or for another origin, gets a new login, which ends them.
    """
    inherits = old is not None and old.account.owner == new.account.owner
    login = old.account.login if old is not None and inherits else secrets.token_hex(LOGIN_BYTES)
    return AccountToken(msgspec.structs.replace(new.account, login=login), new.token, new.refresh)
