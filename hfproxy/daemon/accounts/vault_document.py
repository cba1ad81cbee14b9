"""The document that the vault holds: all accounts with their tokens, and the journal's key.

Pure: it is encoded and decoded here, and read and written by `AccountRegistry`. The vault holds all accounts in one
document, so that a change happens as a whole or not at all. The origin of an account is part of the document and not of
the config, so that a changed config cannot send a token elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec

from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken
from hfproxy.errors import VaultError
from hfproxy.secret import Secret

VERSION: Final = 1


class _StoredAccount(msgspec.Struct, frozen=True):
    account: Account
    token: str
    refresh: str | None = None


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    accounts: tuple[_StoredAccount, ...]
    journal_key: str | None = None


@dataclass(frozen=True, slots=True)
class VaultDocument:
    """The content of the vault, decoded. Without arguments: a vault that was never written to.

    Attributes:
        tokens: the accounts of all users.
        journal_key: the key of the journal's MACs; None in documents of versions that had no MACs.
    """

    tokens: Mapping[AccountKey, AccountToken] = field(default_factory=dict)
    journal_key: Secret | None = None

    @classmethod
    def decode(cls, document: Secret | None) -> Self:
        """Decode what a vault returned; None is a vault that was never written to.

        Raises:
            VaultError: the document has another format. Its text is kept out of the message.
        """
        if document is None:
            return cls()
        try:
            decoded = msgspec.json.decode(document.reveal(), type=_Document)
        except msgspec.MsgspecError:
            raise VaultError(
                "what the vault holds was not written by this hf-proxy; update it, or set another vault.backend"
            ) from None
        tokens = {stored.account.key: _from_stored(stored) for stored in decoded.accounts}
        return cls(tokens, Secret(decoded.journal_key) if decoded.journal_key else None)

    def encode(self) -> Secret:
        """Encode the document for the vault."""
        key = None if self.journal_key is None else self.journal_key.reveal()
        accounts = tuple(map(_to_stored, self.tokens.values()))
        return Secret(msgspec.json.encode(_Document(VERSION, accounts, key)).decode())


def _from_stored(stored: _StoredAccount) -> AccountToken:
    refresh = None if stored.refresh is None else Secret(stored.refresh)
    return AccountToken(stored.account, Secret(stored.token), refresh)


def _to_stored(account_token: AccountToken) -> _StoredAccount:
    refresh = None if account_token.refresh is None else account_token.refresh.reveal()
    return _StoredAccount(account_token.account, account_token.token.reveal(), refresh)
