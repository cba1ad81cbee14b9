"""A token that the Hub rejected on a request: verified in the background, marked only on proof."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from scripted_hub import ScriptedHub, response

from hfproxy.daemon.accounts.model import Account, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.tokens import health as module
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault

ME = os.getuid()


@dataclass
class Rig:
    health: TokenHealth
    accounts: AccountRegistry
    journal: JournalWriter
    directory: Path
    token: AccountToken
    hub: ScriptedHub

    async def checked(self, times: int = 1) -> None:
        """Wait until no check is under way, and that so many were made."""
        await asyncio.gather(*self.health._background)
        assert len(self.hub.requests) == times

    def kinds(self) -> list[str]:
        files = sorted(self.directory.glob("*.jsonl"))
        return [json.loads(line)["kind"] for file in files for line in file.read_text().splitlines()]

    async def revoked(self, name: str = "work") -> bool:
        return (await self.accounts.load(ME))[name].account.revoked_at is not None


@asynccontextmanager
async def rig(directory: Path, *statuses: int) -> AsyncIterator[Rig]:
    hub = ScriptedHub(whoami=[response(status) for status in statuses])
    accounts, journal = AccountRegistry(MemoryVault()), JournalWriter(directory)
    async with hub.api() as api:
        account = Account(name="work", origin=api.origin, user="me", user_id="1", fullname="Me", role="read")
        token = AccountToken(account, Secret("hf_health"))
        await accounts.put(token)
        yield Rig(TokenHealth(api, accounts, journal), accounts, journal, directory, token, hub)
    journal.close()


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


async def test_a_token_that_whoami_rejects_is_marked_and_recorded(tmp_path: Path) -> None:
    async with rig(tmp_path, 401) as it:
        it.health.suspect(it.token)
        await it.checked()
        assert await it.revoked()
        assert "work" not in it.accounts.cache.usable(ME)
        assert it.kinds() == ["revoked_upstream"]


@pytest.mark.parametrize("status", [200, 403, 500])
async def test_a_token_that_whoami_does_not_reject_is_not_marked(tmp_path: Path, status: int) -> None:
    async with rig(tmp_path, status) as it:
        it.health.suspect(it.token)
        await it.checked()
        assert not await it.revoked()
        assert it.kinds() == []


async def test_a_token_that_was_replaced_meanwhile_is_not_marked(tmp_path: Path) -> None:
    async with rig(tmp_path, 401) as it:
        await it.accounts.put(AccountToken(it.token.account, Secret("hf_newer")))
        it.health.suspect(it.token)
        await it.checked()
        assert not await it.revoked()
        assert it.kinds() == []


async def test_an_account_is_checked_at_most_once_a_minute_and_others_are_not_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, 200) as it:
        for _ in range(5):
            it.health.suspect(it.token)
        await it.checked(1)
        other = Account(name="home", origin=it.token.account.origin, user="me", user_id="1", fullname="Me", role="read")
        it.health.suspect(AccountToken(other, Secret("hf_health")))
        await it.checked(2)
        it.health.suspect(it.token)
        await it.checked(2)
        assert module.CHECK_INTERVAL_S == 60
        monkeypatch.setattr(module, "CHECK_INTERVAL_S", 0)
        it.health.suspect(it.token)
        await it.checked(3)
