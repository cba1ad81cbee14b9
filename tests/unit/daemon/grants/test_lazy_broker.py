"""Grants of an earlier daemon, loaded when they are first asked for, beside a broker that loads all at once: no caller
can tell the two apart."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from deciding import authorize
from strategies import law

from hfproxy.core.policy import grant_codec
from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.decision import Allow, Deny, Refusal
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.caveats import MaxUses
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.grants.lazy_broker import LazyBroker
from hfproxy.errors import RefusedError, StoreError

READ = Access((Need(Action.READ, Target(RepoType.MODELS, "me", "a")),))
SCOPES = (parse("read:me/*"),)


def order(ttl: int = 100, parent: str | None = None, uid: int = 1, **more: object) -> GrantTerms:
    return GrantTerms("default", SCOPES, ttl, (MaxUses(3),), parent, uid=uid, **more)  # type: ignore[arg-type]


class Both(LazyBroker):
    """A lazy broker with the questions that the daemon puts to the broker itself."""

    def __init__(self, read: Callable[[str], Grant | None] = lambda _: None) -> None:
        self.core = Broker()
        super().__init__(self.core, read)

    def loaded(self) -> tuple[Grant, ...]:
        return self.core.grants()


class Persisted:
    """What an earlier daemon wrote down, and which grants were read."""

    def __init__(self, lazy: Both) -> None:
        grants = lazy.grants()
        self.summaries = [grant.summary for grant in grants]
        self.texts = {grant.id: grant_codec.encode(grant) for grant in grants}
        self.ended = dict(lazy.core._ended)
        self.reads: list[str] = []

    def grant(self, grant_id: str) -> Grant:
        assert grant_id not in self.reads, "a grant is read once"
        self.reads.append(grant_id)
        return grant_codec.decode(self.texts[grant_id])

    def restored(self, read: Callable[[str], Grant | None] | None = None) -> Both:
        lazy = Both(self.grant if read is None else read)
        for digest, how in self.ended.items():
            lazy.core.remember_ended(digest, how)
        lazy.core.restore(self.summaries)
        return lazy


def told(grant: Grant | Deny) -> object:
    return grant_codec.encode(grant) if isinstance(grant, Grant) else grant


class Twins(RuleBasedStateMachine):
    """The same is done to both, and both say the same."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.lazy, self.whole = Both(), Both()
        self.bearers: dict[str, str] = {}
        self.at = 1000

    def both(self, do: Callable[[Both], object]) -> object:
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

        def minted(broker: Both) -> tuple[str, str]:
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
        def authorized(broker: Both) -> object:
            found = broker.verify(self.bearers[name], self.at)
            return found if isinstance(found, Deny) else authorize(broker.core, found, READ, self.at)

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
        lazy, whole = Persisted(self.lazy), Persisted(self.whole)
        assert (lazy.texts, lazy.ended) == (whole.texts, whole.ended)
        self.lazy, self.whole = lazy.restored(), whole.restored()
        self.whole.grants()
        assert self.lazy.loaded() == ()

    @invariant()
    def as_many_are_alive(self) -> None:
        for uid in (None, 1, 2, 3):
            self.both(lambda broker, uid=uid: broker.core.count(uid))  # type: ignore[misc]


TestTwins = Twins.TestCase
TestTwins.settings = law(200)


# --- what is read, and when ------------------------------------------------------------------------------------------


def filled(*orders: GrantTerms) -> tuple[Persisted, list[str], list[str]]:
    """Such grants, persisted, each minted from the one that is named by its number; their ids and credentials."""
    lazy, ids, bearers = Both(), list[str](), list[str]()
    for number, one in enumerate(orders):
        parent = None if one.parent is None else ids[int(one.parent)]
        grant, bearer = lazy.mint(order(one.ttl, parent, one.uid), number.to_bytes(24), 0)
        ids.append(grant.id)
        bearers.append(bearer)
    return Persisted(lazy), ids, bearers


def test_only_what_is_asked_for_is_read_and_all_above_it() -> None:
    persisted, ids, bearers = filled(order(), order(parent="0"), order(parent="1"), order(), order(parent="0"))
    lazy = persisted.restored()
    assert (lazy.core.count(), lazy.loaded(), lazy.expire(99)) == (5, (), ())
    assert isinstance(lazy.verify("hf_px_unknown", 1), Deny)
    assert persisted.reads == []
    grant = lazy.verify(bearers[2], 1)
    assert isinstance(grant, Grant)
    assert persisted.reads == ids[:3]
    assert authorize(lazy.core, grant, READ, 1) == Allow()
    assert [one.uses for one in lazy.loaded()] == [1, 1, 1]
    assert lazy.core.count() == 5


def test_a_loaded_grant_is_answered_without_the_store() -> None:
    persisted, ids, bearers = filled(order(), order(parent="0"))
    lazy = persisted.restored()
    assert isinstance(lazy.verify(bearers[1], 1), Grant)
    persisted.texts.clear()  # whatever is read from now on fails
    for _ in range(3):
        assert isinstance(lazy.verify(bearers[1], 1), Grant)
        assert lazy.find(ids[0]) is lazy.core.grant(ids[0])
        lazy.renew(ids[1], 50, 1)
    assert len(lazy.grants()) == 2
    assert len(lazy.revoke(ids[0])) == 2


def test_what_was_minted_from_one_that_ends_ends_unread_by_anybody_before() -> None:
    persisted, ids, bearers = filled(order(), order(parent="0"), order(parent="1"), order())
    lazy = persisted.restored()
    assert {grant.id for grant in lazy.revoke(ids[0])} == set(ids[:3])
    assert persisted.reads == ids[:3]
    dead = lazy.verify(bearers[2], 1)
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.REVOKED
    assert (lazy.core.count(), [grant.id for grant in lazy.grants()]) == (1, ids[3:])


def test_an_unread_child_of_a_read_grant_ends_with_it() -> None:
    persisted, ids, _ = filled(order(), order(parent="0"), order(parent="1"))
    lazy = persisted.restored()
    lazy.find(ids[1])
    assert persisted.reads == ids[:2]
    assert [grant.id for grant in lazy.revoke(ids[0])] == ids[::-1]
    assert lazy.core.count() == 0


def test_what_was_minted_from_a_grant_is_below_it_although_nobody_asked_for_it() -> None:
    persisted, ids, _ = filled(order(), order(parent="0"), order(parent="1"), order())
    lazy = persisted.restored()
    assert [grant.id for grant in lazy.subtree(ids[0])] == ids[:3]
    assert persisted.reads == ids[:3]


def test_what_is_over_is_seen_although_nobody_asked_for_it() -> None:
    persisted, ids, bearers = filled(order(10), order(20), order(10, uid=2))
    lazy = persisted.restored()
    assert lazy.expire(9) == ()
    assert {grant.id for grant in lazy.expire(10)} == {ids[0], ids[2]}
    assert persisted.reads == [ids[0], ids[2]]
    assert (lazy.core.count(), lazy.core.count(1), lazy.core.count(2)) == (1, 1, 0)
    dead = lazy.verify(bearers[0], 5)
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.EXPIRED


def test_a_child_that_is_said_to_outlive_its_parent_expires_with_it_all_the_same() -> None:
    persisted, ids, bearers = filled(order(100), order(100, parent="0"))
    lazy = persisted.restored()
    grant = lazy.find(ids[0])
    assert grant is not None
    grant.expires_at = 10
    assert [ended.id for ended in lazy.expire(10)] == [ids[1], ids[0]]
    dead = lazy.verify(bearers[1], 5)
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.EXPIRED


def test_what_is_not_understood_is_no_grant_and_nothing_minted_from_it_is() -> None:
    persisted, ids, bearers = filled(order(), order(parent="0"), order(parent="1"), order())
    lazy = persisted.restored(lambda grant_id: None if grant_id == ids[1] else persisted.grant(grant_id))
    dead = lazy.verify(bearers[2], 1)
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.UNKNOWN_CREDENTIAL
    with pytest.raises(RefusedError):
        lazy.mint(order(parent=ids[2]), bytes(24), 1)
    assert {grant.id for grant in lazy.grants()} == {ids[0], ids[3]}
    assert {grant.id for grant in lazy.revoke(ids[0])} == {ids[0]}


def test_a_failed_read_is_raised_to_the_caller_and_the_grant_is_there_when_it_can_be_read() -> None:
    persisted, ids, bearers = filled(order(), order(parent="0"))
    is_readable = False

    def read(grant_id: str) -> Grant:
        if not is_readable:
            raise StoreError("no")
        return persisted.grant(grant_id)

    lazy = persisted.restored(read)
    for ask in (
        lambda: lazy.verify(bearers[1], 1),
        lambda: lazy.revoke(ids[0]),
        lambda: lazy.find(ids[0]),
        lambda: lazy.subtree(ids[1]),
        lambda: lazy.renew(ids[1], 50, 1),
        lambda: lazy.mint(order(parent=ids[1]), bytes(24), 1),
        lazy.grants,
    ):
        with pytest.raises(StoreError):
            ask()
    assert lazy.expire(1000) == ()
    assert lazy.core.count() == 2
    is_readable = True
    assert {grant.id for grant in lazy.revoke(ids[0])} == set(ids)


def test_what_cannot_be_read_keeps_nothing_else_from_ending() -> None:
    persisted, ids, bearers = filled(order(), order(parent="0"), order(10), order(10))
    unreadable = {ids[1], ids[3]}

    def read(grant_id: str) -> Grant:
        if grant_id in unreadable:
            raise StoreError("no")
        return persisted.grant(grant_id)

    lazy = persisted.restored(read)
    assert [grant.id for grant in lazy.expire(10)] == [ids[2]]
    assert [grant.id for grant in lazy.revoke(ids[0])] == [ids[0]]
    unreadable.clear()
    for bearer in (bearers[1], bearers[3]):
        assert isinstance(lazy.verify(bearer, 10), Deny)
    assert lazy.grants() == (lazy.find(ids[3]),)
    assert [grant.id for grant in lazy.expire(10)] == [ids[3]]


def test_two_thousand_below_each_other_are_read_and_end() -> None:
    persisted, ids, bearers = filled(order(), *[order(parent=str(number)) for number in range(2000)])
    lazy = persisted.restored()
    assert isinstance(lazy.verify(bearers[-1], 1), Grant)
    assert persisted.reads == ids
    persisted.reads.clear()
    assert len(persisted.restored().revoke(ids[0])) == 2001
    persisted.reads.clear()
    lazy = persisted.restored()
    visits = Counter[str]()
    children = lazy.core._unloaded.children
    lazy.core._unloaded.children = lambda grant_id: (visits.update([grant_id]), children(grant_id))[1]
    assert len(lazy.expire(100)) == 2001
    assert max(visits.values()) == 1, "or a program that nests many could have the daemon hang when they end"
