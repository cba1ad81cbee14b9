"""The broker, against a model of its own rules that shares nothing with it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule
from deciding import authorize
from strategies import accesses, caveats, law

from hfproxy.core.policy import broker as broker_module
from hfproxy.core.policy import grant_codec
from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Decision, Deny, Refusal
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.caveats import Caveat, InScopes, InTree, MaxBytes, MaxRate, MaxUses, Usage
from hfproxy.core.policy.scope import parse
from hfproxy.errors import RefusedError

READ_A = Access((Need(Action.READ, Target(RepoType.MODELS, "me", "a")),))
WRITE_A = Access((Need(Action.WRITE, Target(RepoType.MODELS, "me", "a", "main")),))
READ_B = Access((Need(Action.READ, Target(RepoType.MODELS, "me", "b")),))
MOVE_AB = Access((*WRITE_A.needs, *READ_B.needs))


def rank(decision: Decision) -> int:
    return 0 if isinstance(decision, Deny) else 1 if isinstance(decision, AllowAnonymous) else 2


def ordered(*scopes: str, ttl: int = 100, parent: str | None = None, extra: tuple[Caveat, ...] = ()) -> GrantTerms:
    read = tuple(map(parse, scopes))
    return GrantTerms("default", read, ttl, (InScopes(read), *extra), parent)


def entropy(number: int) -> bytes:
    return number.to_bytes(24)


@dataclass
class World:
    """A broker and a counter that stands for its random bytes."""

    broker: Broker
    minted: int = 0

    def mint(self, order: GrantTerms, at: int = 0) -> tuple[Grant, str]:
        self.minted += 1
        return self.broker.mint(order, entropy(self.minted), at)


@pytest.fixture
def world() -> World:
    return World(Broker())


# --- whose it is ---------------------------------------------------------------------------------------------

ALICE, BOB = 1001, 1002


def test_a_grant_is_kept_from_everybody_but_its_owner(world: World) -> None:
    grant, _ = world.mint(GrantTerms("default", (parse("read"),), 100, uid=ALICE))
    assert grant.refusal_for(ALICE) is None
    for other in (BOB, 0, -1):
        deny = grant.refusal_for(other)
        assert deny is not None
        assert deny.refusal is Refusal.PEER
        assert "hf-proxy exec" in deny.why


def test_what_nobody_owns_no_user_may_use(world: World) -> None:
    grant, _ = world.mint(ordered("read"))
    assert all(grant.refusal_for(uid) for uid in (0, ALICE, 2**32 - 2))


def test_nothing_is_minted_from_another_user_s_grant(world: World) -> None:
    hers, _ = world.mint(GrantTerms("default", (parse("read"),), 100, uid=ALICE))
    with pytest.raises(RefusedError) as caught:
        world.mint(GrantTerms("default", (parse("read"),), 100, parent=hers.id, uid=BOB))
    with pytest.raises(RefusedError) as unknown:
        world.mint(GrantTerms("default", (parse("read"),), 100, parent="0" * 16, uid=BOB))
    assert str(caught.value) == str(unknown.value).replace("0" * 16, hers.id)
    assert world.broker.grants() == (hers,)


@pytest.mark.parametrize("extra", [(MaxUses(1),), (MaxRate(1),), (MaxBytes(up=1),), (InTree(),), ()])
def test_what_holds_for_a_grant_is_known_of_all_that_were_minted_from_it(
    world: World, extra: tuple[Caveat, ...]
) -> None:
    top, _ = world.mint(replace(ordered("read", extra=extra), bind=Bind.TREE))
    middle, _ = world.mint(ordered("read", parent=top.id))
    low, _ = world.mint(replace(ordered("read", parent=middle.id), bind=Bind.TREE))
    limited = bool(extra) and extra != (InTree(),)
    assert [grant.is_limited for grant in (top, middle, low)] == [limited] * 3
    assert [grant.trees for grant in (top, middle, low)] == [(top.id,), (top.id,), (low.id, top.id)]
    assert [world.broker.lineage(grant) for grant in (top, low)] == [(top,), (low, middle, top)]
    world.broker.renew(low.id, 50, 1)
    assert (low.is_limited, low.trees) == (limited, (low.id, top.id))


# --- mint ----------------------------------------------------------------------------------------------------


def test_a_credential_is_its_grant_s_and_no_other(world: World) -> None:
    one, bearer = world.mint(ordered("read"))
    other, another = world.mint(ordered("read"))
    assert world.broker.verify(bearer, 0) is one
    assert world.broker.verify(another, 0) is other
    assert one.id != other.id


def test_the_broker_does_not_keep_the_credential(world: World) -> None:
    _, bearer = world.mint(ordered("read"))
    assert bearer not in repr(world.broker)
    world.broker.revoke(world.broker.grants()[0].id)
    assert bearer not in repr(world.broker)


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_grant_without_a_lifetime_is_not_minted(world: World, ttl: int) -> None:
    with pytest.raises(ValueError, match="positive lifetime"):
        world.mint(ordered("read", ttl=ttl))
    assert world.broker.grants() == ()


def test_a_grant_without_scopes_is_not_minted(world: World) -> None:
    with pytest.raises(ValueError, match="at least one scope"):
        world.mint(ordered())


def test_a_grant_never_allows_what_its_own_scopes_do_not(world: World) -> None:
    # Whoever mints may forget to say the scopes twice; what was ordered must still hold.
    grant, _ = world.mint(GrantTerms("default", (parse("read:me/b"),), 100))
    assert isinstance(authorize(world.broker, grant, WRITE_A, 1), Deny)


@pytest.mark.parametrize("parent", ["", "nobody", "x" * 1000, "a\nb"])
def test_there_must_be_a_parent_to_narrow(world: World, parent: str) -> None:
    with pytest.raises(RefusedError, match="no living grant"):
        world.mint(ordered("read", parent=parent))


@given(st.integers(1, 100), st.integers(1, 100), st.integers(0, 100))
@law(100)
def test_a_child_never_outlives_its_parent(parent_ttl: int, child_ttl: int, at: int) -> None:
    world = World(Broker())
    parent, _ = world.mint(ordered("read", ttl=parent_ttl))
    child, _ = world.mint(ordered("read", ttl=child_ttl, parent=parent.id), at)
    assert child.expires_at == min(at + child_ttl, parent.expires_at)


# --- verify ----------------------------------------------------------------------------------------------------


@given(st.text())
@law()
def test_what_was_never_minted_is_unknown(text: str) -> None:
    assert refusal(Broker().verify(text, 0)) is Refusal.UNKNOWN_CREDENTIAL


def test_a_changed_credential_is_unknown(world: World) -> None:
    _, bearer = world.mint(ordered("read"))
    for changed in (bearer[:-1], bearer + "0", bearer.swapcase(), bearer + "\n", " " + bearer, bearer[::-1]):
        assert refusal(world.broker.verify(changed, 0)) is Refusal.UNKNOWN_CREDENTIAL


def test_a_credential_is_over_at_its_second_whether_or_not_it_was_swept(world: World) -> None:
    grant, bearer = world.mint(ordered("read", ttl=10), 5)
    assert world.broker.verify(bearer, 14) is grant
    assert refusal(world.broker.verify(bearer, 15)) is Refusal.EXPIRED
    assert world.broker.expire(14) == ()
    assert world.broker.expire(15) == (grant,)
    assert refusal(world.broker.verify(bearer, 15)) is Refusal.EXPIRED
    assert refusal(world.broker.verify(bearer, 0)) is Refusal.EXPIRED


def test_a_revoked_credential_says_so_and_stays_so(world: World) -> None:
    grant, bearer = world.mint(ordered("read", ttl=10))
    assert world.broker.revoke(grant.id) == (grant,)
    assert world.broker.revoke(grant.id) == ()
    assert world.broker.expire(50) == ()
    assert refusal(world.broker.verify(bearer, 1)) is Refusal.REVOKED
    assert refusal(world.broker.verify(bearer, 99)) is Refusal.REVOKED
    with pytest.raises(RefusedError):
        world.broker.grant(grant.id)


def test_a_message_to_a_dead_credential_is_one_line_with_the_next_command(world: World) -> None:
    grant, bearer = world.mint(ordered("read"))
    world.broker.revoke(grant.id)
    for text in (bearer, "hf_" + "a" * 34):
        verdict = world.broker.verify(text, 0)
        assert isinstance(verdict, Deny)
        assert verdict.why.isprintable()
        assert verdict.why.isascii()
        assert "hf-proxy exec" in verdict.why
        assert text not in verdict.why


def test_ended_credentials_are_remembered_up_to_a_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "MAX_ENDED", 2)
    made = [world.mint(ordered("read")) for _ in range(3)]
    for grant, _ in made:
        world.broker.revoke(grant.id)
    said = [refusal(world.broker.verify(bearer, 0)) for _, bearer in made]
    assert said == [Refusal.UNKNOWN_CREDENTIAL, Refusal.REVOKED, Refusal.REVOKED]


# --- authorize ---------------------------------------------------------------------------------------------------


def test_uses_are_counted_when_allowed_and_only_then(world: World) -> None:
    grant, _ = world.mint(ordered("write:me/a", extra=(MaxUses(2),)))
    assert isinstance(authorize(world.broker, grant, MOVE_AB, 1), Deny)
    assert grant.uses == 0
    assert authorize(world.broker, grant, WRITE_A, 1) == Allow()
    assert isinstance(authorize(world.broker, grant, READ_B, 1), AllowAnonymous)
    assert grant.uses == 2
    refused = authorize(world.broker, grant, READ_A, 1)
    assert refusal(refused) is Refusal.LIMIT
    assert grant.uses == 2


def test_a_child_s_use_counts_for_all_above_and_a_sibling_feels_it(world: World) -> None:
    top, _ = world.mint(ordered("read", extra=(MaxUses(2),)))
    middle, _ = world.mint(ordered("read", parent=top.id))
    low, _ = world.mint(ordered("read", parent=middle.id))
    sibling, _ = world.mint(ordered("read", parent=top.id))
    assert authorize(world.broker, low, READ_A, 1) == Allow()
    assert authorize(world.broker, sibling, READ_A, 1) == Allow()
    assert [grant.uses for grant in (top, middle, low, sibling)] == [2, 1, 1, 1]
    assert refusal(authorize(world.broker, low, READ_A, 1)) is Refusal.LIMIT
    assert refusal(authorize(world.broker, top, READ_A, 1)) is Refusal.LIMIT


def test_a_child_cannot_widen_its_parent(world: World) -> None:
    parent, _ = world.mint(ordered("read:me/a"))
    child, _ = world.mint(ordered("write", parent=parent.id))
    assert authorize(world.broker, child, READ_A, 1) == Allow()
    assert isinstance(authorize(world.broker, child, READ_B, 1), AllowAnonymous)
    assert refusal(authorize(world.broker, child, WRITE_A, 1)) is Refusal.SCOPE


@given(accesses, st.lists(caveats, max_size=3), st.lists(caveats, max_size=3), st.integers(0, 20), st.integers(1, 20))
@law(250)
def test_a_child_never_allows_more_than_its_parent(
    access: Access, held: list[Caveat], added: list[Caveat], at: int, ttl: int
) -> None:
    scopes = (parse("write"),)
    alone, family = World(Broker()), World(Broker())
    single, bearer = alone.mint(GrantTerms("default", scopes, 10, tuple(held)))
    parent, _ = family.mint(GrantTerms("default", scopes, 10, tuple(held)))
    child, narrowed = family.mint(GrantTerms("default", scopes, ttl, tuple(added), parent.id))
    if isinstance(family.broker.verify(narrowed, at), Deny):
        return
    assert alone.broker.verify(bearer, at) is single
    assert rank(authorize(family.broker, child, access, at)) <= rank(authorize(alone.broker, single, access, at))


def test_an_ended_grant_allows_nothing_to_whoever_still_holds_it(world: World) -> None:
    # A request's body is read between `verify` and `authorize`; the grant may end meanwhile.
    grant, _ = world.mint(ordered("write"))
    world.broker.revoke(grant.id)
    assert refusal(authorize(world.broker, grant, WRITE_A, 1)) is Refusal.REVOKED


def test_an_ended_child_allows_nothing_to_whoever_still_holds_it(world: World) -> None:
    parent, _ = world.mint(ordered("write"))
    child, _ = world.mint(ordered("write", parent=parent.id))
    world.broker.revoke(parent.id)
    assert refusal(authorize(world.broker, child, WRITE_A, 1)) is Refusal.REVOKED


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_use_is_recent_for_sixty_seconds(world: World) -> None:
    grant, _ = world.mint(ordered("read", ttl=1000, extra=(MaxRate(2),)))
    assert authorize(world.broker, grant, READ_A, 100) == Allow()
    assert authorize(world.broker, grant, READ_A, 130) == Allow()
    assert refusal(authorize(world.broker, grant, READ_A, 159)) is Refusal.LIMIT
    assert authorize(world.broker, grant, READ_A, 160) == Allow()
    assert refusal(authorize(world.broker, grant, READ_A, 189)) is Refusal.LIMIT
    assert authorize(world.broker, grant, READ_A, 190) == Allow()
    assert grant.uses == 4


def test_what_was_refused_does_not_count_towards_the_rate(world: World) -> None:
    grant, _ = world.mint(ordered("read", extra=(MaxRate(1),)))
    assert isinstance(authorize(world.broker, grant, WRITE_A, 1), Deny)
    assert authorize(world.broker, grant, READ_A, 1) == Allow()
    for at in range(1, 61):
        assert refusal(authorize(world.broker, grant, READ_A, at)) is Refusal.LIMIT
    assert authorize(world.broker, grant, READ_A, 61) == Allow()


def test_a_child_s_requests_count_towards_the_rate_of_all_above(world: World) -> None:
    top, _ = world.mint(ordered("read", extra=(MaxRate(2),)))
    one, _ = world.mint(ordered("read", parent=top.id, extra=(MaxRate(5),)))
    two, _ = world.mint(ordered("read", parent=top.id))
    assert authorize(world.broker, one, READ_A, 1) == Allow()
    assert authorize(world.broker, two, READ_A, 1) == Allow()
    assert [refusal(authorize(world.broker, grant, READ_A, 1)) for grant in (top, one, two)] == [Refusal.LIMIT] * 3


def test_when_a_request_was_is_kept_only_where_a_rate_is_limited(world: World) -> None:
    grant, _ = world.mint(ordered("read", ttl=10**6))
    limited, _ = world.mint(ordered("read", ttl=10**6, extra=(MaxRate(10**6),)))
    for at in range(1000):
        authorize(world.broker, grant, READ_A, at)
        authorize(world.broker, limited, READ_A, at)
    assert grant.usage_at(1000, inside=False).last_minute == 0
    assert limited.usage_at(1000, inside=False).last_minute == 59
    assert limited.usage_at(1059, inside=False).last_minute == 0


def test_considering_counts_nothing(world: World) -> None:
    grant, _ = world.mint(ordered("read", extra=(MaxUses(1), MaxRate(1))))
    for _ in range(3):
        assert world.broker.evaluate(grant, READ_A, 1) == Allow()
    assert grant.usage_at(1, inside=False) == Usage(1)
    # Two that were considered at once are not both let through.
    assert authorize(world.broker, grant, READ_A, 1) == Allow()
    assert refusal(authorize(world.broker, grant, READ_A, 1)) is Refusal.LIMIT


def test_bytes_pass_up_to_the_limit_and_are_counted_for_all_above(world: World) -> None:
    top, _ = world.mint(ordered("write", extra=(MaxBytes(up=10),)))
    low, _ = world.mint(ordered("write", parent=top.id, extra=(MaxBytes(down=5),)))
    assert world.broker.count_bytes(low, up=7, down=5) is None
    assert [(grant.bytes_up, grant.bytes_down) for grant in (top, low)] == [(7, 5), (7, 5)]
    refused = world.broker.count_bytes(low, up=4)
    assert refusal(refused) is Refusal.LIMIT
    assert refusal(world.broker.count_bytes(low, down=1)) is Refusal.LIMIT
    assert [(grant.bytes_up, grant.bytes_down) for grant in (top, low)] == [(7, 5), (7, 5)]
    assert world.broker.count_bytes(low, up=3) is None
    assert world.broker.count_bytes(top, down=1000) is None
    assert isinstance(refused, Deny)
    assert refused.why == (
        "the credential's limit of 10 bytes up is used up; run the command again under: hf-proxy exec"
    )


def test_asking_for_room_takes_none(world: World) -> None:
    grant, _ = world.mint(ordered("write", extra=(MaxBytes(up=10),)))
    for _ in range(3):
        assert world.broker.check_bytes(grant, up=10) is None
        assert refusal(world.broker.check_bytes(grant, up=11)) is Refusal.LIMIT
    assert grant.bytes_up == 0


def test_two_transfers_share_one_limit(world: World) -> None:
    grant, _ = world.mint(ordered("read", extra=(MaxBytes(down=10),)))
    assert world.broker.check_bytes(grant, down=8) is None  # one looks,
    assert world.broker.check_bytes(grant, down=8) is None  # the other looks too,
    assert world.broker.count_bytes(grant, down=8) is None
    assert refusal(world.broker.count_bytes(grant, down=8)) is Refusal.LIMIT
    assert grant.bytes_down == 8


def test_a_request_is_refused_once_nothing_more_could_pass(world: World) -> None:
    grant, _ = world.mint(ordered("write", extra=(MaxBytes(up=3, down=3),)))
    assert world.broker.count_bytes(grant, up=3) is None
    assert refusal(authorize(world.broker, grant, WRITE_A, 1)) is Refusal.LIMIT
    assert authorize(world.broker, grant, READ_A, 1) == Allow()
    assert world.broker.count_bytes(grant, down=3) is None
    assert refusal(authorize(world.broker, grant, READ_A, 1)) is Refusal.LIMIT


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_an_ended_grant_passes_no_byte(world: World, how: str) -> None:
    parent, _ = world.mint(ordered("write", ttl=10))
    child, _ = world.mint(ordered("write", ttl=10, parent=parent.id))
    assert world.broker.check_bytes(child, up=1) is None
    world.broker.revoke(parent.id) if how == "revoked" else world.broker.expire(10)
    for grant in (parent, child):
        assert refusal(world.broker.check_bytes(grant)).value == how
        assert refusal(world.broker.count_bytes(grant, up=1)).value == how
        assert grant.bytes_up == 0


@pytest.mark.parametrize(
    ("ttl", "first"),
    [(100, 90), (1000, 900), (6000, 5400), (86_400, 85_800), (10, 9), (9, 9), (1, 1)],
)
def test_the_holder_is_warned_in_the_last_tenth_and_ten_minutes_at_most(world: World, ttl: int, first: int) -> None:
    grant, _ = world.mint(ordered("read", ttl=ttl), 1000)
    assert [at for at in range(ttl + 3) if grant.warning(1000 + at)] == list(range(first, ttl + 3))
    assert grant.warning(1000 + ttl + 1) == grant.warning(1000 + ttl)
    said = grant.warning(1000 + first)
    assert said == (
        f"this hf-proxy credential ends in {ttl - first} seconds; let it live on: hf-proxy renew {grant.id} --ttl 1h"
    )


@pytest.mark.parametrize("bind", Bind)
def test_from_inside_of_a_command_more_is_asked_for_outside_of_it(world: World, bind: Bind) -> None:
    grant, _ = world.mint(GrantTerms("default", (parse("read:me/b"),), 100, bind=bind))
    for decision in (authorize(world.broker, grant, WRITE_A, 1), authorize(world.broker, grant, READ_A, 1)):
        assert isinstance(decision, Deny | AllowAnonymous)
        invitation = "; allow it with: " if bind is Bind.NONE else "; to allow it, run outside this command: "
        assert f"{invitation}hf-proxy exec --scope " in decision.why
        assert decision.why.endswith(" -- CMD")


def test_a_grant_of_a_tree_is_for_that_tree_and_so_are_those_minted_from_it(world: World) -> None:
    top, _ = world.mint(ordered("read", extra=(InTree(),)))
    low, _ = world.mint(ordered("read", parent=top.id))
    for grant in (top, low):
        assert authorize(world.broker, grant, READ_A, 1, frozenset({top.id})) == Allow()
        for inside in (frozenset[str](), frozenset({low.id})):
            assert refusal(authorize(world.broker, grant, READ_A, 1, inside)) is Refusal.HOLDER


def test_an_expired_grant_is_not_renewed_even_before_it_is_swept(world: World) -> None:
    grant, bearer = world.mint(ordered("read"))
    with pytest.raises(RefusedError, match="has expired"):
        world.broker.renew(grant.id, 300, 100)
    assert refusal(world.broker.verify(bearer, 100)) is Refusal.EXPIRED
    assert world.broker.renew(grant.id, 300, 99).expires_at == 300


def test_a_grant_that_renews_itself_may_be_overdue(world: World) -> None:
    """The machine slept, and the process of the grant lives on."""
    grant, bearer = world.mint(replace(ordered("read"), renews=True))
    assert world.broker.renew(grant.id, 300, 150) is grant
    assert world.broker.verify(bearer, 299) is grant
    assert refusal(world.broker.verify(bearer, 300)) is Refusal.EXPIRED


def test_grants_are_counted_by_user_and_listed_from_the_oldest(world: World) -> None:
    late, _ = world.mint(replace(ordered("read"), uid=ALICE), at=9)
    early, _ = world.mint(replace(ordered("read"), uid=BOB), at=1)
    assert world.broker.grants() == (early, late)
    assert [world.broker.count(uid) for uid in (None, ALICE, BOB, 0)] == [2, 1, 1, 0]
    world.broker.revoke(late.id)
    assert world.broker.grants() == (early,)
    assert [world.broker.count(uid) for uid in (None, ALICE, BOB)] == [1, 0, 1]


def test_a_renewed_grant_ends_no_later_than_the_one_it_was_minted_from(world: World) -> None:
    top, _ = world.mint(ordered("read", ttl=100))
    low, bearer = world.mint(ordered("read", ttl=10, parent=top.id))
    assert world.broker.renew(low.id, 1000, 9) is low
    assert low.expires_at == 100
    assert world.broker.verify(bearer, 99) is low
    assert authorize(world.broker, low, READ_A, 99) == Allow()
    world.broker.renew(top.id, 200, 99)
    assert refusal(world.broker.verify(bearer, 100)) is Refusal.EXPIRED
    assert world.broker.renew(top.id, 200, 99).expires_at == 200


# --- revoke and expire ---------------------------------------------------------------------------------------------


def test_what_was_minted_from_a_grant_dies_with_it(world: World) -> None:
    top, _ = world.mint(ordered("read"))
    child, bearer = world.mint(ordered("read", parent=top.id))
    grandchild, low = world.mint(ordered("read", parent=child.id))
    other, _ = world.mint(ordered("read"))
    assert set(ids(world.broker.revoke(top.id))) == {top.id, child.id, grandchild.id}
    assert ids(world.broker.grants()) == [other.id]
    assert refusal(world.broker.verify(bearer, 0)) is Refusal.REVOKED
    assert refusal(world.broker.verify(low, 0)) is Refusal.REVOKED


def test_a_child_dies_alone(world: World) -> None:
    top, _ = world.mint(ordered("read"))
    child, _ = world.mint(ordered("read", parent=top.id))
    assert ids(world.broker.revoke(child.id)) == [child.id]
    assert ids(world.broker.grants()) == [top.id]


def test_a_grant_narrowed_two_thousand_times_can_still_be_revoked(world: World) -> None:
    # Nested `hf-proxy exec` makes such a chain; it must not make its own top irrevocable.
    top, bearer = world.mint(ordered("read"))
    low, last = top.id, bearer
    for _ in range(2000):
        grant, last = world.mint(ordered("read", parent=low))
        low = grant.id
    assert len(world.broker.revoke(top.id)) == 2001
    assert refusal(world.broker.verify(last, 0)) is Refusal.REVOKED
    assert refusal(world.broker.verify(bearer, 0)) is Refusal.REVOKED


def refusal(verdict: object) -> Refusal:
    assert isinstance(verdict, Deny)
    return verdict.refusal


def ids(grants: tuple[Grant, ...]) -> list[str]:
    return [grant.id for grant in grants]


# --- any order of everything -----------------------------------------------------------------------------------------

# Which accesses a scope covers, written down by hand.
COVERS = {
    "read": {"read a", "read b"},
    "read:me/a": {"read a"},
    "write:models/me/a": {"read a", "write a"},
    "write:me/a@dev": {"read a"},
    "write": {"read a", "read b", "write a", "copy b to a"},
    "discuss": set(),
}
ACCESSES = {"read a": READ_A, "read b": READ_B, "write a": WRITE_A, "copy b to a": MOVE_AB}


@dataclass
class Known:
    """All that the model keeps of a grant."""

    bearer: str
    parent: str | None
    scopes: frozenset[str]
    strict: bool
    most: int | None
    rate: int | None
    bytes: tuple[int | None, int | None]
    over_at: int
    uses: int = 0
    used_at: list[int] = field(default_factory=list)
    up: int = 0
    down: int = 0
    ended: str | None = None

    def is_used_up(self, at: int, *, writes: bool) -> bool:
        """Whether no request more is allowed at this moment."""
        recent = [one for one in self.used_at if at - one < 60]
        return (
            (self.most is not None and self.uses >= self.most)
            or (self.rate is not None and len(recent) >= self.rate)
            or not self.has_room(1 if writes else 0, 1)
        )

    def has_room(self, up: int, down: int) -> bool:
        """Whether so many bytes more may pass."""
        most_up, most_down = self.bytes
        return (most_up is None or self.up + up <= most_up) and (most_down is None or self.down + down <= most_down)

    def covers(self, name: str) -> bool:
        if name == "copy b to a":
            return self.covers("write a") and self.covers("read b")
        return any(name in COVERS[scope] for scope in self.scopes)


# Uses, requests a minute, bytes up, bytes down.
Limits = tuple[int | None, int | None, int | None, int | None]


class Life(RuleBasedStateMachine):
    """Mint, narrow, use, pass bytes, expire, revoke and restart in any order, with time going on."""

    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.broker = Broker()
        self.model: dict[str, Known] = {}
        self.held: dict[str, Grant] = {}
        self.at = 1000

    def _mint(self, scopes: frozenset[str], ttl: int, strict: bool, limits: Limits, parent: str | None) -> str:
        read = tuple(map(parse, sorted(scopes)))
        most, rate, up, down = limits
        extra: list[Caveat] = [] if most is None else [MaxUses(most)]
        extra += [] if rate is None else [MaxRate(rate)]
        extra += [] if up is None and down is None else [MaxBytes(up, down)]
        order = GrantTerms("default", read, ttl, (InScopes(read, strict), *extra), parent)
        grant, bearer = self.broker.mint(order, entropy(len(self.model) + 1), self.at)
        over_at = self.at + ttl
        if parent is not None:
            over_at = min(over_at, self.model[parent].over_at)
        self.model[grant.id] = Known(bearer, parent, scopes, strict, most, rate, (up, down), over_at)
        self.held[grant.id] = grant
        return grant.id

    scope_sets = st.frozensets(st.sampled_from(sorted(COVERS)), min_size=1, max_size=2)
    ttls = st.integers(1, 120)
    limits = st.tuples(*[st.none() | st.integers(1, 3)] * 2, *[st.none() | st.integers(1, 20)] * 2)

    @rule(target=known, scopes=scope_sets, ttl=ttls, strict=st.booleans(), limits=limits)
    def mint(self, scopes: frozenset[str], ttl: int, strict: bool, limits: Limits) -> str:
        return self._mint(scopes, ttl, strict, limits, None)

    @rule(target=known, parent=known, scopes=scope_sets, ttl=ttls, strict=st.booleans(), limits=limits)
    def narrow(self, parent: str, scopes: frozenset[str], ttl: int, strict: bool, limits: Limits) -> str:
        if self.model[parent].ended is None:
            return self._mint(scopes, ttl, strict, limits, parent)
        with pytest.raises(RefusedError):
            self._mint(scopes, ttl, strict, limits, parent)
        return parent

    @rule(name=known, ttl=ttls)
    def renew(self, name: str, ttl: int) -> None:
        it = self.model[name]
        if it.ended is not None or self.at >= it.over_at:
            with pytest.raises(RefusedError):
                self.broker.renew(name, self.at + ttl, self.at)
        else:
            above = [self.model[one].over_at for one in self._line(name)][1:]
            it.over_at = min([max(it.over_at, self.at + ttl), *above])
            assert self.broker.renew(name, max(it.over_at, self.at + ttl), self.at).expires_at == it.over_at

    @rule(seconds=st.integers(1, 40))
    def time_goes_on(self, seconds: int) -> None:
        self.at += seconds

    @rule()
    def expire(self) -> None:
        over = {name for name, it in self.model.items() if it.ended is None and self.at >= it.over_at}
        assert set(ids(self.broker.expire(self.at))) == over
        for name in over:
            self.model[name].ended = "expired"

    @rule(name=known)
    def revoke(self, name: str) -> None:
        dying = {one for one, it in self.model.items() if it.ended is None and name in self._line(one)}
        assert set(ids(self.broker.revoke(name))) == dying
        for one in dying:
            self.model[one].ended = "revoked"

    @rule(name=known, attempt=st.sampled_from(sorted(ACCESSES)))
    def use(self, name: str, attempt: str) -> None:
        it = self.model[name]
        grant = self.broker.verify(it.bearer, self.at)
        if it.ended is not None:
            assert refusal(grant).value == it.ended
            return
        if self.at >= it.over_at:
            assert refusal(grant) is Refusal.EXPIRED
            return
        assert isinstance(grant, Grant)
        assert grant.id == name
        considered = self.broker.evaluate(grant, ACCESSES[attempt], self.at)
        self.the_living_are_the_same()
        decision = authorize(self.broker, grant, ACCESSES[attempt], self.at)
        assert decision == considered
        line = [self.model[one] for one in self._line(name)]
        if any(one.is_used_up(self.at, writes=not attempt.startswith("read")) for one in line):
            assert isinstance(decision, Deny)
            assert decision.refusal in {Refusal.LIMIT, Refusal.STRICT}
        elif all(one.covers(attempt) for one in line):
            assert decision == Allow()
        elif not attempt.startswith("read"):
            assert isinstance(decision, Deny)
            assert decision.refusal in {Refusal.SCOPE, Refusal.STRICT}
        elif any(one.strict and not one.covers(attempt) for one in line):
            assert refusal(decision) is Refusal.STRICT
        else:
            assert isinstance(decision, AllowAnonymous)
        if not isinstance(decision, Deny):
            for one in line:
                one.uses += 1
                one.used_at.append(self.at)

    @rule(name=known, up=st.integers(0, 9), down=st.integers(0, 9), only_looks=st.booleans())
    def bytes_pass(self, name: str, up: int, down: int, only_looks: bool) -> None:
        """Between the pieces of one transfer anything may happen: that is what concurrency is here."""
        way = self.broker.check_bytes if only_looks else self.broker.count_bytes
        said = way(self.held[name], up=up, down=down)
        line = [self.model[one] for one in self._line(name)]
        if line[0].ended is not None:
            assert refusal(said).value == line[0].ended
        elif not all(one.has_room(up, down) for one in line):
            assert refusal(said) is Refusal.LIMIT
        else:
            assert said is None
            for one in line if not only_looks else ():
                one.up, one.down = one.up + up, one.down + down

    @rule()
    def another_daemon_takes_over(self) -> None:
        """As after a stop or a crash: from what was written down."""
        kept, ended = [grant_codec.encode(grant) for grant in self.broker.grants()], dict(self.broker._ended)
        self.broker = Broker()
        for digest, how in ended.items():
            self.broker.remember_ended(digest, how)
        persisted = {grant.id: grant for grant in map(grant_codec.decode, kept)}
        self.broker.restore([grant.summary for grant in persisted.values()])
        for grant_id in self.broker.unloaded():
            for missing in self.broker.unloaded_lineage(grant_id):
                self.broker.load(missing, persisted[missing])
        self.held.update(persisted)

    @precondition(lambda self: self.model)
    @rule(text=st.text(max_size=3))
    def what_was_never_minted_is_unknown(self, text: str) -> None:
        verdict = self.broker.verify(next(iter(self.model.values())).bearer + text + "x", self.at)
        assert refusal(verdict) is Refusal.UNKNOWN_CREDENTIAL

    def _line(self, name: str) -> Iterator[str]:
        here: str | None = name
        while here is not None:
            yield here
            here = self.model[here].parent

    @invariant()
    def the_living_are_the_same(self) -> None:
        living = {name: it for name, it in self.model.items() if it.ended is None}
        kept = {one.id: (one.uses, one.bytes_up, one.bytes_down, one.expires_at) for one in self.broker.grants()}
        assert kept == {name: (it.uses, it.up, it.down, it.over_at) for name, it in living.items()}


TestAnyOrderOfEverything = Life.TestCase
TestAnyOrderOfEverything.settings = law(120)
