"""Whose token is spent: the least powerful that can do it, and never one that cannot."""

import pytest

from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.account_choice import AccountRights, choose

ME = ("me", "1", "https://hub")
ACME = ("bot", "2", "https://hub")
MODEL = Target(RepoType.MODELS, "me", "a")
READ = Access((Need(Action.READ, MODEL),))
WRITE = Access((Need(Action.WRITE, MODEL),))
JOB = Access((Need(Action.JOBS, Target(None, "me")),))

ALL = {
    purse.name: purse
    for purse in (
        AccountRights("default", ME, "write"),
        AccountRights("reader", ME, "read"),
        AccountRights("one", ME, "fineGrained", ("model me/a: repo.content.read, repo.write",)),
        AccountRights("lists", ME, "fineGrained", ("user me: repo.content.read", "everywhere: discussion.write")),
        AccountRights("work", ACME, "write"),
        AccountRights("work-reader", ACME, "read"),
    )
}


def held(*names: str) -> dict[str, AccountRights]:
    return {name: ALL[name] for name in names}


@pytest.mark.parametrize(
    ("access", "names", "spent"),
    [
        (READ, ["default"], "default"),
        (READ, ["default", "reader"], "reader"),
        (WRITE, ["default", "reader"], "default"),
        (READ, ["default", "reader", "lists"], "lists"),
        (WRITE, ["default", "reader", "lists"], "default"),
        (READ, ["default", "reader", "one"], "reader"),
        (READ, ["default", "one"], "one"),
        (WRITE, ["default", "reader", "one"], "one"),
        (JOB, ["default", "reader", "one", "lists"], "default"),
        (READ, ["default", "work", "work-reader"], "default"),
        (READ, ["reader"], "default"),
    ],
)
def test_the_least_powerful_token_of_the_same_user_is_spent(access: Access, names: list[str], spent: str) -> None:
    assert choose(access, "default", held(*names), {}) == spent


@pytest.mark.parametrize(
    "target",
    [
        Target(RepoType.MODELS, "me", "b"),
        Target(RepoType.DATASETS, "me", "a"),
        Target(RepoType.MODELS, "you", "a"),
        Target(None, "", ""),
    ],
)
def test_a_fine_grained_token_is_not_spent_on_what_it_does_not_cover(target: Target) -> None:
    assert choose(Access((Need(Action.READ, target),)), "default", held("default", "one"), {}) == "default"


def test_a_request_for_two_things_needs_a_token_that_covers_both() -> None:
    both = Access((Need(Action.READ, MODEL), Need(Action.READ, Target(RepoType.MODELS, "me", "b"))))
    assert choose(both, "default", held("default", "one"), {}) == "default"
    assert choose(both, "default", held("default", "one", "lists"), {}) == "lists"


def test_ids_compare_without_regard_to_case() -> None:
    access = Access((Need(Action.WRITE, Target(RepoType.MODELS, "ME", "A")),))
    assert choose(access, "default", held("default", "one"), {}) == "one"


class TestRules:
    RULES = {"acme": "work"}

    def access(self, *namespaces: str, action: Action = Action.WRITE) -> Access:
        return Access(tuple(Need(action, Target(RepoType.MODELS, namespace, "x")) for namespace in namespaces))

    def test_a_namespace_has_its_account(self) -> None:
        assert choose(self.access("Acme"), "default", ALL, self.RULES) == "work"
        assert choose(self.access("me"), "default", held("default", "work"), self.RULES) == "default"

    def test_and_of_that_users_tokens_the_least_powerful_one(self) -> None:
        assert choose(self.access("acme", action=Action.READ), "default", ALL, self.RULES) == "work-reader"

    def test_a_request_about_two_namespaces_follows_no_rule(self) -> None:
        assert choose(self.access("acme", "me"), "default", held("default", "work"), self.RULES) == "default"

    def test_what_names_no_namespace_follows_no_rule(self) -> None:
        own = Access((Need(Action.JOBS, Target(None, None)), Need(Action.WRITE, Target(RepoType.MODELS, None, "a"))))
        assert choose(own, "default", held("default", "work"), self.RULES) == "default"
        mixed = Access((*own.needs, *self.access("acme").needs))
        assert choose(mixed, "default", held("default", "work"), self.RULES) == "default"

    def test_a_rule_for_an_account_that_is_not_there_is_none(self) -> None:
        assert choose(self.access("acme"), "default", held("default"), self.RULES) == "default"


@pytest.mark.parametrize(
    ("rights", "name", "chosen"),
    [
        ("org acme: repo.content.read", "a", "fine"),
        ("org ACME: repo.content.read", "a", "fine"),
        ("user acme: repo.content.read", "a", "fine"),
        ("model acme/a: repo.content.read", "a", "fine"),
        ("model acme/a: discussion.write, repo.write", "a", "fine"),
        ("org acme: repo.content.read", None, "fine"),
        ("model acme/None: repo.content.read", None, "default"),
        ("model acme/a: repo.content.read", None, "default"),
        ("org acme: discussion.write", "a", "default"),
        ("org acme-2: repo.content.read", "a", "default"),
        ("everywhere: repo.content.read", "a", "default"),
        ("model acme/ab: repo.content.read", "a", "default"),
        ("dataset acme/a: repo.content.read", "a", "default"),
    ],
)
def test_a_right_to_a_namespace_or_a_repository_covers_what_is_in_it(
    rights: str, name: str | None, chosen: str
) -> None:
    accounts = {
        "default": AccountRights("default", ME, "write"),
        "fine": AccountRights("fine", ME, "fineGrained", (rights,)),
    }
    access = Access((Need(Action.READ, Target(RepoType.MODELS, "acme", name)),))
    assert choose(access, "default", accounts, {}) == chosen


@pytest.mark.parametrize(
    ("action", "chosen"),
    [(action, "fine") for action in ("write", "create", "delete", "move", "settings", "secrets", "run", "read")]
    + [(action, "default") for action in ("discuss", "merge", "infer", "jobs", "webhooks", "collections", "org")],
)
def test_a_right_to_write_covers_what_is_done_to_repositories_and_nothing_else(action: str, chosen: str) -> None:
    accounts = {
        "default": AccountRights("default", ME, "write"),
        "fine": AccountRights("fine", ME, "fineGrained", ("org acme: repo.write",)),
    }
    access = Access((Need(Action(action), Target(RepoType.MODELS, "acme", "a")),))
    assert choose(access, "default", accounts, {}) == chosen


def test_the_order_of_privilege_is_read_then_fine_grained_then_the_name() -> None:
    read = Access((Need(Action.READ, MODEL),))
    rights = "model me/a: repo.content.read"
    accounts = {
        "a-write": AccountRights("a-write", ME, "write"),
        "b-fine-write": AccountRights("b-fine-write", ME, "fineGrained", ("model me/a: repo.write",)),
        "c-read": AccountRights("c-read", ME, "read"),
        "e-fine": AccountRights("e-fine", ME, "fineGrained", (rights,)),
        "d-fine": AccountRights("d-fine", ME, "fineGrained", (rights,)),
    }
    order = []
    while len(accounts) > 1:
        order.append(choose(read, "a-write", accounts, {}))
        del accounts[order[-1]]
    assert order == ["d-fine", "e-fine", "c-read", "b-fine-write"]


def test_an_account_of_another_user_is_never_chosen() -> None:
    accounts = {"default": AccountRights("default", ME, "write"), "other": AccountRights("other", ACME, "read")}
    assert choose(READ, "default", accounts, {}) == "default"
    assert choose(READ, "other", accounts, {}) == "other"
    assert choose(READ, "gone", accounts, {}) == "gone"
