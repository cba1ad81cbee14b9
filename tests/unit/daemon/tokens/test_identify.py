"""What is read from whoami at login, and when a token counts as revoked."""

import pytest
from scripted_hub import ScriptedHub, response

from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken
from hfproxy.daemon.tokens.identify import identify, is_revoked
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, UpstreamError
from hfproxy.secret import Secret

KEY = AccountKey(1000, "work")
FINE_GRAINED = {
    "scoped": [
        {"entity": {"type": "model", "name": "me/demo"}, "permissions": ["repo.content.read", "repo.write"]},
        {"entity": {"type": "org", "_id": "7"}, "permissions": []},
    ],
    "global": ["discussion.write", "post.write"],
}
IDENTITY = {
    "name": "me",
    "id": "1",
    "fullname": "Me Myself",
    "orgs": [{"name": "acme", "id": "7"}, {"name": "lab"}],
    "auth": {"accessToken": {"role": "fineGrained", "fineGrained": FINE_GRAINED}},
}


async def identified(body: object, status: int = 200) -> Account:
    async with ScriptedHub(whoami=[response(status, body)]).api() as api:
        account_token = await identify(api, KEY, Secret("hf_identify"))
        assert account_token.token == Secret("hf_identify")
        assert account_token.account.origin == api.origin
        return account_token.account


async def test_user_organisations_role_and_permissions_are_read() -> None:
    account = await identified(IDENTITY)
    assert account.key == KEY
    assert (account.user, account.user_id, account.fullname, account.role) == ("me", "1", "Me Myself", "fineGrained")
    assert account.orgs == (("acme", "7"), ("lab", ""))
    assert account.scopes == (
        "model me/demo: repo.content.read, repo.write",
        "org 7: ",
        "everywhere: discussion.write, post.write",
    )


@pytest.mark.parametrize(
    "body", [{"name": "me"}, {"name": "me", "auth": [], "orgs": {}}, {"name": "me", "fullname": "", "auth": {"accessToken": 1}}], ids=str
)  # fmt: skip
async def test_what_is_missing_or_of_another_type_has_a_default(body: object) -> None:
    account = await identified(body)
    assert (account.user, account.user_id, account.fullname, account.role) == ("me", "", "me", "unknown")
    assert (account.orgs, account.scopes) == ((), ())


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_rejected_is_no_account(status: int) -> None:
    with pytest.raises(AccountError, match="does not accept this token; copy it again"):
        await identified({}, status)


@pytest.mark.parametrize(("status", "body"), [(200, {}), (200, []), (500, {}), (302, {"id": "1"})], ids=str)
async def test_another_answer_is_an_error_of_the_hub(status: int, body: object) -> None:
    with pytest.raises(UpstreamError, match=f"answered whoami with status {status}; try again"):
        await identified(body, status)


def account_token(api: HubApi) -> AccountToken:
    account = Account(name="work", origin=api.origin, user="me", user_id="1", fullname="Me", role="read")
    return AccountToken(account, Secret("hf_identify"))


@pytest.mark.parametrize(("status", "revoked"), [(200, False), (401, True)])
async def test_only_200_and_401_decide_whether_a_token_is_revoked(status: int, revoked: bool) -> None:
    async with ScriptedHub(whoami=[response(status)]).api() as api:
        assert await is_revoked(api, account_token(api)) is revoked


@pytest.mark.parametrize("status", [403, 404, 429, 500])
async def test_another_status_decides_nothing(status: int) -> None:
    async with ScriptedHub(whoami=[response(status)]).api() as api:
        with pytest.raises(UpstreamError, match=f"answered whoami with status {status}"):
            await is_revoked(api, account_token(api))
