"""What is attempted: whose it is, and who pays."""

import pytest

from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target, catalogue, everything_of

OWN = Need(Action.CREATE, Target(RepoType.MODELS, None, "demo"))
ACME = Need(Action.READ, Target(RepoType.MODELS, "acme", "x", "main"))


def test_who_is_not_named_is_the_account_s_own_user() -> None:
    owned = Access((OWN, ACME)).resolved_for("me")
    assert owned.needs == (Need(Action.CREATE, Target(RepoType.MODELS, "me", "demo")), ACME)


@pytest.mark.parametrize("payer", ["me", "ME", None])
def test_paying_for_oneself_needs_nothing(payer: str | None) -> None:
    assert Access((ACME,), bill_to=payer).resolved_for("Me").needs == (ACME,)


def test_another_payer_needs_billing_there_and_is_no_read() -> None:
    access = Access((ACME,), bill_to="Acme").resolved_for("me")
    assert access.needs == (ACME, Need(Action.BILLING, Target(None, "Acme")))
    assert not access.is_read_only


@pytest.mark.parametrize(
    ("target", "repo"),
    [
        (Target(RepoType.SPACES, "me", "a", "main"), "spaces/me/a"),
        (Target(RepoType.MODELS, "gpt2"), "models/gpt2"),
        (Target(None, "acme"), None),
        (Target(RepoType.MODELS, None, "a"), None),
        (catalogue(RepoType.MODELS), None),
    ],
)
def test_the_journal_names_a_repository_where_there_is_one(target: Target, repo: str | None) -> None:
    assert target.repo == repo


@pytest.mark.parametrize(
    ("access", "is_read_only", "is_account_independent"),
    [
        (Access((ACME,)), True, True),
        (Access((ACME, ACME)), True, True),
        (Access((OWN,)), False, False),
        (Access((ACME, OWN)), False, False),
        (Access((Need(Action.READ, Target(RepoType.MODELS, None, "demo")), ACME)), True, False),
        (Access((ACME,), bill_to="acme"), True, False),
        (Access((ACME, Need(Action.WRITE, ACME.target))), False, True),
        (Access((Need(Action.READ, catalogue(RepoType.MODELS)),)), True, True),
    ],
)
def test_an_access_that_names_everything_is_the_same_for_every_account(
    access: Access, is_read_only: bool, is_account_independent: bool
) -> None:
    assert access.is_read_only is is_read_only
    assert access.is_account_independent is is_account_independent
    same = access.resolved_for("me") == access.resolved_for("you")
    assert same is (is_account_independent or access.bill_to is not None)
    if is_account_independent:
        assert access.resolved_for("me") is access


def test_an_access_without_needs_is_none() -> None:
    with pytest.raises(ValueError, match="without needs"):
        Access(())


def test_everything_of_a_namespace_is_every_name_in_it() -> None:
    assert everything_of("acme") == Target(None, "acme", "")
    assert everything_of("acme", RepoType.SPACES) == Target(RepoType.SPACES, "acme", "")
    assert catalogue(None) == Target(None, "", "")
    assert ACME.target.at("dev") == Target(RepoType.MODELS, "acme", "x", "dev")
