"""The smallest profile: the broker admits by it all that was needed, and nothing in it could be left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import accesses, entropies, law, needs

from hfproxy.core.policy.access import NEW_PULL_REQUEST, Access, Action, Need, RepoType, Target, catalogue
from hfproxy.core.policy.decision import Allow
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import GrantTerms
from hfproxy.core.audit.least_scopes import from_entries, minimal_scopes
from hfproxy.core.policy.scope import Scope, parse
from hfproxy.daemon.proxy.recorder import needs_fields

MODELS = RepoType.MODELS


def admits(scopes: tuple[Scope, ...], access: Access, entropy: bytes) -> bool:
    """What the broker says to a strict grant of these scopes."""
    broker = Broker()
    grant, _ = broker.mint(GrantTerms("me", scopes, 60, strict=True), entropy, 100)
    return broker.evaluate(grant, access, 100) == Allow()


def entry(access: Access) -> dict[str, object]:
    """What the journal says of a request."""
    return {"kind": "decided", "decision": "allow", **needs_fields(access.needs)}


@given(st.lists(accesses, min_size=1, max_size=8), entropies)
@law(300)
def test_the_broker_admits_by_it_every_request_that_was_recorded(found: list[Access], entropy: bytes) -> None:
    scopes = from_entries(map(entry, found)).scopes
    assert all(admits(scopes, access, entropy) for access in found)


@given(st.lists(needs(), min_size=2, max_size=12), entropies)
@law(300)
def test_without_any_one_scope_something_is_lost(found: list[Need], entropy: bytes) -> None:
    scopes = minimal_scopes(found)
    for one in scopes:
        rest = tuple(other for other in scopes if other != one)
        assert not rest or not all(admits(rest, Access((need,)), entropy) for need in found)


@given(st.lists(needs(), min_size=1, max_size=12))
@law(200)
def test_no_scope_covers_more_than_what_a_need_names(found: list[Need]) -> None:
    """Every scope is the one of a need, by its own words: none is widened to stand for several."""
    places = {(need.target.type, need.target.namespace, need.target.name) for need in found}
    assert {(one.type, one.namespace, one.name) for one in minimal_scopes(found)} <= places


def learned(*entries: dict[str, object]) -> list[str]:
    return [str(one) for one in from_entries(entries).scopes]


def decided(needed: str, **more: object) -> dict[str, object]:
    action, _, repo = needed.partition(":")
    return {"kind": "decided", "decision": "allow", "action": action, "repo": repo or None, **more}


def test_what_is_written_need_not_be_read_as_well() -> None:
    assert learned(decided("read:models/me/a"), decided("write:models/Me/A"), decided("read:models/me/b")) == [
        "read:models/me/b",
        "write:models/Me/A",
    ]


def test_to_open_a_pull_request_is_not_to_write() -> None:
    opened = decided("write:models/you/a", ref=NEW_PULL_REQUEST)
    assert learned(opened) == ["discuss:models/you/a"]
    assert learned(opened, decided("discuss:models/you/a")) == ["discuss:models/you/a"]
    assert learned(opened, decided("write:models/you/a", ref="main")) == ["write:models/you/a"]


def test_a_request_that_needed_several_things_needs_all_of_them() -> None:
    both = decided("create:spaces/me/x", needs=["create:spaces/me/x", "secrets:spaces/me/x", "jobs:me"])
    assert learned(both) == ["create:spaces/me/x", "jobs:me", "secrets:spaces/me/x"]


def test_what_was_refused_was_needed_as_well() -> None:
    assert learned(decided("write:models/me/a", decision="deny", refusal="scope")) == ["write:models/me/a"]


def test_what_went_without_the_token_and_what_is_no_request_needs_nothing() -> None:
    assert learned(decided("read:models/me/a", decision="anonymous"), decided("x") | {"kind": "completed"}) == []


def test_a_search_is_told_and_not_granted() -> None:
    found = from_entries(
        [decided("read"), decided("read:models/me/a"), entry(Access((Need(Action.READ, catalogue(MODELS)),)))]
    )
    assert ([str(one) for one in found.scopes], found.searches) == (["read:models/me/a"], 2)


def test_what_no_scope_allows_is_told_once() -> None:
    refused = {"kind": "decided", "decision": "deny", "method": "POST", "target": "/jwt", "refusal": "minting"}
    assert from_entries([refused, refused]).not_grantable == ("POST /jwt (minting)",)


def test_what_the_journal_had_no_room_for_is_counted() -> None:
    assert from_entries([decided("read:models/me/a", needs=["read:models/me/a"], more_needs=7)]).unrecorded == 7


def test_an_id_that_no_scope_can_say_is_passed_over() -> None:
    assert learned(decided("read:models/me/a b"), decided("read:models/me/a")) == ["read:models/me/a"]


@pytest.mark.parametrize(("count", "offered"), [(5, {}), (6, {"read:datasets/me": 6})])
def test_a_wider_scope_is_offered_for_many_of_one_namespace(count: int, offered: dict[str, int]) -> None:
    found = from_entries(decided(f"read:datasets/me/{number}") for number in range(count))
    assert len(found.scopes) == count
    assert {str(scope): many for scope, many in found.wider.items()} == offered


def test_to_see_a_whole_namespace_covers_what_is_in_it() -> None:
    target = Target(MODELS, "me", "")
    found = from_entries([entry(Access((Need(Action.READ, target),))), decided("read:models/me/a")])
    assert found.scopes == (parse("read:models/me"),)
