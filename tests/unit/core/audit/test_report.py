"""The journal summed up: what was done where, by whom, and when; and nothing of it lost or invented."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfproxy.core.audit.report import JournalReport, TouchedPlace, summarize, touched_places

T = 1_800_000_000


def minted(grant: str, at: int = T, **more: object) -> dict[str, object]:
    return {"kind": "minted", "at": at, "grant": grant, "account": "default", "scopes": ["read"], **more}


def decided(grant: str = "g", at: int = T, **more: object) -> dict[str, object]:
    basic = {"method": "GET", "action": "read", "repo": "models/me/x", "decision": "allow", "account": "default"}
    return {"kind": "decided", "at": at, "grant": grant, **basic, **more}


def completed(grant: str = "g", at: int = T, **more: object) -> dict[str, object]:
    basic = {"method": "GET", "action": "read", "repo": "models/me/x", "status": 200, "account": "default"}
    return {"kind": "completed", "at": at, "grant": grant, **basic, **more}


def counted(report: JournalReport, grant: str = "g") -> dict[str, dict[str, int]]:
    names = ("read", "changed", "secrets_set", "anonymous", "refused", "failed")
    places = report.grants[grant].activity.places
    return {place: {name: n for name in names if (n := getattr(tally, name))} for place, tally in places.items()}


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({}, "read"),
        ({"method": "POST"}, "read"),  # paths-info is a read by POST
        ({"action": "write", "method": "POST"}, "changed"),
        ({"action": "write", "method": "GET"}, "changed"),  # a token for writing to xet comes by GET
        ({"action": "settings", "method": "GET"}, "read"),
        ({"action": "settings", "method": "PUT"}, "changed"),
        ({"action": "secrets", "method": "GET"}, "read"),
        ({"action": "secrets", "method": "POST"}, "secrets_set"),
        ({"decision": "anonymous"}, "anonymous"),
        ({"decision": "deny"}, "refused"),
        ({"decision": "deny", "action": "secrets", "method": "POST"}, "refused"),
    ],
    ids=str,
)
def test_a_request_is_counted_as_what_it_was(more: dict[str, object], what: str) -> None:
    assert counted(summarize([decided(**more)])) == {"models/me/x": {what: 1}}


def test_a_request_that_needed_several_things_counts_at_each() -> None:
    needs = ["move:models/me/a", "move:models/acme/b", "read:datasets/me/c"]
    report = summarize([decided(method="POST", action="move", repo="models/me/a", needs=needs)])
    assert counted(report) == {
        "models/me/a": {"changed": 1},
        "models/acme/b": {"changed": 1},
        "datasets/me/c": {"read": 1},
    }
    assert report.grants["g"].activity.total.changed == 1


def test_what_touched_no_repository_is_counted_under_its_action() -> None:
    assert counted(summarize([decided(action="profile", repo=None), decided(action=None, repo=None)])) == {
        "(profile)": {"read": 1},
        "(of no repository)": {"read": 1},
    }


def test_bytes_are_of_what_was_completed_and_a_no_of_the_hub_is_a_failure() -> None:
    report = summarize(
        [decided(), completed(bytes_up=3, bytes_down=5), decided(), completed(bytes_down=7, status=404), completed(status=0)]
    )  # fmt: skip
    total = report.grants["g"].activity.total
    assert (total.bytes_up, total.bytes_down, total.failed, total.read) == (3, 12, 2, 2)
    assert report.accounts["default"].total == total


def test_an_account_is_the_sum_of_its_grants_and_names_their_programs() -> None:
    entries = [minted("a", program="git"), minted("b", program="hf"), minted("idle", program="sh")]
    report = summarize([*entries, decided("a", T + 1), decided("b", T + 9), decided("a", T + 5, repo="spaces/me/y")])
    account = report.accounts["default"]
    assert {place: tally.read for place, tally in account.places.items()} == {"models/me/x": 2, "spaces/me/y": 1}
    assert (account.total.first, account.total.last) == (T + 1, T + 9)
    assert report.programs("default") == ["git", "hf"]


def test_what_was_spent_is_counted_for_the_account_that_it_was_of() -> None:
    """A grant may spend a lesser token than its own account's; a request that was refused spent none."""
    entries = [minted("g", program="git"), decided(account="reader"), decided(account=None, decision="deny")]
    report = summarize(entries)
    assert report.grants["g"].account == "default"
    assert report.accounts["reader"].total.read == 1
    assert report.accounts["default"].total.refused == 1
    assert report.programs("reader") == report.programs("default") == ["git"]


def test_since_leaves_out_what_was_before_and_not_what_a_grant_is() -> None:
    entries = [
        minted("old", program="git"),
        decided("old", T),
        {"kind": "expired", "at": T + 10, "grant": "old", "account": "default"},
        minted("living", T + 5, program="python", label="nightly"),
        decided("living", T + 6),
        decided("living", T + 200, repo="models/me/late"),
    ]
    report = summarize(entries, since=T + 100)
    assert list(report.grants) == ["living"]
    assert (report.grants["living"].program, report.grants["living"].label) == ("python", "nightly")
    assert counted(report, "living") == {"models/me/late": {"read": 1}}
    assert (report.first, report.last) == (T + 200, T + 200)


def test_the_end_of_a_grant_says_how() -> None:
    report = summarize([minted("g"), {"kind": "revoked", "at": T + 7, "grant": "g", "account": "default"}])
    assert (report.grants["g"].ended, report.grants["g"].ended_at) == ("revoked", T + 7)


def test_what_happened_to_accounts_and_who_was_turned_away_is_in_it() -> None:
    report = summarize(
        [
            {"kind": "login", "at": T, "account": "default"},
            {"kind": "lockdown", "at": T + 2},
            {"kind": "denied_unknown", "at": T + 3, "refusal": "peer", "count": 4},
            {"kind": "denied_unknown", "at": T + 4, "refusal": "peer", "count": 2},
        ]
    )
    assert report.events == [(T, "login", "default"), (T + 2, "lockdown", "")]
    assert report.unidentified == {"peer": 6}


@pytest.mark.parametrize(
    ("place", "namespace"),
    [
        ("models/Me/x", "me"),
        ("models/gpt2", "gpt2"),
        ("acme", "acme"),
        ("acme/x", "acme"),
        ("models", ""),
        ("", ""),
    ],
)
def test_whose_a_place_is(place: str, namespace: str) -> None:
    assert TouchedPlace("read", place).namespace == namespace


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=8), max_size=3)
)
kinds = st.sampled_from(
    ["minted", "decided", "completed", "revoked", "expired", "login", "denied_unknown", "of tomorrow"]
)
members = st.sampled_from(
    [
        "at",
        "grant",
        "account",
        "repo",
        "action",
        "needs",
        "decision",
        "status",
        "bytes_up",
        "count",
        "scopes",
        "refusal",
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(kinds, st.dictionaries(members, values)), max_size=12), st.none() | st.integers())
def test_whatever_a_line_of_the_journal_holds_it_is_summed_up(
    lines: list[tuple[str, dict[str, object]]], since: int | None
) -> None:
    report = summarize([{"kind": kind, **more} for kind, more in lines], since)
    for holder in (grant.activity for grant in report.grants.values()):
        assert sum(holder.minutes.values()) <= len(lines)


@given(st.lists(st.sampled_from(["allow", "anonymous", "deny"]), max_size=30))
def test_every_decision_is_counted_once(decisions: list[str]) -> None:
    clock = count(T)
    total = (
        summarize([minted("g"), *(decided(decision=one, at=next(clock)) for one in decisions)])
        .grants["g"]
        .activity.total
    )
    expected = tuple(decisions.count(one) for one in ("allow", "anonymous", "deny"))
    assert (total.read, total.anonymous, total.refused) == expected


def test_a_need_is_written_as_a_scope() -> None:
    assert touched_places({"needs": ["read", "jobs:acme", "write:models/me/x"]}) == (
        TouchedPlace("read", ""),
        TouchedPlace("jobs", "acme"),
        TouchedPlace("write", "models/me/x"),
    )


def test_activity_is_counted_by_minute_and_by_the_first_need() -> None:
    needs = ["move:models/me/a", "read:models/me/b"]
    moved = decided("g", T + 61, method="POST", action="move", needs=needs)
    did = summarize([decided("g", T), decided("g", T + 59), moved, decided("h", T)]).grants["g"].activity
    assert did.minutes == {(T // 60, "read"): 2, (T // 60 + 1, "changed"): 1}
    assert did.actions == {"read": 3, "move": 1}
    assert did.grants == {"g"}


def test_bytes_count_at_the_first_place_only() -> None:
    needs = ["write:models/me/a", "read:models/me/b"]
    places = summarize([completed("g", needs=needs, bytes_up=3, bytes_down=4)]).grants["g"].activity.places
    assert list(places) == ["models/me/a"]
    assert (places["models/me/a"].bytes_up, places["models/me/a"].bytes_down) == (3, 4)


@pytest.mark.parametrize(
    ("status", "failed"), [(0, 1), (200, 0), (302, 0), (399, 0), (400, 1), (500, 1), (None, 1), (True, 1), ("200", 1)]
)
def test_a_status_from_400_on_or_none_is_a_failure(status: object, failed: int) -> None:
    assert summarize([completed("g", status=status)]).grants["g"].activity.total.failed == failed


def test_the_terms_of_a_grant_are_those_of_its_minting_wherever_it_stands() -> None:
    terms = {"program": "git", "label": "l", "parent": "p", "scopes": ["read", "write:me/a"], "account": "work"}
    report = summarize([decided("g", T + 5, account="other"), minted("g", T, **terms), decided("h", account="work")])
    grant = report.grants["g"]
    assert (grant.account, grant.program, grant.label, grant.parent) == ("work", "git", "l", "p")
    assert (grant.scopes, grant.minted_at, grant.ended_at, grant.ended) == (("read", "write:me/a"), T, None, "")
    assert report.grants["h"].account == "work"
    assert (report.first, report.last, report.since) == (T, T + 5, None)


@pytest.mark.parametrize(("since", "names"), [(T + 9, ["a", "b"]), (T + 10, ["a", "b"]), (T + 11, ["b"])])
def test_a_grant_that_ended_before_the_period_is_left_out(since: int, names: list[str]) -> None:
    entries = [minted("a"), minted("b"), {"kind": "expired", "at": T + 10, "grant": "a"}]
    assert list(summarize(entries, since).grants) == names


@pytest.mark.parametrize("kind", ["login", "logout", "rotated", "lockdown", "revoked_upstream"])
def test_these_events_are_of_accounts(kind: str) -> None:
    assert summarize([{"kind": kind, "at": T, "account": "a"}]).events == [(T, kind, "a")]


@pytest.mark.parametrize(
    "kind", ["minted", "decided", "completed", "revoked", "expired", "renewed", "started", "allowed"]
)
def test_no_others_are(kind: str) -> None:
    assert summarize([{"kind": kind, "at": T, "account": "a"}]).events == []


def test_a_request_without_a_grant_is_not_counted() -> None:
    report = summarize([decided(None), {"kind": "decided", "at": T, "account": "default"}])  # type: ignore[arg-type]
    assert (report.grants, report.accounts) == ({}, {})
