"""Caveats only object: the laws that make narrowing safe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import accesses, caveats, law, moments, scope_tuples

from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Decision, Deny, Objection, Refusal
from hfproxy.core.policy.decision import decide
from hfproxy.core.policy.caveats import Caveat, Ceiling, Expires, InScopes, MaxBytes, MaxRate, MaxUses, Usage
from hfproxy.core.policy.scope import parse

READ_A = Need(Action.READ, Target(RepoType.MODELS, "me", "a"))
WRITE_A = Need(Action.WRITE, Target(RepoType.MODELS, "me", "a", "main"))
READ_B = Need(Action.READ, Target(RepoType.MODELS, "me", "b"))
NOW = Usage(10)


def rank(decision: Decision) -> int:
    """No is less than a yes without the token, and that is less than a yes."""
    match decision:
        case Deny():
            return 0
        case AllowAnonymous():
            return 1
        case Allow():
            return 2


def decided(access: Access, held: list[Caveat], moment: Usage) -> Decision:
    return decide(access, tuple(no for caveat in held for no in caveat.prohibits(access, moment)))


@given(accesses, st.lists(caveats, max_size=4), caveats, moments, st.integers(0, 4))
@law(350)
def test_one_more_caveat_never_allows_more(
    access: Access, held: list[Caveat], added: Caveat, moment: Usage, place: int
) -> None:
    narrower = [*held[:place], added, *held[place:]]
    assert rank(decided(access, narrower, moment)) <= rank(decided(access, held, moment))


@given(accesses, st.lists(caveats, max_size=4), moments, st.data())
@law(200)
def test_one_more_need_never_allows_more(
    access: Access, held: list[Caveat], moment: Usage, data: st.DataObject
) -> None:
    more = Access((*access.needs, *data.draw(accesses).needs))
    assert rank(decided(more, held, moment)) <= rank(decided(access, held, moment))


@given(accesses, scope_tuples, st.booleans())
@law(200)
def test_a_scope_caveat_objects_once_to_every_need_that_no_scope_admits(
    access: Access, scopes: tuple[object, ...], strict: bool
) -> None:
    held = InScopes(scopes, strict)  # type: ignore[arg-type]
    foreign = [need for need in access.needs if not any(scope.admits(need) for scope in held.scopes)]
    objections = held.prohibits(access, NOW)
    assert len(objections) == len(foreign)
    for objection, need in zip(objections, foreign, strict=True):
        refusal = Refusal.STRICT if strict and need.action is Action.READ else Refusal.SCOPE
        assert objection.refusal is refusal


@given(accesses, st.lists(caveats, max_size=4), moments)
@law(350)
def test_anonymous_means_that_only_scopes_object_and_nothing_is_changed(
    access: Access, held: list[Caveat], moment: Usage
) -> None:
    refusals = {no.refusal for caveat in held for no in caveat.prohibits(access, moment)}
    reads = {need.action for need in access.needs} == {Action.READ}
    assert isinstance(decided(access, held, moment), AllowAnonymous) == (refusals == {Refusal.SCOPE} and reads)


def test_the_scopes_of_one_mint_are_a_union_and_those_of_two_an_intersection() -> None:
    a, b = parse("read:me/a"), parse("read:me/b")
    both = Access((READ_A, READ_B))
    assert decided(both, [InScopes((a, b))], NOW) == Allow()
    assert isinstance(decided(both, [InScopes((a,)), InScopes((b,))], NOW), AllowAnonymous)


def test_every_need_must_be_admitted() -> None:
    held: list[Caveat] = [InScopes((parse("write:me/a"),))]
    assert decided(Access((WRITE_A,)), held, NOW) == Allow()
    refused = decided(Access((WRITE_A, READ_B)), held, NOW)
    assert isinstance(refused, Deny)
    assert refused.refusal is Refusal.SCOPE
    assert "'read:models/me/b' is not in the credential's scope" in refused.why


def test_no_scope_at_all_covers_nothing() -> None:
    assert isinstance(decided(Access((WRITE_A,)), [InScopes(())], NOW), Deny)


def test_strict_turns_anonymous_reads_off() -> None:
    scopes = (parse("read:me/b"),)
    assert isinstance(decided(Access((READ_A,)), [InScopes(scopes)], NOW), AllowAnonymous)
    refused = decided(Access((READ_A,)), [InScopes(scopes, strict=True)], NOW)
    assert isinstance(refused, Deny)
    assert refused.refusal is Refusal.STRICT


def test_strict_in_a_parent_holds_whatever_the_child_says() -> None:
    held: list[Caveat] = [InScopes((parse("read:me/b"),), strict=True), InScopes((parse("read"),))]
    assert isinstance(decided(Access((READ_A,)), held, NOW), Deny)


def test_what_is_above_the_ceiling_may_be_read_anonymously_only() -> None:
    ceiling: list[Caveat] = [InScopes((parse("write"),)), Ceiling((parse("write:me/b"),))]
    assert isinstance(decided(Access((READ_A,)), ceiling, NOW), AllowAnonymous)
    refused = decided(Access((WRITE_A,)), ceiling, NOW)
    assert isinstance(refused, Deny)
    assert "ceiling" in refused.why


@pytest.mark.parametrize(("at", "objects"), [(9, False), (10, True), (11, True)])
def test_a_credential_is_over_at_its_last_second(at: int, objects: bool) -> None:
    assert bool(Expires(10).prohibits(Access((READ_A,)), Usage(at))) is objects


@pytest.mark.parametrize(("uses", "objects"), [(0, False), (1, False), (2, True), (3, True)])
def test_so_many_uses_and_no_more(uses: int, objects: bool) -> None:
    assert bool(MaxUses(2).prohibits(Access((READ_A,)), Usage(0, uses))) is objects


@pytest.mark.parametrize(("lately", "objects"), [(0, False), (1, False), (2, True), (3, True)])
def test_so_many_requests_a_minute_and_no_more(lately: int, objects: bool) -> None:
    assert bool(MaxRate(2).prohibits(Access((READ_A,)), Usage(0, 9, lately))) is objects


def test_what_is_too_fast_is_told_to_wait_and_how_to_get_more() -> None:
    refused = decided(Access((READ_A,)), [MaxRate(3)], Usage(0, 9, 3))
    assert isinstance(refused, Deny)
    assert refused.refusal is Refusal.LIMIT
    assert refused.retry_after_s == 60
    assert refused.why == (
        "the credential allows 3 requests a minute; wait a minute, or ask for more: hf-proxy exec --max-rate N"
    )


@pytest.mark.parametrize("other", [MaxUses(0), InScopes(()), Expires(0), MaxBytes(up=0, down=0)])
def test_a_wait_is_no_advice_where_something_else_objects_too(other: Caveat) -> None:
    for held in ([MaxRate(0), other], [other, MaxRate(0)]):
        refused = decided(Access((WRITE_A,)), held, NOW)
        assert isinstance(refused, Deny)
        assert refused.retry_after_s is None
        assert "wait a minute" not in refused.why


def test_a_decision_without_objections_passes_by_itself_never() -> None:
    assert Deny(Refusal.LIMIT, "x").retry_after_s is None


@pytest.mark.parametrize(
    ("limit", "up", "down", "read", "write"),
    [
        (MaxBytes(), 10**12, 10**12, True, True),
        (MaxBytes(up=5), 4, 10**12, True, True),
        (MaxBytes(up=5), 5, 0, True, False),
        (MaxBytes(up=0), 0, 0, True, False),
        (MaxBytes(down=5), 10**12, 4, True, True),
        (MaxBytes(down=5), 0, 5, False, False),
        (MaxBytes(down=0), 0, 0, False, False),
        (MaxBytes(up=5, down=5), 5, 4, True, False),
    ],
)
def test_a_request_that_could_not_pass_a_byte_any_more_is_refused(
    limit: MaxBytes, up: int, down: int, read: bool, write: bool
) -> None:
    moment = Usage(0, bytes_up=up, bytes_down=down)
    assert bool(limit.prohibits(Access((READ_A,)), moment)) is not read
    assert bool(limit.prohibits(Access((WRITE_A,)), moment)) is not write


@given(st.none() | st.integers(0, 9), st.none() | st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
@law(200)
def test_bytes_are_counted_each_way_by_itself(most_up: int | None, most_down: int | None, up: int, down: int) -> None:
    fits = not (most_up is not None and up > most_up) and not (most_down is not None and down > most_down)
    assert MaxBytes(most_up, most_down).admits(up, down) is fits


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (MaxBytes(up=5), "5 bytes up"),
        (MaxBytes(down=7), "7 bytes down"),
        (MaxBytes(0, 0), "0 bytes up and 0 bytes down"),
    ],
)
def test_a_limit_says_which_it_is(limit: MaxBytes, said: str) -> None:
    assert limit.objection.why == f"the credential's limit of {said} is used up"
    assert limit.objection.refusal is Refusal.LIMIT


@pytest.mark.parametrize("refusal", [Refusal.EXPIRED, Refusal.LIMIT, Refusal.HOLDER, Refusal.STRICT])
def test_any_objection_but_a_scope_s_is_a_no_even_to_a_read(refusal: Refusal) -> None:
    objections = (Objection(Refusal.SCOPE, "scope"), Objection(refusal, "other"))
    for order in (objections, objections[::-1]):
        refused = decide(Access((READ_A,)), order)
        assert isinstance(refused, Deny)
        assert refused.refusal is refusal


def test_a_refusal_names_the_command_that_would_allow_it() -> None:
    refused = decided(Access((WRITE_A, READ_B)), [InScopes((parse("discuss"),))], NOW)
    assert isinstance(refused, Deny)
    assert refused.why.endswith(
        "allow it with: hf-proxy exec --scope write:models/me/a --scope read:models/me/b -- CMD"
    )
    assert refused.why.isprintable()


def test_an_access_without_needs_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="without needs"):
        Access(())
