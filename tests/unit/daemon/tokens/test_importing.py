"""Tokens that were found: one account each, and an answer that was read from the vault."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from canary import made_up
from fakehub import FakeHub

from hfproxy.config import UpstreamSettings as Settings
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.tokens.importing import TokenImporter
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import RefusedError, UpstreamError, VaultError
from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault

MINE, SECOND, OTHERS = made_up(), made_up(), made_up()


class Vault(MemoryVault):
    """One that lasts, as far as anybody can tell; or one that takes and does not give back."""

    name = "lasting"
    forgets = False

    def read(self) -> Secret | None:
        return None if self.forgets else super().read()


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with FakeHub() as hub:
        hub.add_user("me", MINE)
        hub.add_user("me", SECOND)
        hub.add_user("o.t-her", OTHERS)
        yield hub


@pytest.fixture
async def adoption(vault: Vault, hub: FakeHub, tmp_path: Path) -> AsyncIterator[TokenImporter]:
    upstream = UpstreamClient(Settings(hub=hub.url, ca_file=str(hub.ca_path)))
    accounts = AccountRegistry(vault)
    journal = JournalWriter(tmp_path / "journal", lambda: accounts.cache.journal_key)
    yield TokenImporter(accounts, journal, HubApi(upstream))
    await upstream.close()
    journal.close()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def adopted(
    adoption: TokenImporter, token: str, refresh: str | None = None, *, dry: bool = False
) -> dict[str, object]:
    return await adoption.import_token(
        os.getuid(), Secret(token), None if refresh is None else Secret(refresh), dry=dry
    )


async def test_the_first_is_default_and_the_others_are_named_after_their_users(adoption: TokenImporter) -> None:
    first, second, third = [await adopted(adoption, token) for token in (MINE, SECOND, OTHERS)]
    assert [one["account"] for one in (first, second, third)] == ["default", "me", "o.t-her"]
    assert (first["there"], first["digest"], first["user"]) == (False, sha(MINE), "me")


async def test_a_name_that_is_taken_gets_a_number(adoption: TokenImporter, hub: FakeHub) -> None:
    more = [made_up() for _ in range(3)]
    for token in more:
        hub.add_user("me", token)
    names = [(await adopted(adoption, token))["account"] for token in (MINE, *more)]
    assert names == ["default", "me", "me-2", "me-3"]


async def test_one_that_is_there_is_not_stored_again(adoption: TokenImporter) -> None:
    answers = await asyncio.gather(*(adopted(adoption, MINE) for _ in range(5)))
    assert {one["account"] for one in answers} == {"default"}
    assert sorted(one["there"] for one in answers) == [False, True, True, True, True]


async def test_what_renews_it_is_kept_with_it_whenever_it_comes(adoption: TokenImporter, vault: Vault) -> None:
    assert (await adopted(adoption, MINE))["refresh"] is None
    renewed = await adopted(adoption, MINE, "renews-it")
    assert (renewed["there"], renewed["digest"], renewed["refresh"]) == (True, sha(MINE), sha("renews-it"))
    held = (await AccountRegistry(vault).load(os.getuid()))["default"]
    assert held.refresh == Secret("renews-it")
    assert (await adopted(adoption, MINE))["refresh"] == sha("renews-it")


async def test_what_renews_it_stays_when_it_is_marked_as_revoked(adoption: TokenImporter, vault: Vault) -> None:
    await adopted(adoption, MINE, "renews-it")
    accounts = AccountRegistry(vault)
    assert await accounts.mark_revoked((await accounts.load(os.getuid()))["default"], 1)
    held = (await AccountRegistry(vault).load(os.getuid()))["default"]
    assert (held.account.revoked_at, held.refresh) == (1, Secret("renews-it"))


async def test_to_be_asked_dry_changes_nothing(adoption: TokenImporter, vault: Vault) -> None:
    asked = await adopted(adoption, OTHERS, dry=True)
    assert asked == {"account": "default", "user": "o.t-her", "role": "fineGrained", "there": False, "dead": False}
    assert vault.read() is None


async def test_one_that_the_hub_does_not_accept_is_not_stored(adoption: TokenImporter, vault: Vault) -> None:
    assert await adopted(adoption, made_up()) == {"dead": True}
    assert vault.read() is None


async def test_a_vault_that_does_not_give_it_back_is_not_vouched_for(adoption: TokenImporter, vault: Vault) -> None:
    vault.forgets = True
    with pytest.raises(VaultError, match="does not give back"):
        await adopted(adoption, MINE)


async def test_a_vault_that_ends_with_the_daemon_takes_in_nothing(adoption: TokenImporter, vault: Vault) -> None:
    vault.name = "memory"
    with pytest.raises(RefusedError, match="vault"):
        await adopted(adoption, MINE)
    assert vault.read() is None


async def test_a_hub_that_fails_is_no_word_about_a_token(adoption: TokenImporter, vault: Vault, hub: FakeHub) -> None:
    hub.inject("GET", "/api/whoami-v2", 500, times=1)
    with pytest.raises(UpstreamError):
        await adopted(adoption, MINE)
    assert vault.read() is None
