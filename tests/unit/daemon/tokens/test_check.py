"""What the daemon tells `doctor` about the Hub and about each token."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from scripted_hub import ScriptedHub, response

from hfproxy.daemon.accounts.model import Account, AccountToken, Origin
from hfproxy.daemon.tokens.check import check_hub, check_token
from hfproxy.secret import Secret

NOT_KNOWN = {"why": None, "created_at": None, "expires_at": None}


def account_token(origin: Origin, **more: object) -> AccountToken:
    account = Account(name="work", origin=origin, user="me", user_id="1", fullname="Me", role="read", **more)  # type: ignore[arg-type]
    return AccountToken(account, Secret("hf_check"))


@pytest.mark.parametrize("ahead", [-7200, 0, 7200])
async def test_the_hub_is_asked_without_a_token_and_the_clocks_are_compared(ahead: int) -> None:
    date = format_datetime(datetime.fromtimestamp(time.time() - ahead, UTC), usegmt=True)
    hub = ScriptedHub(whoami=[response(401, date=date)])
    async with hub.api() as api:
        report = await check_hub(api)
    assert "authorization" not in hub.requests[0].lower()
    assert (report["origin"], report["why"]) == (api.origin.url, None)
    assert 0 <= int(str(report["ms"])) < 10_000
    assert abs(int(str(report["skew"])) - ahead) <= 5


async def test_a_date_that_is_none_gives_no_skew() -> None:
    async with ScriptedHub(whoami=[response(401, date="yesterday")]).api() as api:
        assert (await check_hub(api))["skew"] is None


async def test_a_hub_that_breaks_off_is_reported_with_the_reason() -> None:
    async with ScriptedHub(whoami=[response(401, {}, length=9)]).api() as api:
        report = await check_hub(api)
    why = f"{api.origin.url} broke off its answer; try again"
    assert report == {"origin": api.origin.url, "why": why, "ms": None, "skew": None}


async def test_a_good_token_is_reported_with_its_times() -> None:
    auth = {"accessToken": {"createdAt": "2026-01-02T03:04:05.000Z"}, "expiresAt": "2027-01-02T03:04:05"}
    async with ScriptedHub(whoami=[response(200, {"name": "me", "auth": auth})]).api() as api:
        report = await check_token(api, account_token(api.origin))
    assert report == {
        "name": "work",
        "user": "me",
        "role": "read",
        "origin": api.origin.url,
        "state": "good",
        "why": None,
        "created_at": 1_767_323_045,
        "expires_at": 1_798_859_045,
    }


@pytest.mark.parametrize(
    "body",
    [{}, [], {"auth": None}, {"auth": {"accessToken": {"createdAt": 5}}}, {"auth": {"accessToken": "x"}}],
    ids=str,
)
async def test_times_that_the_hub_does_not_give_are_null(body: object) -> None:
    async with ScriptedHub(whoami=[response(200, body)]).api() as api:
        report = await check_token(api, account_token(api.origin))
    assert (report["state"], report["created_at"], report["expires_at"]) == ("good", None, None)


async def test_a_token_that_the_hub_rejects_is_dead() -> None:
    async with ScriptedHub(whoami=[response(401)]).api() as api:
        report = await check_token(api, account_token(api.origin))
    assert report["state"] == "dead"
    assert {name: report[name] for name in NOT_KNOWN} == NOT_KNOWN


async def test_a_token_that_is_marked_as_revoked_is_dead_and_not_sent() -> None:
    hub = ScriptedHub()
    async with hub.api() as api:
        report = await check_token(api, account_token(api.origin, revoked_at=1))
    assert (report["state"], hub.requests) == ("dead", [])


async def test_another_status_says_nothing_about_a_token() -> None:
    async with ScriptedHub(whoami=[response(503)]).api() as api:
        report = await check_token(api, account_token(api.origin))
    assert (report["state"], report["why"]) == (
        "unknown",
        f"{api.origin.url} answered whoami with status 503; try again",
    )


async def test_a_token_of_another_origin_is_unknown_and_not_sent() -> None:
    hub = ScriptedHub()
    async with hub.api() as api:
        report = await check_token(api, account_token(Origin("https://huggingface.co")))
    assert (report["state"], hub.requests) == ("unknown", [])
    assert "was logged in for https://huggingface.co" in str(report["why"])
