"""The daemon's own requests to the Hub, against a real server: what is sent, what is returned, and every failure."""

import json

import pytest
from scripted_hub import DATE, ScriptedHub, response

from hfproxy.daemon.accounts.model import Account, AccountToken, Origin
from hfproxy.daemon.upstream import hub_api
from hfproxy.daemon.upstream.hub_api import WhoamiReply
from hfproxy.errors import AccountError, UpstreamError
from hfproxy.secret import Secret

TOKEN = "hf_" + "HubApi00" * 4 + "ab"


def account_token(origin: Origin) -> AccountToken:
    account = Account(name="work", origin=origin, user="me", user_id="1", fullname="Me", role="read")
    return AccountToken(account, Secret(TOKEN))


@pytest.mark.parametrize("status", [200, 401, 503])
async def test_whoami_returns_status_date_and_body_of_whatever_the_hub_answers(status: int) -> None:
    hub = ScriptedHub(whoami=[response(status, {"name": "me"})])
    async with hub.api() as api:
        assert await api.whoami(account_token(api.origin)) == WhoamiReply(status, DATE, b'{"name": "me"}')
    (request,) = hub.requests
    head, *fields = request.strip().split("\r\n")
    assert head == "GET /api/whoami-v2 HTTP/1.1"
    assert set(fields) == {
        f"Host: {api.origin.url.removeprefix('http://')}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        "User-Agent: hf-proxy",
        f"Authorization: Bearer {TOKEN}",
    }


async def test_without_an_account_whoami_is_asked_without_a_token() -> None:
    hub = ScriptedHub(whoami=[response(401)])
    async with hub.api() as api:
        assert (await api.whoami(None)).status == 401
    assert "authorization" not in hub.requests[0].lower()


@pytest.mark.parametrize("status", [200, 202, 404])
async def test_revoke_sends_the_token_in_the_body_only_and_returns_the_status(status: int) -> None:
    hub = ScriptedHub(revoke=[response(status)])
    async with hub.api() as api:
        assert await api.revoke(account_token(api.origin)) == status
    (request,) = hub.requests
    head, _, body = request.partition("\r\n\r\n")
    assert head.startswith("POST /api/credentials/revoke HTTP/1.1\r\n")
    assert "content-type: application/json" in head.lower()
    assert TOKEN not in head
    assert "authorization" not in head.lower()
    assert json.loads(body) == {"credentials": [TOKEN]}


async def test_no_token_is_sent_to_another_origin_than_its_account_s() -> None:
    hub = ScriptedHub()
    async with hub.api() as api:
        for origin in (Origin("https://huggingface.co"), Origin(api.origin.url, "another authority")):
            with pytest.raises(AccountError, match="was logged in for"):
                await api.whoami(account_token(origin))
            with pytest.raises(AccountError, match="was logged in for"):
                await api.revoke(account_token(origin))
    assert hub.requests == []


# A head that never comes, and a body that never ends.
@pytest.mark.parametrize("sent", [b"", response(200, {}, length=9)], ids=["head", "body"])
async def test_a_hub_that_does_not_answer_is_given_up(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_api, "TIMEOUT_S", 0.3)
    async with ScriptedHub(hold_open=True, whoami=[sent], revoke=[sent]).api() as api:
        for request in (api.whoami(None), api.revoke(account_token(api.origin))):
            with pytest.raises(UpstreamError, match="does not answer; check the network, then try again"):
                await request


async def test_a_body_that_ends_too_early_is_an_error() -> None:
    cut = response(200, {}, length=9)
    async with ScriptedHub(whoami=[cut], revoke=[cut]).api() as api:
        for request in (api.whoami(None), api.revoke(account_token(api.origin))):
            with pytest.raises(UpstreamError, match="broke off its answer; try again"):
                await request
