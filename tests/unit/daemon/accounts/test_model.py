"""An account: what identifies it, what it may be told about, and the form of `accounts --json`."""

import os

import pytest

from hfproxy.core.hub.whoami import Identity
from hfproxy.core.policy.account_choice import AccountRights
from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken, Origin
from hfproxy.secret import Secret

ORIGIN = Origin("https://hub", "ab")


def account(**fields: object) -> Account:
    known = {"uid": 7, "name": "work", "origin": ORIGIN, "user": "me", "user_id": "1", "fullname": "Me M"}
    return Account(**known | {"role": "fineGrained", "orgs": (("acme", "9"),), "scopes": ("user me: x",)} | fields)  # type: ignore[arg-type]


def test_an_account_is_identified_by_user_and_name() -> None:
    assert account().key == AccountKey(7, "work")
    assert account(uid=8).key != account().key != account(name="home").key


def test_an_account_without_an_owner_is_of_the_daemons_user() -> None:
    """Documents of versions that served one user."""
    own = Account(name="a", origin=ORIGIN, user="me", user_id="1", fullname="", role="read")
    assert own.key == AccountKey(os.getuid(), "a")
    assert (own.orgs, own.scopes, own.login, own.revoked_at) == ((), (), "", None)


@pytest.mark.parametrize("field", ["user", "user_id", "origin"])
def test_the_owner_of_a_token_is_its_user_at_its_hub(field: str) -> None:
    other = {"user": "you", "user_id": "2", "origin": Origin("https://hub", None)}
    assert account(name="x", role="read", fullname="Y").owner == account().owner
    assert account(**{field: other[field]}).owner != account().owner


def test_rights_and_identity_are_those_of_the_token() -> None:
    assert account().rights == AccountRights("work", ("me", "1", ORIGIN), "fineGrained", ("user me: x",))
    assert account().identity == Identity("me", "1", "Me M", (("acme", "9"),))


@pytest.mark.parametrize("role", ["read", "write", "god"])
def test_a_classic_token_has_a_warning(role: str) -> None:
    (warning,) = account(role=role).warnings
    assert warning.startswith(f"this is a classic '{role}' token")
    assert warning.endswith("https://huggingface.co/settings/tokens/new?tokenType=fineGrained and run: hf-proxy login")


@pytest.mark.parametrize("role", ["fineGrained", "unknown", ""])
def test_any_other_token_has_none(role: str) -> None:
    assert account(role=role).warnings == []
    assert account(role=role).revoked is None


def test_a_revoked_token_has_one_warning_whatever_its_role() -> None:
    (warning,) = account(role="write", revoked_at=0).warnings
    assert warning == account(revoked_at=0).revoked
    assert warning.endswith("hf-proxy rotate --account work, or: hf-proxy login --account work")


def test_the_form_of_accounts_json() -> None:
    assert account(role="read").public() == {
        "name": "work",
        "user": "me",
        "role": "read",
        "orgs": ["acme"],
        "scopes": ["user me: x"],
        "origin": "https://hub",
        "warnings": account(role="read").warnings,
    }


def test_the_echo_patterns_are_those_of_the_token() -> None:
    found = AccountToken(account(), Secret("hf_secret")).echo_patterns
    assert b"hf_secret" in found
    assert len(found) == 4
