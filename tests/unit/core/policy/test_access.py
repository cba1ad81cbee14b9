"""What is attempted: whose it is, and who pays."""

import pytest

from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target, catalogue

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
