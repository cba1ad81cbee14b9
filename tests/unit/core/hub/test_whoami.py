"""The whoami answer says whose credential it is and what it may do, and nothing that it may not."""

import json

import pytest

from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.core.hub.whoami import Identity, whoami_json

WHO = Identity("me", "1" * 24, "Me Myself", (("acme", "2" * 24), ("Other", "3" * 24)))
AT = 1_800_000_000


def asked(*scopes: str, label: str | None = None) -> dict[str, object]:
    order = GrantTerms(account="default", scopes=tuple(map(parse, scopes)), ttl=3600, label=label)
    grant, _ = Broker().mint(order, bytes(24), AT)
    return whoami_json(WHO, grant)


def access_token(who: dict[str, object]) -> dict[str, object]:
    return who["auth"]["accessToken"]  # type: ignore[index]


def test_the_name_is_the_accounts_and_no_address_or_bill_is_in_it() -> None:
    who = asked("read")
    assert (who["type"], who["id"], who["name"], who["fullname"]) == ("user", "1" * 24, "me", "Me Myself")
    assert not {"email", "emailVerified", "billingMode"} & set(who)
    assert (who["isPro"], who["canPay"], who["periodEnd"]) == (False, False, None)


@pytest.mark.parametrize(
    ("scopes", "orgs"),
    [
        (("read",), ["acme", "Other"]),
        (("read:*",), ["acme", "Other"]),
        (("read:acme/x",), ["acme"]),
        (("read:me/*", "write:models/other/*"), ["Other"]),
        (("read:me/*",), []),
        (("read:ac*",), ["acme"]),
    ],
    ids=str,
)
def test_only_organisations_that_the_scope_reaches_are_named(scopes: tuple[str, ...], orgs: list[str]) -> None:
    assert [org["name"] for org in asked(*scopes)["orgs"]] == orgs  # type: ignore[union-attr]


def test_the_whole_shape_is_the_hubs() -> None:
    """Clients index these fields without asking (docs/hub-protocol.md#whoami)."""
    who = asked("read:acme/x", label="l")
    scoped = who["auth"]["accessToken"]["fineGrained"].pop("scoped")  # type: ignore[index]
    assert who == {
        "type": "user",
        "id": "1" * 24,
        "name": "me",
        "fullname": "Me Myself",
        "avatarUrl": "",
        "isPro": False,
        "canPay": False,
        "periodEnd": None,
        "orgs": [
            {"type": "org", "id": "2" * 24, "name": "acme", "fullname": "acme", "avatarUrl": "", "isEnterprise": False}
        ],
        "auth": {
            "type": "access_token",
            "expiresAt": "2027-01-15T09:00:00.000Z",
            "accessToken": {
                "displayName": "hf-proxy l",
                "role": "fineGrained",
                "createdAt": "2027-01-15T08:00:00.000Z",
                "fineGrained": {"canReadGatedRepos": True, "global": []},
            },
        },
    }
    assert scoped[0].keys() == {"entity", "permissions"}
    assert scoped[0]["entity"].keys() == {"_id", "type", "name"}


def test_it_says_when_it_began_and_ends() -> None:
    who = asked("read")
    assert who["auth"]["expiresAt"] == "2027-01-15T09:00:00.000Z"  # type: ignore[index]
    assert access_token(who)["createdAt"] == "2027-01-15T08:00:00.000Z"


def test_it_is_known_by_its_label_or_by_its_id() -> None:
    assert access_token(asked("read", label="nightly"))["displayName"] == "hf-proxy nightly"
    assert str(access_token(asked("read"))["displayName"]).startswith("hf-proxy ")
    assert access_token(asked("read"))["role"] == "fineGrained"


@pytest.mark.parametrize(
    ("scope", "kind", "name", "permissions"),
    [
        ("read", "user", "me", ["repo.content.read"]),
        ("read:acme", "user", "acme", ["repo.content.read"]),
        ("read:models/acme/x", "model", "acme/x", ["repo.content.read"]),
        ("write:spaces/me/demo", "space", "me/demo", ["repo.content.read", "repo.write"]),
        ("discuss:datasets/a/b", "dataset", "a/b", ["discussion.write"]),
        ("read:kernels/a/b", "kernel", "a/b", ["repo.content.read"]),
        ("read:buckets/a/b", "bucket", "a/b", ["repo.content.read"]),
        ("read:a/b", "user", "a/b", ["repo.content.read"]),
        ("read:models/acme", "user", "acme", ["repo.content.read"]),
        ("read:models/acme/*", "model", "acme", ["repo.content.read"]),
        ("read:*", "user", "", ["repo.content.read"]),
        ("create:me", "user", "me", ["repo.content.read", "repo.write"]),
        ("settings", "user", "me", ["repo.content.read", "repo.write", "repo.access.read"]),
        ("infer", "user", "me", ["inference.serverless.write"]),
        ("endpoints:acme", "user", "acme", ["inference.endpoints.write"]),
        ("jobs:acme", "user", "acme", ["job.write"]),
        ("webhooks", "user", "me", ["user.webhooks.write"]),
        ("collections", "user", "me", ["collection.write"]),
        ("billing", "user", "me", ["user.billing.read"]),
    ],
)
def test_a_scope_is_told_in_the_hubs_own_words(scope: str, kind: str, name: str, permissions: list[str]) -> None:
    (told,) = access_token(asked(scope))["fineGrained"]["scoped"]  # type: ignore[index]
    assert (told["entity"]["type"], told["entity"]["name"]) == (kind, name)
    assert told["permissions"] == permissions
    assert len(told["entity"]["_id"]) == 24


def test_two_scopes_are_two_entities() -> None:
    scoped = access_token(asked("read:a/b", "read:a/c"))["fineGrained"]["scoped"]  # type: ignore[index]
    assert len({one["entity"]["_id"] for one in scoped}) == 2


def test_the_credential_is_not_in_it() -> None:
    assert "hf_px_" not in json.dumps(asked("read"))
