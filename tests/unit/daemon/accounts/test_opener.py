"""Opening a sealed vault without a person: which passphrase counts, and what becomes of a cached key."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfproxy.daemon.accounts.opener import CREDENTIAL, MAX_CACHE_S, VaultOpener, from_descriptor
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.errors import PassphraseError, RefusedError, UsageError, VaultError
from hfproxy.secret import Secret
from hfproxy.vault.envelope import Cost
from hfproxy.vault.kernel_key_cache import KernelKeyCache
from hfproxy.vault.memory import MemoryVault
from hfproxy.vault.sealed_file import SealedFileVault

CHEAP = Cost(8, 1, 1)
PASSPHRASE = Secret("correct horse")


@pytest.fixture
def sealed(tmp_path: Path) -> AccountRegistry:
    """The accounts of a daemon that finds a sealed vault."""
    first = SealedFileVault(tmp_path / "vault.sealed", CHEAP, least=CHEAP)
    first.unlock(PASSPHRASE)
    first.write(Secret('{"version":1,"accounts":[]}'))
    return AccountRegistry(SealedFileVault(tmp_path / "vault.sealed", CHEAP, least=CHEAP))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[KernelKeyCache]:
    """The kernel's cache; empty, and emptied afterwards."""
    cache = KernelKeyCache(tmp_path)
    yield cache
    cache.remove()


@pytest.fixture
def keeps_keys(cache: KernelKeyCache) -> None:
    """Skip where the kernel stores no keys, as in some containers."""
    try:
        cache.put(Secret("00"), 60)
    except VaultError as error:
        pytest.skip(f"needs a kernel that keeps keys: {error}")
    cache.remove()


def private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@pytest.fixture(autouse=True)
def no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


async def test_the_passphrase_of_the_descriptor_comes_first(
    sealed: AccountRegistry, cache: KernelKeyCache, tmp_path: Path
) -> None:
    opener = VaultOpener(sealed, private(tmp_path / "key", "wrong"), cache)
    await opener.open_at_start(PASSPHRASE)
    assert not sealed.cache.locked


async def test_the_key_file_comes_before_the_credential(
    sealed: AccountRegistry, cache: KernelKeyCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    private(tmp_path / CREDENTIAL, "wrong")
    opener = VaultOpener(sealed, private(tmp_path / "key", "correct horse\n"), cache)
    assert opener.passphrase() == PASSPHRASE
    await opener.open_at_start(None)
    assert not sealed.cache.locked


async def test_the_credential_of_systemd_opens_the_vault(
    sealed: AccountRegistry, cache: KernelKeyCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = VaultOpener(sealed, None, cache)
    assert opener.passphrase() is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert opener.passphrase() is None
    private(tmp_path / CREDENTIAL, "correct horse")
    await opener.open_at_start(None)
    assert not sealed.cache.locked


async def test_without_any_passphrase_the_vault_stays_locked(sealed: AccountRegistry, cache: KernelKeyCache) -> None:
    await VaultOpener(sealed, None, cache).open_at_start(None)
    assert sealed.cache.locked


async def test_a_wrong_passphrase_names_its_file(
    sealed: AccountRegistry, cache: KernelKeyCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PassphraseError, match=f"the passphrase in {tmp_path}/key is not"):
        await VaultOpener(sealed, private(tmp_path / "key", "wrong"), cache).open_at_start(None)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    private(tmp_path / CREDENTIAL, "wrong")
    with pytest.raises(PassphraseError, match=f"the passphrase in {tmp_path}/{CREDENTIAL} is not"):
        await VaultOpener(sealed, None, cache).open_at_start(None)
    assert sealed.cache.locked


async def test_an_open_vault_needs_no_passphrase(cache: KernelKeyCache, tmp_path: Path) -> None:
    opener = VaultOpener(AccountRegistry(MemoryVault()), str(tmp_path / "not there"), cache)
    await opener.open_at_start(None)
    with pytest.raises(VaultError):
        opener.passphrase()


@pytest.mark.usefixtures("keeps_keys")
class TestCachedKey:
    """The key that an earlier daemon left with the kernel."""

    async def test_opens_the_vault_of_the_next_daemon(
        self, sealed: AccountRegistry, cache: KernelKeyCache, tmp_path: Path
    ) -> None:
        opener = VaultOpener(sealed, None, cache)
        await opener.open_at_start(PASSPHRASE)
        opener.cache_key(60)
        later = AccountRegistry(SealedFileVault(tmp_path / "vault.sealed", CHEAP, least=CHEAP))
        await VaultOpener(later, None, cache).open_at_start(None)
        assert not later.cache.locked
        opener.drop_cached_key()
        assert cache.get() is None

    async def test_that_does_not_open_it_is_removed(self, sealed: AccountRegistry, cache: KernelKeyCache) -> None:
        cache.put(Secret("ab" * 32), 60)
        await VaultOpener(sealed, None, cache).open_at_start(None)
        assert sealed.cache.locked
        assert cache.get() is None

    async def test_is_kept_for_a_week_at_most(self, sealed: AccountRegistry, cache: KernelKeyCache) -> None:
        opener = VaultOpener(sealed, None, cache)
        await opener.open_at_start(PASSPHRASE)
        with pytest.raises(UsageError, match="7d at most"):
            opener.cache_key(MAX_CACHE_S + 1)
        assert cache.get() is None
        opener.cache_key(7 * 86_400)
        assert cache.get() is not None


def test_a_vault_without_a_key_leaves_none(cache: KernelKeyCache) -> None:
    with pytest.raises(RefusedError, match="no key of its own"):
        VaultOpener(AccountRegistry(MemoryVault()), None, cache).cache_key(60)
    assert cache.get() is None


def test_a_descriptor_is_read_and_closed() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"correct horse\n")
    os.close(writing)
    assert from_descriptor(reading) == PASSPHRASE
    with pytest.raises(UsageError, match=f"descriptor {reading} is not open"):
        from_descriptor(reading)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff", b"x" * 100_000])
def test_a_descriptor_without_a_passphrase_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(VaultError, match="holds no passphrase"):
        from_descriptor(os.open(tmp_path / "file", os.O_RDONLY))
