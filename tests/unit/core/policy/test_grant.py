"""A grant: what its ancestors add to it, its uses of the last minute, and the warning before its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.policy.caveats import Caveat, MaxBytes, MaxRate, MaxUses, Usage
from hfproxy.core.policy.decision import Refusal
from hfproxy.core.policy.grant import NO_UID, Bind, Grant, GrantTerms, id_of

T = 1_800_000_000
HOUR = 3600


def grant(
    name: str = "g", *caveats: Caveat, bind: Bind = Bind.NONE, life_s: int = HOUR, uses: int = 0, uid: int = 7
) -> Grant:
    terms = GrantTerms("default", (), life_s, bind=bind, pid=3, parent="p", uid=uid)
    return Grant(name, b"", terms, caveats, T, T + life_s, uses)


@pytest.mark.parametrize(
    ("caveats", "is_limited", "is_rate_limited"),
    [
        ((), False, False),
        ((MaxUses(1),), True, False),
        ((MaxBytes(1),), True, False),
        ((MaxRate(1),), True, True),
        ((MaxUses(1), MaxRate(1)), True, True),
    ],
)
def test_caveats_that_can_be_used_up_are_known(
    caveats: tuple[Caveat, ...], is_limited: bool, is_rate_limited: bool
) -> None:
    assert (grant("g", *caveats).is_limited, grant("g", *caveats).is_rate_limited) == (is_limited, is_rate_limited)


def test_a_child_has_the_ancestors_the_trees_and_the_limits_of_its_parent() -> None:
    top = grant("top", MaxUses(1), bind=Bind.TREE)
    middle, child = grant("middle", bind=Bind.PID), grant("child", bind=Bind.TREE)
    middle.set_parent(top)
    child.set_parent(middle)
    assert child.ancestors == (middle, top)
    assert (top.trees, middle.trees, child.trees) == (("top",), ("top",), ("child", "top"))
    assert child.is_limited
    assert not child.is_rate_limited
    free = grant("free")
    free.set_parent(grant("other"))
    assert not free.is_limited


def test_a_limited_child_of_an_unlimited_parent_is_limited() -> None:
    child = grant("child", MaxUses(1))
    child.set_parent(grant("parent"))
    assert child.is_limited


@given(st.lists(st.integers(min_value=0, max_value=200)))
@law()
def test_the_uses_of_the_last_minute_are_those_since_sixty_seconds_ago(seconds: list[int]) -> None:
    limited, other = grant("g", MaxRate(1)), grant("g", MaxUses(1))
    for second in sorted(seconds):
        limited.use(T + second)
        other.use(T + second)
    recent = sum(second > 200 - 60 for second in seconds)
    assert limited.usage_at(T + 200, inside=True) == Usage(T + 200, len(seconds), recent, 0, 0, True)
    assert other.usage_at(T + 200, inside=False) == Usage(T + 200, len(seconds), 0, 0, 0, False)
    assert sum(count for _, count in limited.recent_uses) == recent
    assert other.recent_uses == []


def test_recent_uses_are_counted_by_second_and_restored() -> None:
    before, after = grant("g", MaxRate(9)), grant("g", MaxRate(9), uses=3)
    for second in (1, 1, 5):
        before.use(T + second)
    assert before.recent_uses == [(T + 1, 2), (T + 5, 1)]
    after.restore_recent_uses(before.recent_uses)
    assert after.usage_at(T + 61, inside=False).last_minute == 1
    with pytest.raises(ValueError, match="more uses"):
        grant("g", MaxRate(9), uses=2).restore_recent_uses(before.recent_uses)


def test_bytes_of_each_way_reach_the_caveats() -> None:
    used = grant()
    used.bytes_up, used.bytes_down = 3, 4
    assert used.usage_at(T, inside=False) == Usage(T, 0, 0, 3, 4, False)


@pytest.mark.parametrize(
    ("life_s", "at", "remaining"),
    [
        (HOUR, 3239, None),
        (HOUR, 3240, 360),
        (HOUR, 3600, 0),
        (HOUR, 3700, 0),
        (10 * HOUR, 10 * HOUR - 601, None),
        (10 * HOUR, 10 * HOUR - 600, 600),
    ],
)
def test_the_last_tenth_of_a_life_has_a_warning_and_ten_minutes_at_most(
    life_s: int, at: int, remaining: int | None
) -> None:
    warning = grant("abc", life_s=life_s).warning(T + at)
    sentence = f"this hf-proxy credential ends in {remaining} seconds; let it live on: hf-proxy renew abc --ttl 1h"
    assert warning == (None if remaining is None else sentence)


def test_only_the_owner_may_use_it() -> None:
    assert grant(uid=7).refusal_for(7) is None
    for other in (0, 8, NO_UID):
        deny = grant(uid=7).refusal_for(other)
        assert deny is not None
        assert deny.refusal is Refusal.PEER
    assert GrantTerms("default", (), 1).uid == NO_UID == -1


def test_terms_allow_nothing_that_was_not_asked_for() -> None:
    terms = GrantTerms("default", (), 1)
    assert terms == GrantTerms(
        account="default",
        scopes=(),
        ttl=1,
        caveats=(),
        parent=None,
        label=None,
        bind=Bind.NONE,
        pid=None,
        program=None,
        strict=False,
        start=None,
        ambient=False,
        renews=False,
        login="",
        named=False,
        learns=False,
        uid=-1,
        container=False,
    )


def test_a_summary_has_what_a_daemon_knows_before_it_loads_the_grant() -> None:
    summary = grant("abc").summary
    assert (summary.id, summary.expires_at, summary.parent, summary.uid, summary.pid) == ("abc", T + HOUR, "p", 7, 3)


def test_an_id_is_the_beginning_of_the_digest() -> None:
    assert id_of(bytes(range(32))) == "0001020304050607"
