"""The cache of accounts: nothing of a locked vault or a suspended user, nothing of another user."""

import pytest

from hfproxy.daemon.accounts.cache import AccountCache
from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken, Origin
from hfproxy.daemon.accounts.vault_document import VaultDocument
from hfproxy.errors import VaultLockedError
from hfproxy.secret import Secret

KEYS = [AccountKey(7, "default"), AccountKey(7, "work"), AccountKey(8, "default")]


def account_token(key: AccountKey, revoked_at: int | None = None) -> AccountToken:
    account = Account(
        uid=key.uid,
        name=key.name,
        origin=Origin("https://hub"),
        user="me",
        user_id="1",
        fullname="",
        role="read",
        revoked_at=revoked_at,
    )
    return AccountToken(account, Secret(f"hf_{key.uid}{key.name}"))


DOCUMENT = VaultDocument({key: account_token(key) for key in KEYS}, Secret("key"))


@pytest.fixture
def cache() -> AccountCache:
    cache = AccountCache(lambda: False)
    cache.store(DOCUMENT)
    return cache


def test_before_the_vault_is_read_nothing_is_known() -> None:
    cache = AccountCache(lambda: False)
    assert not cache.opened
    assert not cache.locked
    assert cache.document is cache.journal_key is cache.get(KEYS[0]) is cache.close() is None
    assert (cache.of_user(7), cache.usable(7), cache.known(7)) == ({}, {}, [])


def test_a_user_has_its_own_accounts(cache: AccountCache) -> None:
    assert cache.opened
    assert cache.document is DOCUMENT
    assert cache.journal_key == Secret("key")
    assert [cache.get(key) for key in KEYS] == list(DOCUMENT.tokens.values())
    assert cache.get(AccountKey(8, "work")) is None
    assert list(cache.of_user(7)) == list(cache.usable(7)) == ["default", "work"]
    assert [account.key for account in cache.known(8)] == [KEYS[2]]
    assert cache.of_user(9) == {}


def test_a_suspended_user_has_none_and_the_others_theirs(cache: AccountCache) -> None:
    assert list(cache.usable(7)) == ["default", "work"]
    cache.suspend(7)
    assert cache.get(KEYS[0]) is None
    assert (cache.of_user(7), cache.usable(7), cache.known(7)) == ({}, {}, [])
    assert cache.locked_to(7)
    assert not cache.locked_to(8)
    assert cache.get(KEYS[2]) is DOCUMENT.tokens[KEYS[2]]
    cache.check_not_suspended(8)
    with pytest.raises(VaultLockedError):
        cache.check_not_suspended(7)
    cache.reinstate(7)
    cache.reinstate(9)
    cache.check_not_suspended(7)
    assert not cache.locked_to(7)
    assert list(cache.usable(7)) == ["default", "work"]


def test_a_closed_cache_gives_up_its_tokens_once_and_takes_none(cache: AccountCache) -> None:
    assert list(cache.usable(7)) == ["default", "work"]
    assert cache.close() == DOCUMENT.tokens
    assert cache.close() is None
    assert cache.closed
    assert cache.locked
    assert cache.locked_to(7)
    assert not cache.opened
    assert cache.usable(7) == {}
    with pytest.raises(VaultLockedError):
        cache.store(DOCUMENT)
    with pytest.raises(VaultLockedError):
        cache.check_unlocked()
    cache.reopen()
    cache.check_unlocked()
    assert not cache.closed
    assert not cache.locked
    assert not cache.opened
    assert cache.store(DOCUMENT) is DOCUMENT


def test_a_locked_vault_locks_the_cache() -> None:
    locked = True
    cache = AccountCache(lambda: locked)
    assert cache.locked
    assert cache.locked_to(7)
    with pytest.raises(VaultLockedError):
        cache.check_unlocked()
    locked = False
    assert not cache.locked
    cache.check_unlocked()


def test_a_revoked_token_is_known_and_not_usable(cache: AccountCache) -> None:
    assert list(cache.usable(7)) == ["default", "work"]
    cache.store(VaultDocument({**DOCUMENT.tokens, KEYS[0]: account_token(KEYS[0], revoked_at=0)}))
    assert list(cache.usable(7)) == ["work"]
    assert [account.name for account in cache.known(7)] == ["default", "work"]
    assert cache.journal_key is None
