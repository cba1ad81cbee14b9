"""A new token for an account: whose it must be, what is recorded, and what is said of the old one."""

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
from hfproxy.daemon.tokens.revocation import PendingRevocations, RevocationRequest
from hfproxy.daemon.tokens.rotation import TokenRotation
from hfproxy.errors import AccountError, RefusedError
from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault

ME = os.getuid()
OLD, NEW = Secret("hf_old"), Secret("hf_new")
MINE = response(200, {"name": "me", "id": "1", "auth": {"accessToken": {"role": "write"}}})


@dataclass
class Rig:
    rotation: TokenRotation
    accounts: AccountRegistry
    revocations: PendingRevocations
    hub: ScriptedHub
    directory: Path

    async def token(self) -> Secret:
        return (await self.accounts.load(ME))["default"].token

    def kinds(self) -> list[str]:
        files = sorted((self.directory / "journal").glob("*.jsonl"))
        return [json.loads(line)["kind"] for file in files for line in file.read_text().splitlines()]


@asynccontextmanager
async def rig(directory: Path, *whoami: bytes) -> AsyncIterator[Rig]:
    hub = ScriptedHub(whoami=list(whoami))
    accounts, journal = AccountRegistry(MemoryVault()), JournalWriter(directory / "journal")
    async with hub.api() as api:
        account = Account(name="default", origin=api.origin, user="me", user_id="1", fullname="Me", role="read")
        await accounts.put(AccountToken(account, OLD))
        revocations = PendingRevocations(directory, api)
        yield Rig(TokenRotation(accounts, journal, revocations, api), accounts, revocations, hub, directory)
    journal.close()


@pytest.mark.parametrize(("status", "dead"), [(401, True), (200, False), (500, None)])
async def test_the_new_token_takes_the_place_of_the_old_which_is_asked_about(
    tmp_path: Path, status: int, dead: bool | None
) -> None:
    async with rig(tmp_path, MINE, response(status)) as it:
        login = (await it.accounts.select(ME, None)).login
        reply = await it.rotation.rotate(ME, None, NEW)
        account = await it.accounts.select(ME, None)
        assert await it.token() == NEW
        assert (account.login, account.role) == (login, "write")
        assert it.kinds() == ["rotated"]
    assert (reply["account"], reply["user"], reply["dead"]) == ("default", "me", dead)
    assert ("answered whoami with status 500" in str(reply["why"])) is (dead is None)
    new, old = it.hub.requests
    assert "Bearer hf_new\r\n" in new
    assert "Bearer hf_old\r\n" in old


async def test_the_same_token_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with rig(tmp_path, MINE) as it:
        with pytest.raises(RefusedError, match="the token that the account has already"):
            await it.rotation.rotate(ME, None, OLD)
        assert (it.hub.requests, it.kinds()) == ([], [])


@pytest.mark.parametrize(
    "who", [{"name": "you", "id": "1"}, {"name": "me", "id": "2"}], ids=["another name", "another id"]
)
async def test_a_token_of_another_user_is_refused_and_nothing_changes(tmp_path: Path, who: dict[str, str]) -> None:
    async with rig(tmp_path, response(200, who)) as it:
        with pytest.raises(RefusedError, match="for another user: hf-proxy login --account NAME"):
            await it.rotation.rotate(ME, None, NEW)
        assert (await it.token(), it.kinds()) == (OLD, [])


async def test_a_token_that_the_hub_rejects_changes_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, response(401)) as it:
        with pytest.raises(AccountError):
            await it.rotation.rotate(ME, None, NEW)
        assert (await it.token(), it.kinds()) == (OLD, [])


async def test_a_pending_revocation_of_the_old_token_is_sent_before_it_is_dropped(tmp_path: Path) -> None:
    async with rig(tmp_path, MINE, response(401)) as it:
        await it.revocations.add(RevocationRequest("default", uid=ME))
        reply = await it.rotation.rotate(ME, None, NEW)
        assert it.hub.asked == ["whoami", "revoke", "whoami", "whoami"]
        assert '"hf_old"' in it.hub.requests[1]
        assert (reply["dead"], reply["why"], it.revocations.requests) == (True, "", ())


async def test_a_pending_revocation_that_fails_is_reported_for_the_account_itself_only(tmp_path: Path) -> None:
    async with rig(tmp_path, MINE, response(200)) as it:
        home = Account(
            name="home",
            origin=(await it.accounts.select(ME, None)).origin,
            user="me",
            user_id="1",
            fullname="",
            role="",
        )
        await it.accounts.put(AccountToken(home, Secret("hf_home")))
        await it.revocations.add(RevocationRequest(uid=ME))
        reply = await it.rotation.rotate(ME, "default", NEW)
    assert str(reply["why"]).startswith("the token that account 'default' had is not revoked (")
    assert str(reply["why"]).endswith("); delete it by hand")
    assert "home" not in str(reply["why"])
