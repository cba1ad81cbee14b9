"""The Hub's form for a new token asks for what was used, in the Hub's words, and for nothing else."""

from urllib.parse import parse_qs, urlsplit

import pytest

from hfproxy.core.hub.token_form import TokenForm, prefilled_form


def used(*pairs: tuple[str, str | None], **more: object) -> TokenForm:
    entries = [
        {"kind": "decided", "account": "default", "decision": "allow", "action": action, "repo": repo, **more}
        for action, repo in pairs
    ]
    return prefilled_form("https://hub", "default", "Me", ["Acme", "other"], entries)


def query(wanted: TokenForm) -> dict[str, list[str]]:
    asked = parse_qs(urlsplit(wanted.url).query)
    assert asked.pop("tokenType") == ["fineGrained"]
    return asked


@pytest.mark.parametrize(
    ("action", "repo", "asked"),
    [
        ("read", "models/me/x", {"ownUserPermissions": ["repo.content.read"]}),
        ("read", None, {"ownUserPermissions": ["repo.content.read"]}),
        ("write", "models/ME/x", {"ownUserPermissions": ["repo.content.read", "repo.write"]}),
        ("secrets", "spaces/me/x", {"ownUserPermissions": ["repo.content.read", "repo.write"]}),
        ("jobs", None, {"ownUserPermissions": ["job.write"]}),
        ("webhooks", None, {"ownUserPermissions": ["user.webhooks.write"]}),
        ("write", "models/acme/x", {"orgs": ["Acme"], "orgPermissions": ["repo.content.read", "repo.write"]}),
        ("read", "models/meta/x", {"canReadGatedRepos": ["true"]}),
        ("read", "models/gpt2", {"canReadGatedRepos": ["true"]}),
        ("discuss", "models/meta/x", {"globalPermissions": ["discussion.write"]}),
        ("write", "models/meta/x", {}),  # the token could not have done that either
        ("made up", "models/me/x", {}),
        (None, None, {}),
    ],
)
def test_an_action_asks_for_its_right_where_it_was_used(action: str, repo: str, asked: dict[str, list[str]]) -> None:
    assert query(used((action, repo))) == asked


def test_all_together_and_each_once() -> None:
    wanted = used(
        ("read", "models/me/a"), ("write", "spaces/me/b"), ("read", "datasets/acme/c"), ("read", "models/other/d")
    )
    assert query(wanted) == {
        "ownUserPermissions": ["repo.content.read", "repo.write"],
        "orgs": ["Acme", "other"],
        "orgPermissions": ["repo.content.read"],
    }
    assert "orgs=Acme" in wanted.summary


@pytest.mark.parametrize("more", [{"decision": "deny"}, {"decision": "anonymous"}, {"account": "work"}])
def test_what_the_token_was_not_spent_on_is_not_asked_for(more: dict[str, object]) -> None:
    assert query(used(("write", "models/me/x"), **more)) == {}


def test_every_need_of_a_request_counts() -> None:
    wanted = used(("create", "spaces/me/x"), needs=["create:spaces/me/x", "jobs:acme", "read:models/meta/y"])
    assert query(wanted) == {
        "ownUserPermissions": ["repo.content.read", "repo.write"],
        "orgs": ["Acme"],
        "orgPermissions": ["job.write"],
        "canReadGatedRepos": ["true"],
    }


def test_what_the_form_has_no_word_for_is_left_to_the_person() -> None:
    wanted = used(("profile", None), ("org", "acme"))
    assert wanted.not_in_form == ("org", "profile")
    assert query(wanted).keys() <= {"orgs"}


def test_a_name_cannot_add_to_the_address() -> None:
    entries = [{"account": "default", "decision": "allow", "action": "read", "repo": "models/a&globalPermissions=x/y"}]
    wanted = prefilled_form("https://hub", "default", "me", ["a&globalpermissions=x"], entries)
    assert query(wanted) == {"orgs": ["a&globalpermissions=x"], "orgPermissions": ["repo.content.read"]}
