"""Grants of an earlier daemon that are not loaded yet: what the broker says of them, and what it takes in."""

import pytest

from deciding import authorize

from hfproxy.core.policy import grant_codec
from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.broker import Broker, GrantNotLoaded
from hfproxy.core.policy.caveats import MaxUses
from hfproxy.core.policy.decision import Allow, Deny, Refusal
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.core.policy.unloaded_grants import GrantSummary, UnloadedGrants

READ = Access((Need(Action.READ, Target(RepoType.MODELS, "me", "a")),))
SCOPES = (parse("read:me/*"),)


def order(ttl: int = 100, parent: str | None = None, uid: int = 1) -> GrantTerms:
    return GrantTerms("default", SCOPES, ttl, (MaxUses(3),), parent, uid=uid)


def filled(*orders: GrantTerms) -> tuple[Broker, list[Grant], list[str]]:
    """A broker restored from such grants, each minted from the one that is named by its number; the grants as they were
    persisted, and their credentials."""
    before, grants, bearers = Broker(), list[Grant](), list[str]()
    for number, one in enumerate(orders):
        parent = None if one.parent is None else grants[int(one.parent)].id
        grant, bearer = before.mint(order(one.ttl, parent, one.uid), number.to_bytes(24), 0)
        grants.append(grant)
        bearers.append(bearer)
    persisted = [grant_codec.decode(grant_codec.encode(grant)) for grant in grants]
    broker = Broker()
    broker.restore([grant.summary for grant in persisted])
    return broker, persisted, bearers


def load(broker: Broker, *grants: Grant) -> None:
    for grant in grants:
        broker.load(grant.id, grant)


def refusal(verdict: object) -> Refusal:
    assert isinstance(verdict, Deny)
    return verdict.refusal


def test_before_it_is_loaded_nothing_passes_for_an_answer_about_a_grant() -> None:
    broker, (grant, other), (bearer, _) = filled(order(), order())
    load(broker, other)
    assert broker.verify(bearer, 1) == GrantNotLoaded(grant.id)
    for ask in (
        lambda: broker.find(grant.id),
        lambda: broker.grant(grant.id),
        lambda: broker.subtree(grant.id),
        lambda: broker.renew(grant.id, 50, 1),
        lambda: broker.revoke(grant.id),
        lambda: broker.mint(order(parent=grant.id), b"x" * 24, 1),
    ):
        with pytest.raises(LookupError):
            ask()
    assert refusal(broker.evaluate(grant, READ, 1)) is Refusal.UNKNOWN_CREDENTIAL
    assert refusal(broker.check_bytes(grant)) is Refusal.UNKNOWN_CREDENTIAL
    assert broker.expire(1000) == (other,)
    assert broker.count() == 1
    load(broker, grant)
    assert broker.verify(bearer, 1) is grant


def test_a_loaded_grant_is_like_one_that_was_minted_here() -> None:
    broker, (top, low), (_, bearer) = filled(order(), order(50, parent="0"))
    load(broker, top, low)
    assert broker.verify(bearer, 1) is low
    assert broker.lineage(low) == (low, top)
    assert broker.subtree(top.id) == (top, low)
    assert authorize(broker, low, READ, 1) == Allow()
    assert [grant.uses for grant in (top, low)] == [1, 1]
    assert broker.renew(low.id, 1000, 1).expires_at == 100
    assert broker.revoke(top.id) == (low, top)


def test_what_to_load_is_named_from_the_top() -> None:
    broker, grants, _ = filled(order(), order(parent="0"), order(parent="1"), order(10, parent="1"), order(10))
    top, middle, low, short, alone = (grant.id for grant in grants)
    assert broker.unloaded() == (top, middle, low, short, alone)
    assert broker.unloaded_lineage(low) == (top, middle, low)
    assert broker.unloaded_lineage("unknown") == ()
    assert broker.unloaded_descendants(top) == (top, middle, low, short)
    assert broker.unloaded_due(9) == ()
    assert set(broker.unloaded_due(10)) == {short, alone}
    assert sorted(broker.unloaded_due(100)) == sorted(broker.unloaded())
    load(broker, *grants[:2])
    assert broker.unloaded_lineage(low) == (low,)
    assert broker.unloaded_lineage(middle) == ()
    assert broker.unloaded_descendants(top) == (low, short)
    load(broker, *grants[2:])
    assert (broker.unloaded(), broker.unloaded_due(1000), broker.unloaded_descendants(top)) == ((), (), ())


class TestSummaries:
    """The index alone, without a broker."""

    TOP, LOW, ALONE = (
        GrantSummary("top", 30, None, 1, 9),
        GrantSummary("low", 20, "top", 1, None),
        GrantSummary("x", 10, None, 2, None),
    )

    @pytest.fixture
    def unloaded(self) -> UnloadedGrants:
        return UnloadedGrants([self.TOP, self.LOW, self.ALONE])

    def test_are_counted_by_user(self, unloaded: UnloadedGrants) -> None:
        assert [unloaded.count(uid) for uid in (None, 1, 2, 3)] == [3, 2, 1, 0]
        assert unloaded.pop("low") is self.LOW
        assert unloaded.pop("low") is None
        assert [unloaded.count(uid) for uid in (None, 1, 2)] == [2, 1, 1]
        assert len(unloaded) == 2
        assert "low" not in unloaded
        assert "top" in unloaded

    def test_end_in_the_order_of_their_expiry(self, unloaded: UnloadedGrants) -> None:
        assert [unloaded.due(at) for at in (9, 10, 19, 20, 30)] == [
            (),
            ("x",),
            ("x",),
            ("x", "low"),
            ("x", "low", "top"),
        ]

    @pytest.mark.parametrize("popped", [["x"], ["low"], ["x", "low"], ["low", "x"], ["x", "low", "top"]])
    def test_that_were_loaded_are_due_no_more(self, unloaded: UnloadedGrants, popped: list[str]) -> None:
        for grant_id in popped:
            unloaded.pop(grant_id)
        left = tuple(grant_id for grant_id in ("x", "low", "top") if grant_id not in popped)
        for _ in range(2):
            assert unloaded.due(30) == left
            assert unloaded.due(9) == ()

    def test_have_children_whether_they_are_loaded_or_not(self, unloaded: UnloadedGrants) -> None:
        assert (unloaded.children("top"), unloaded.children("x"), unloaded.children("?")) == (("low",), (), ())
        unloaded.pop("top")
        assert unloaded.children("top") == ("low",)
        assert unloaded.lineage("low") == ("low",)
        unloaded.pop("low")
        assert unloaded.children("top") == unloaded.lineage("low") == ()


def test_what_ends_with_a_due_grant_is_named_with_it() -> None:
    broker, (top, low), _ = filled(order(), order(parent="0"))
    load(broker, top)
    top.expires_at = 10
    assert broker.unloaded_due(10) == (low.id,)


def test_a_damaged_grant_is_none_and_neither_is_anything_below_it() -> None:
    broker, (top, middle, low), bearers = filled(order(), order(parent="0"), order(parent="1"))
    load(broker, top)
    broker.load(middle.id, None)
    load(broker, low)
    assert broker.count() == 1
    for grant, bearer in ((middle, bearers[1]), (low, bearers[2])):
        assert broker.find(grant.id) is None
        assert refusal(broker.verify(bearer, 1)) is Refusal.UNKNOWN_CREDENTIAL


def test_a_grant_is_not_loaded_once_its_parent_has_ended() -> None:
    broker, (top, low), (_, bearer) = filled(order(), order(parent="0"))
    load(broker, top)
    assert broker.revoke(top.id) == (top,)
    load(broker, low)
    assert broker.grants() == ()
    assert refusal(broker.verify(bearer, 1)) is Refusal.UNKNOWN_CREDENTIAL


@pytest.mark.parametrize("change", [{"expires_at": 10**6}, {"parent": None}, {"uid": 2}, {"pid": 1}])
def test_what_differs_from_its_summary_is_no_grant(change: dict[str, object]) -> None:
    _, (top, low), (_, bearer) = filled(order(), order(parent="0"))
    broker = Broker()
    broker.restore([top.summary, low.summary._replace(**change)])  # type: ignore[arg-type]
    load(broker, top, low)
    assert refusal(broker.verify(bearer, 1)) is Refusal.UNKNOWN_CREDENTIAL
    assert broker.find(low.id) is None


def test_nothing_is_loaded_twice_and_nothing_that_ended_lives_again() -> None:
    broker, (grant,), (bearer,) = filled(order())
    load(broker, grant)
    authorize(broker, grant, READ, 1)
    again = grant_codec.decode(grant_codec.encode(grant))
    load(broker, again)
    assert broker.verify(bearer, 1) is grant
    broker.revoke(grant.id)
    load(broker, again)
    assert refusal(broker.verify(bearer, 1)) is Refusal.REVOKED
    assert broker.count() == 0


def test_a_grant_that_was_never_here_is_not_taken_in() -> None:
    broker, _, _ = filled(order())
    stranger, bearer = Broker().mint(order(), b"x" * 24, 0)
    load(broker, stranger)
    assert refusal(broker.verify(bearer, 1)) is Refusal.UNKNOWN_CREDENTIAL
