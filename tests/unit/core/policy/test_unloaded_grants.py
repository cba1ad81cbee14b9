"""A broker whose grants are read when they are asked for, beside one that reads them all at once: nobody can tell."""

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from strategies import law

from hfproxy.core.policy import grant_codec
from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.decision import Allow, Deny, Refusal
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.caveats import MaxUses
from hfproxy.core.policy.scope import parse
from hfproxy.errors import RefusedError, StoreError

READ = Access((Need(Action.READ, Target(RepoType.MODELS, "me", "a")),))
SCOPES = (parse("read:me/*"),)


def order(ttl: int = 100, parent: str | None = None, uid: int = 1, **more: object) -> GrantTerms:
    return GrantTerms("default", SCOPES, ttl, (MaxUses(3),), parent, uid=uid, **more)  # type: ignore[arg-type]


class Left:
    """What an earlier daemon wrote down, and how often each was read."""

    def __init__(self, broker: Broker) -> None:
        self.briefs = [grant.brief for grant in broker.grants()]
        self._spelled = {grant.id: grant_codec.encode(grant) for grant in broker.grants()}
        self.ended = dict(broker._ended)
        self.read: list[str] = []

    def grant(self, grant_id: str) -> Grant:
        assert grant_id not in self.read
        self.read.append(grant_id)
        return grant_codec.decode(self._spelled[grant_id])

    def taken_over(self) -> Broker:
        broker = Broker()
        for digest, how in self.ended.items():
            broker.remember_ended(digest, how)
        broker.restore(self.briefs, self.grant)
        return broker


def told(grant: Grant | Deny) -> object:
    return grant_codec.encode(grant) if isinstance(grant, Grant) else grant


class Twins(RuleBasedStateMachine):
    """The same is done to both, and both say the same."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.lazy, self.whole = Broker(), Broker()
        self.bearers: dict[str, str] = {}
        self.at = 1000

    def both(self, do: Callable[[Broker], object]) -> object:
        said = []
        for broker in (self.lazy, self.whole):
            try:
                said.append(do(broker))
            except RefusedError as error:
                said.append(str(error))
        assert said[0] == said[1]
        return said[0]

    @rule(target=known, parent=known | st.none(), ttl=st.integers(1, 60), uid=st.integers(1, 2))
    def mint(self, parent: str | None, ttl: int, uid: int) -> str:
        entropy = (len(self.bearers) + 1).to_bytes(24)

        def minted(broker: Broker) -> tuple[str, str]:
            grant, bearer = broker.mint(order(ttl, parent, uid), entropy, self.at)
            return grant.id, bearer

        said = self.both(minted)
        if isinstance(said, str):
            return parent or ""
        name, self.bearers[name] = said  # type: ignore[misc]
        return str(name)

    @rule(name=known, ttl=st.integers(1, 60))
    def renew(self, name: str, ttl: int) -> None:
        self.both(lambda broker: told(broker.renew(name, self.at + ttl, self.at)))

    @rule(name=known)
    def verify(self, name: str) -> None:
        self.both(lambda broker: told(broker.verify(self.bearers[name], self.at)))

    @rule(name=known)
    def authorize(self, name: str) -> None:
        def authorized(broker: Broker) -> object:
            found = broker.verify(self.bearers[name], self.at)
            return found if isinstance(found, Deny) else broker.authorize(found, READ, self.at)

        self.both(authorized)

    @rule(name=known)
    def revoke(self, name: str) -> None:
        self.both(lambda broker: {grant.id for grant in broker.revoke(name)})

    @rule(name=known)
    def find(self, name: str) -> None:
        self.both(lambda broker: None if (grant := broker.find(name)) is None else told(grant))

    @rule(name=known)
    def subtree(self, name: str) -> None:
        self.both(lambda broker: {told(grant) for grant in broker.subtree(name)})

    @rule(seconds=st.integers(1, 30))
    def expire(self, seconds: int) -> None:
        self.at += seconds
        self.both(lambda broker: {grant.id for grant in broker.expire(self.at)})

    @rule(seconds=st.integers(-20, 20))
    def time_goes_on_or_is_set(self, seconds: int) -> None:
        self.at += seconds

    @rule()
    def listing(self) -> None:
        self.both(lambda broker: {told(grant) for grant in broker.grants()})
        self.both(lambda broker: [grant.minted_at for grant in broker.grants()])

    @rule()
    def another_daemon_takes_over(self) -> None:
        left = Left(self.whole)
        assert Left(self.lazy)._spelled == left._spelled
        self.lazy, self.whole = left.taken_over(), Left(self.whole).taken_over()
        self.whole.grants()

    @invariant()
    def as_many_are_alive(self) -> None:
        for uid in (None, 1, 2, 3):
            self.both(lambda broker, uid=uid: broker.count(uid))  # type: ignore[misc]


TestTwins = Twins.TestCase
TestTwins.settings = law(200)


# --- what is read, and when ------------------------------------------------------------------------------------------


def filled(*orders: GrantTerms) -> tuple[Left, list[str], list[str]]:
    """What is left of such grants, each minted from the one that is named by its number; their ids and credentials."""
    broker, ids, bearers = Broker(), list[str](), list[str]()
    for number, one in enumerate(orders):
        parent = None if one.parent is None else ids[int(one.parent)]
        grant, bearer = broker.mint(order(one.ttl, parent, one.uid), number.to_bytes(24), 0)
        ids.append(grant.id)
        bearers.append(bearer)
    return Left(broker), ids, bearers


def test_only_what_is_asked_for_is_read_and_all_above_it() -> None:
    left, ids, bearers = filled(order(), order(parent="0"), order(parent="1"), order(), order(parent="0"))
    broker = left.taken_over()
    assert (broker.count(), broker.loaded(), broker.expire(99)) == (5, (), ())
    assert isinstance(broker.verify("hf_px_unknown", 1), Deny)
    assert left.read == []
    grant = broker.verify(bearers[2], 1)
    assert isinstance(grant, Grant)
    assert left.read == ids[:3]
    assert broker.authorize(grant, READ, 1) == Allow()
    assert [one.uses for one in broker.loaded()] == [1, 1, 1]
    assert broker.count() == 5


def test_what_was_minted_from_one_that_ends_ends_unread_by_anybody_before() -> None:
    left, ids, bearers = filled(order(), order(parent="0"), order(parent="1"), order())
    broker = left.taken_over()
    assert {grant.id for grant in broker.revoke(ids[0])} == set(ids[:3])
    dead = broker.verify(bearers[2], 1)
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.REVOKED
    assert (broker.count(), [grant.id for grant in broker.grants()]) == (1, ids[3:])


def test_what_is_over_is_seen_although_nobody_asked_for_it() -> None:
    left, ids, bearers = filled(order(10), order(20), order(10, uid=2))
    broker = left.taken_over()
    assert broker.expire(9) == ()
    assert {grant.id for grant in broker.expire(10)} == {ids[0], ids[2]}
    assert (broker.count(), broker.count(1), broker.count(2)) == (1, 1, 0)
    dead = broker.verify(bearers[0], 5)
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.EXPIRED


def test_what_is_not_understood_is_no_grant_and_nothing_minted_from_it_is() -> None:
    left, ids, bearers = filled(order(), order(parent="0"), order(parent="1"), order())
    broker = Broker()
    broker.restore(left.briefs, lambda grant_id: None if grant_id == ids[1] else left.grant(grant_id))
    dead = broker.verify(bearers[2], 1)
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.UNKNOWN_CREDENTIAL
    with pytest.raises(RefusedError):
        broker.mint(order(parent=ids[2]), bytes(24), 1)
    assert {grant.id for grant in broker.grants()} == {ids[0], ids[3]}
    assert {grant.id for grant in broker.revoke(ids[0])} == {ids[0]}


@pytest.mark.parametrize("change", [{"expires_at": 10**6}, {"parent": None}, {"uid": 2}, {"pid": 1}])
def test_what_is_not_as_it_was_said_to_be_is_no_grant(change: dict[str, object]) -> None:
    left, ids, bearers = filled(order(), order(parent="0"))
    broker = Broker()
    broker.restore([left.briefs[0], left.briefs[1]._replace(**change)], left.grant)  # type: ignore[arg-type]
    assert isinstance(broker.verify(bearers[1], 1), Deny)
    assert broker.find(ids[1]) is None


def test_what_cannot_be_read_is_said_to_whoever_asks_and_is_there_when_it_can() -> None:
    left, ids, bearers = filled(order(), order(parent="0"))
    broker, is_readable = Broker(), False

    def read(grant_id: str) -> Grant:
        if not is_readable:
            raise StoreError("no")
        return left.grant(grant_id)

    broker.restore(left.briefs, read)
    for ask in (
        lambda: broker.verify(bearers[1], 1),
        lambda: broker.revoke(ids[0]),
        broker.grants,
    ):
        with pytest.raises(StoreError):
            ask()
    assert broker.expire(1000) == ()
    is_readable = True
    assert {grant.id for grant in broker.revoke(ids[0])} == set(ids)


def test_what_cannot_be_read_keeps_nothing_else_from_ending() -> None:
    left, ids, bearers = filled(order(), order(parent="0"), order(10), order(10))
    broker, unreadable = Broker(), {ids[1], ids[3]}

    def read(grant_id: str) -> Grant:
        if grant_id in unreadable:
            raise StoreError("no")
        return left.grant(grant_id)

    broker.restore(left.briefs, read)
    assert [grant.id for grant in broker.expire(10)] == [ids[2]]
    assert [grant.id for grant in broker.revoke(ids[0])] == [ids[0]]
    unreadable.clear()
    for bearer in (bearers[1], bearers[3]):
        assert isinstance(broker.verify(bearer, 10), Deny)
    assert broker.grants() == (broker.grant(ids[3]),)
    assert [grant.id for grant in broker.expire(10)] == [ids[3]]


def test_two_thousand_below_each_other_are_read_and_end() -> None:
    left, ids, bearers = filled(order(), *[order(parent=str(number)) for number in range(2000)])
    broker = left.taken_over()
    assert isinstance(broker.verify(bearers[-1], 1), Grant)
    assert left.read == ids
    left.read.clear()
    assert len(left.taken_over().revoke(ids[0])) == 2001
