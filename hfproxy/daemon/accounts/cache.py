"""The accounts of the open vault, in memory.

Nothing here waits: requests read the accounts from this cache, so that a keyring prompt never blocks one. Only
`AccountRegistry` fills it.
"""

from collections.abc import Callable, Mapping

from hfproxy.core.policy.account_choice import AccountRights
from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken
from hfproxy.daemon.accounts.vault_document import VaultDocument
from hfproxy.errors import VAULT_LOCKED, VaultLockedError
from hfproxy.secret import Secret


class AccountCache:
    """The accounts that may be used now, by user.

    It is empty until the vault is first read, and again from `close` until the vault is unlocked. A suspended user gets
    nothing out of it.
    """

    def __init__(self, vault_is_locked: Callable[[], bool]) -> None:
        """`vault_is_locked` must return at once."""
        self._vault_is_locked = vault_is_locked
        self._document: VaultDocument | None = None
        self._rights: dict[int, Mapping[str, AccountRights]] = {}
        self._suspended: set[int] = set()
        self._closed = False

    @property
    def opened(self) -> bool:
        """Whether the vault has been read, so that the accounts known here are all accounts."""
        return self._document is not None

    @property
    def locked(self) -> bool:
        """Whether the vault has to be unlocked before any token can be used."""
        return self._closed or self._vault_is_locked()

    def locked_to(self, uid: int) -> bool:
        """Return whether a user can use no token: the vault is locked, or this user is suspended."""
        return self.locked or uid in self._suspended

    @property
    def document(self) -> VaultDocument | None:
        """The content of the vault as last read or written; None until it is opened."""
        return self._document

    @property
    def journal_key(self) -> Secret | None:
        """The key of the journal's MACs; None while the vault is not open, and before its first account is stored."""
        return None if self._document is None else self._document.journal_key

    def get(self, key: AccountKey) -> AccountToken | None:
        """Return an account with its token; None if there is none, the vault is not open or its user is suspended."""
        return None if self._document is None or key.uid in self._suspended else self._document.tokens.get(key)

    def of_user(self, uid: int) -> dict[str, AccountToken]:
        """Return a user's accounts by name; empty while the vault is not open or the user is suspended."""
        if self._document is None or uid in self._suspended:
            return {}
        return {key.name: account_token for key, account_token in self._document.tokens.items() if key.uid == uid}

    def usable(self, uid: int) -> Mapping[str, AccountRights]:
        """Return the rights of a user's accounts whose tokens the Hub accepts, by account name."""
        if uid not in self._rights:
            accounts = self.known(uid)
            self._rights[uid] = {account.name: account.rights for account in accounts if account.revoked_at is None}
        return self._rights[uid]

    def known(self, uid: int) -> list[Account]:
        """Return a user's accounts without their tokens; empty while the vault is not open."""
        return [account_token.account for account_token in self.of_user(uid).values()]

    def check_unlocked(self) -> None:
        """Raise VaultLockedError if the vault is locked."""
        if self.locked:
            raise VaultLockedError(VAULT_LOCKED)

    def check_not_suspended(self, uid: int) -> None:
        """Raise VaultLockedError if a user is suspended."""
        if uid in self._suspended:
            raise VaultLockedError(VAULT_LOCKED)

    def store(self, document: VaultDocument) -> VaultDocument:
        """Keep what was read from the vault or written to it.

        Raises:
            VaultLockedError: the cache was closed while the vault was being read or written.
        """
        if self._closed:
            raise VaultLockedError(VAULT_LOCKED)
        self._document = document
        self._rights.clear()
        return document

    def close(self) -> Mapping[AccountKey, AccountToken] | None:
        """Drop all tokens and accept none until `reopen`; return what was open, None if nothing was."""
        document, self._document, self._closed = self._document, None, True
        self._rights.clear()
        return None if document is None else document.tokens

    @property
    def closed(self) -> bool:
        """Whether `close` was called after the last `reopen`."""
        return self._closed

    def reopen(self) -> None:
        """Accept the content of the vault again."""
        self._closed = False

    def suspend(self, uid: int) -> None:
        """Give a user nothing until `reinstate`."""
        self._suspended.add(uid)
        self._rights.clear()

    def reinstate(self, uid: int) -> None:
        """Serve a suspended user again."""
        self._suspended.discard(uid)
        self._rights.clear()
