"""What is known of a request at each step, and what its record and the form of its refusal depend on."""

from types import SimpleNamespace

import pytest
from msgspec.structs import astuple

from hfproxy.core.hub import classify
from hfproxy.core.hub.classify import Classified, BodyRequired
from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.access import Access
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.grant import GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.proxy.exchange import (
    Admitted,
    Decided,
    Identified,
    Operation,
    Prepared,
    Refused,
    Unidentified,
    facts_of,
    operation_of,
    refuse,
)
from hfproxy.daemon.proxy.recorder import MAX_PATH
from hfproxy.daemon.proxy.refusals import NO_CREDENTIAL

GRANT, BEARER = Broker().mint(GrantTerms("work", (parse("read"),), 60), bytes(24), 0)
NO = Deny(Refusal.SCOPE, "no")
MODEL, CREATE, PUSH, NOWHERE = (
    classify.classify("GET", "/api/models/me/a"),
    classify.classify("POST", "/api/repos/create"),
    classify.classify("POST", "/me/a.git/git-receive-pack"),
    classify.classify("GET", "/nowhere/at/all"),
)


def admitted(method: str = "GET", raw_path: str = "/api/models/me/a?x=1") -> Admitted:
    request = SimpleNamespace(method=method, raw_path=raw_path)
    return Admitted(request, None, 0, 0.0)  # type: ignore[arg-type]


def known(method: str = "GET", raw_path: str = "/api/models/me/a?x=1") -> Identified:
    return Identified(admitted(method, raw_path), 7, GRANT, BEARER)


def test_the_query_is_not_recorded_and_a_path_has_an_end() -> None:
    assert facts_of(known(), None, None).path == "/api/models/me/a"
    assert facts_of(known(raw_path="/" + "x" * 5000), None, None).path == "/" + "x" * (MAX_PATH - 1)


def test_the_account_is_the_grants_unless_another_was_chosen() -> None:
    assert astuple(facts_of(known(), None, None))[:4] == (7, GRANT.id, "work", "GET")
    assert facts_of(known(), None, "reader").account == "reader"
    assert astuple(facts_of(Unidentified(admitted(), 8, NO_CREDENTIAL), None, None))[:4] == (8, None, None, "GET")


@pytest.mark.parametrize(
    ("method", "path", "changes"),
    [("GET", "/api/models/me/a", False), ("POST", "/api/models/me/a/commit/main", True)],
)
def test_needs_say_whether_something_may_change(method: str, path: str, changes: bool) -> None:
    found = classify.classify(method, path)
    assert isinstance(found, Classified)
    facts = facts_of(known(method), found.access, None)
    assert isinstance(found.access, Access)
    assert (facts.needs, facts.changes) == (found.access.needs, changes)


@pytest.mark.parametrize(("method", "changes"), [("GET", False), ("HEAD", False), ("POST", True), ("DELETE", True)])
def test_without_needs_the_method_says_it(method: str, changes: bool) -> None:
    assert astuple(facts_of(known(method), None, None))[5:] == ((), changes)


def test_the_head_tells_as_much_of_an_operation_as_it_can() -> None:
    assert isinstance(MODEL, Classified)
    assert operation_of(MODEL) == Operation(MODEL.route, MODEL.access)
    assert isinstance(CREATE, BodyRequired)
    assert operation_of(CREATE) == Operation(CREATE.route)
    assert operation_of(NOWHERE) == NOWHERE


def test_a_refusal_without_a_route_is_worded_for_the_api() -> None:
    refused = refuse(known(), NO, None)
    assert (refused.response_kind, refused.reads, refused.push) == (ResponseKind.API, False, None)
    assert refused.facts == facts_of(known(), None, None)


def test_a_refusal_without_a_grant_is_counted_only() -> None:
    asked = Unidentified(admitted(), 8, NO_CREDENTIAL)
    for operation in (None, operation_of(MODEL)):
        assert not isinstance(operation, Deny)
        refused = refuse(asked, NO, operation)
        assert (refused.facts, refused.uid) == (None, 8)


def test_a_refusal_is_worded_and_recorded_for_what_was_attempted() -> None:
    operation = operation_of(MODEL)
    assert isinstance(operation, Operation)
    assert operation.access is not None
    refused = refuse(known(), NO, operation)
    assert (refused.response_kind, refused.reads) == (ResponseKind.API, True)
    assert refused.facts == facts_of(known(), operation.access, None)
    resolved = Access(operation.access.needs, bill_to="acme").resolved_for("me")
    billed = refuse(known(), NO, operation, resolved, "reader")
    assert (billed.reads, billed.facts) == (False, facts_of(known(), resolved, "reader"))


def test_a_push_is_refused_in_the_words_of_git() -> None:
    operation = operation_of(PUSH)
    assert isinstance(operation, Operation)
    assert astuple(refuse(known("POST"), NO, operation))[3:] == (ResponseKind.GIT, False, None)


@pytest.mark.parametrize("kind", [Admitted, Identified, Unidentified, Operation, Prepared, Decided, Refused])
def test_no_step_can_change_what_an_earlier_one_found(kind: type) -> None:
    made = kind(*[None] * len(kind.__struct_fields__))  # type: ignore[attr-defined]
    for name in kind.__struct_fields__:  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            setattr(made, name, 1)
    with pytest.raises(AttributeError):
        made.something_else = 1
