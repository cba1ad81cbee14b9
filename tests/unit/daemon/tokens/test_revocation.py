"""Pending revocations: what is on disk, what is sent, what counts as proof, and what is dropped."""

import json
from pathlib import Path

import pytest
from scripted_hub import ScriptedHub, response

from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken
from hfproxy.daemon.tokens.revocation import PENDING_FILE, PendingRevocations, RevocationOutcome, RevocationRequest
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import StartError
from hfproxy.secret import Secret

ME, OTHER = 1000, 1001


def account_token(api: HubApi, name: str, uid: int = ME, token: str = "hf_revocation") -> AccountToken:
    account = Account(uid=uid, name=name, origin=api.origin, user="me", user_id="1", fullname="Me", role="read")
    return AccountToken(account, Secret(token))


def in_vault(*tokens: AccountToken) -> dict[AccountKey, AccountToken]:
    return {one.account.key: one for one in tokens}


def on_disk(state: Path) -> list[dict[str, object]]:
    return json.loads((state / PENDING_FILE).read_text()) if (state / PENDING_FILE).exists() else []  # type: ignore[no-any-return]


async def test_a_request_is_on_disk_without_the_token_and_the_next_daemon_reads_it(tmp_path: Path) -> None:
    async with ScriptedHub().api() as api:
        await PendingRevocations(tmp_path, api).add(RevocationRequest("work", uid=ME))
        assert on_disk(tmp_path) == [{"account": "work", "token": None, "uid": ME}]
        assert PendingRevocations(tmp_path, api).requests == (RevocationRequest("work", None, ME),)


@pytest.mark.parametrize("status", [200, 404], ids=["taken", "refused"])
async def test_a_token_that_whoami_then_rejects_is_revoked_whatever_the_hub_answered(
    tmp_path: Path, status: int
) -> None:
    hub = ScriptedHub(revoke=[response(status)], whoami=[response(401)])
    async with hub.api() as api:
        pending = PendingRevocations(tmp_path, api)
        await pending.add(RevocationRequest("work", uid=ME))
        outcomes = await pending.send_all(in_vault(account_token(api, "work"), account_token(api, "home")))
    assert outcomes == [RevocationOutcome("work", "revoked", uid=ME)]
    assert hub.asked == ["revoke", "whoami"]
    assert (pending.requests, on_disk(tmp_path)) == ((), [])


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (200, "took the request, and accepts the token still"),
        (299, "took the request"),
        (300, "refused with status 300"),
    ],
)
async def test_a_token_that_whoami_still_accepts_stays_pending_with_its_digest(
    tmp_path: Path, status: int, why: str
) -> None:
    async with ScriptedHub(revoke=[response(status)], whoami=[response(200)]).api() as api:
        pending, token = PendingRevocations(tmp_path, api), account_token(api, "work")
        await pending.add(RevocationRequest("work", uid=ME))
        (outcome,) = await pending.send_all(in_vault(token))
    assert (outcome.state, outcome.why.startswith(f"{api.origin.url} {why}")) == ("waiting", True)
    assert pending.requests == (RevocationRequest("work", token.token.sha256(), ME),)
    assert on_disk(tmp_path) == [{"account": "work", "token": token.token.sha256(), "uid": ME}]


async def test_a_failure_of_the_hub_keeps_it_pending_with_the_reason(tmp_path: Path) -> None:
    async with ScriptedHub(whoami=[response(500)]).api() as api:
        pending = PendingRevocations(tmp_path, api)
        await pending.add(RevocationRequest("work", uid=ME))
        (outcome,) = await pending.send_all(in_vault(account_token(api, "work")))
    assert (outcome.state, outcome.why) == ("waiting", f"{api.origin.url} answered whoami with status 500; try again")
    assert len(pending.requests) == 1


@pytest.mark.parametrize(
    ("request_", "reached"),
    [
        (RevocationRequest(), {(ME, "work"), (ME, "home"), (OTHER, "work")}),
        (RevocationRequest(uid=ME), {(ME, "work"), (ME, "home")}),
        (RevocationRequest("work"), {(ME, "work"), (OTHER, "work")}),
        (RevocationRequest("work", uid=OTHER), {(OTHER, "work")}),
    ],
    ids=["all", "of a user", "of a name", "of a user and a name"],
)
async def test_a_request_reaches_the_accounts_it_names(
    tmp_path: Path, request_: RevocationRequest, reached: set[tuple[int, str]]
) -> None:
    async with ScriptedHub(whoami=[response(401)]).api() as api:
        pending = PendingRevocations(tmp_path, api)
        await pending.add(request_)
        vault = in_vault(
            *(account_token(api, name, uid) for uid, name in ((ME, "work"), (ME, "home"), (OTHER, "work")))
        )
        outcomes = await pending.send_all(vault)
    assert {(outcome.uid, outcome.account) for outcome in outcomes} == reached
    assert {outcome.state for outcome in outcomes} == {"revoked"}


@pytest.mark.parametrize("names_token", [True, False], ids=["another token", "no such account"])
async def test_what_the_vault_no_longer_holds_is_dropped_and_nothing_is_sent(tmp_path: Path, names_token: bool) -> None:
    hub = ScriptedHub()
    async with hub.api() as api:
        pending = PendingRevocations(tmp_path, api)
        digest = Secret("hf_of_before").sha256() if names_token else None
        await pending.add(RevocationRequest("work" if names_token else "gone", digest, ME))
        (outcome,) = await pending.send_all(in_vault(account_token(api, "work")))
    why = "the account has another token by now" if names_token else "there is no such account in the vault"
    assert (outcome.state, outcome.why) == ("gone", why)
    assert (hub.requests, pending.requests, on_disk(tmp_path)) == ([], (), [])


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"token":5}]', b'[{"more":1}]', b"\xff"])
async def test_a_damaged_file_stops_the_start_and_stays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PENDING_FILE).write_bytes(content)
    async with ScriptedHub().api() as api:
        with pytest.raises(StartError, match="do that by hand at huggingface.co/settings/tokens"):
            PendingRevocations(tmp_path, api)
    assert (tmp_path / PENDING_FILE).read_bytes() == content
