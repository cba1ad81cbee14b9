"""The plan for a response, as a table: from its head to what is done with it."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfproxy.core.hub import relay_plan
from hfproxy.core.hub.relay_plan import (
    INVALID_CREDENTIALS,
    XET_INFO,
    BodyRewrite,
    BufferBody,
    RefuseResponse,
    RelayPlan,
    SendHead,
    StreamBody,
    plan,
)
from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Decision, Deny, Refusal

API, FILE, LFS, EVENTS, GIT = (
    ResponseKind.API,
    ResponseKind.FILE,
    ResponseKind.LFS,
    ResponseKind.EVENTS,
    ResponseKind.GIT,
)
ALLOW, ANONYMOUS = Allow(), AllowAnonymous((), "it is not in the scope")
SILENT = AllowAnonymous(())  # of routes that clients call without a credential
DEAD = "the Hub no longer accepts the token of account 'work'; run: hf-proxy login"
JSON, LFS_JSON = "application/json; charset=utf-8", "application/vnd.git-lfs+json"
BINARY = "application/octet-stream"
LFS_BATCH, XET_BODY = BufferBody(BodyRewrite.LFS_BATCH), BufferBody(BodyRewrite.XET_FILE_INFO)


class Row(NamedTuple):
    plan: RelayPlan
    kind: ResponseKind
    status: int
    type: str = JSON
    decision: Decision = ALLOW
    method: str = "GET"
    accept: str = "*/*"
    code: str = ""
    message: str = ""
    account: str | None = "work"


ROWS = [
    # API: text is buffered and sent as it is, anything else is streamed
    Row(BufferBody(), API, 200),
    Row(BufferBody(), API, 201, "text/plain"),
    Row(BufferBody(), API, 200, "TEXT/HTML"),
    Row(BufferBody(), API, 200, " application/JSON ;charset=x"),
    Row(BufferBody(), API, 200, "application/problem+json"),
    Row(BufferBody(), API, 200, ""),
    Row(BufferBody(), API, 302, "text/plain"),
    Row(StreamBody(), API, 200, BINARY),
    Row(StreamBody(), API, 200, "application/x-ndjson"),
    Row(StreamBody(), API, 200, "image/png"),
    Row(BufferBody(), API, 200, decision=ANONYMOUS),
    # files: the content is streamed whatever its type, redirects and errors are not content
    Row(StreamBody(), FILE, 200),
    Row(StreamBody(), FILE, 206, "text/plain"),
    Row(StreamBody(), FILE, 299, ""),
    Row(BufferBody(), FILE, 300, "text/plain"),
    Row(BufferBody(), FILE, 307, "text/plain"),
    Row(StreamBody(), FILE, 302, BINARY),
    Row(BufferBody(), FILE, 404),
    # events are streamed, errors of their routes are not events
    Row(StreamBody(), EVENTS, 200, "text/event-stream"),
    Row(StreamBody(), EVENTS, 200),
    Row(BufferBody(), EVENTS, 500),
    # git
    Row(StreamBody(), GIT, 200, "application/x-git-upload-pack-result"),
    Row(BufferBody(), GIT, 403, "text/plain"),
    # rewritten bodies
    Row(LFS_BATCH, LFS, 200, LFS_JSON),
    Row(LFS_BATCH, LFS, 200),
    Row(LFS_BATCH, LFS, 422, LFS_JSON),
    Row(LFS_BATCH, LFS, 200, LFS_JSON, ANONYMOUS),
    Row(StreamBody(), LFS, 200, BINARY),
    Row(XET_BODY, FILE, 200, XET_INFO, accept=XET_INFO),
    Row(XET_BODY, FILE, 200, JSON, accept=f"text/plain, {XET_INFO}"),
    Row(StreamBody(), FILE, 200, BINARY, accept=XET_INFO),
    Row(XET_BODY, API, 200, accept=XET_INFO),
    Row(LFS_BATCH, LFS, 200, LFS_JSON, accept=XET_INFO),
    # without a body
    Row(SendHead(), API, 200, method="HEAD"),
    Row(SendHead(), FILE, 200, BINARY, method="HEAD"),
    Row(SendHead(), FILE, 302, method="HEAD"),
    Row(SendHead(), API, 204),
    Row(SendHead(), FILE, 304),
    Row(BufferBody(), API, 205),
    # a 401 makes git prompt and git-lfs repeat without end
    Row(RefuseResponse(Deny(Refusal.ACCOUNT, DEAD)), GIT, 401),
    Row(RefuseResponse(Deny(Refusal.ACCOUNT, DEAD)), LFS, 401, LFS_JSON),
    Row(RefuseResponse(Deny(Refusal.ACCOUNT, DEAD)), GIT, 401, method="HEAD"),
    Row(RefuseResponse(Deny(Refusal.SCOPE, ANONYMOUS.why)), GIT, 401, decision=ANONYMOUS),
    Row(RefuseResponse(Deny(Refusal.SCOPE, ANONYMOUS.why)), LFS, 401, decision=ANONYMOUS),
    Row(RefuseResponse(Deny(Refusal.SCOPE, "")), LFS, 401, decision=SILENT, account=None),
    Row(BufferBody(), GIT, 403),
    # without the token, two codes may only mean that
    Row(BufferBody(explanation=ANONYMOUS.why), API, 404, decision=ANONYMOUS, code="RepoNotFound"),
    Row(BufferBody(explanation=ANONYMOUS.why), API, 401, decision=ANONYMOUS, code="GatedRepo"),
    Row(BufferBody(explanation=ANONYMOUS.why), FILE, 401, decision=ANONYMOUS, code="RepoNotFound"),
    Row(BufferBody(explanation=ANONYMOUS.why), FILE, 403, decision=ANONYMOUS, code="GatedRepo", accept=XET_INFO),
    Row(BufferBody(explanation=ANONYMOUS.why), LFS, 404, decision=ANONYMOUS, code="RepoNotFound"),
    Row(SendHead(ANONYMOUS.why), FILE, 403, decision=ANONYMOUS, method="HEAD", code="GatedRepo"),
    Row(StreamBody(ANONYMOUS.why), FILE, 403, BINARY, ANONYMOUS, code="GatedRepo"),
    Row(BufferBody(), API, 404, decision=ANONYMOUS, code="EntryNotFound"),
    Row(BufferBody(), API, 404, decision=ANONYMOUS),
    Row(BufferBody(), API, 404, decision=SILENT, code="RepoNotFound", account=None),
    Row(BufferBody(), API, 404, code="RepoNotFound"),
    Row(BufferBody(), API, 399, decision=ANONYMOUS, code="RepoNotFound"),
    Row(BufferBody(), API, 401, decision=ANONYMOUS, message=INVALID_CREDENTIALS),
    # with the token, one message means that it is dead
    Row(BufferBody(explanation=DEAD), API, 401, message=INVALID_CREDENTIALS),
    Row(BufferBody(explanation=DEAD), API, 401, message=f"{INVALID_CREDENTIALS}, or expired"),
    Row(SendHead(DEAD), FILE, 401, method="HEAD", message=INVALID_CREDENTIALS),
    Row(StreamBody(DEAD), API, 401, BINARY, message=INVALID_CREDENTIALS),
    Row(BufferBody(), API, 401, message=f"no: {INVALID_CREDENTIALS}"),
    Row(BufferBody(), API, 403, message=INVALID_CREDENTIALS),
    Row(BufferBody(), API, 401),
    Row(BufferBody(), API, 401, message=INVALID_CREDENTIALS, account=None),
]


def planned(row: Row) -> RelayPlan:
    fields = {"content-type": row.type, "x-error-code": row.code, "x-error-message": row.message}
    present = {name: value for name, value in fields.items() if value}
    return plan(row.method, row.kind, row.accept, row.decision, row.account, row.status, present)


@pytest.mark.parametrize("row", ROWS)
def test_a_response_is_planned_by_its_head(row: Row) -> None:
    assert planned(row) == row.plan


@given(st.sampled_from(ROWS), st.integers(200, 599), st.sampled_from(ResponseKind), st.sampled_from(ROWS))
def test_laws_of_every_plan(row: Row, status: int, kind: ResponseKind, other: Row) -> None:
    row = row._replace(status=status, kind=kind, type=other.type, method=other.method, accept=other.accept)
    made = planned(row)
    if isinstance(made, RefuseResponse):
        assert status == 401
    elif status < 400:
        assert made.explanation is None
    if isinstance(made, BufferBody):
        assert made.explanation is None or made.rewrite is BodyRewrite.NONE
        # a body that is rewritten was not compressed
        assert made.rewrite is BodyRewrite.NONE or relay_plan.needs_identity_encoding(kind, row.accept)
    if row.method == "HEAD" or status in {204, 304}:
        assert isinstance(made, SendHead | RefuseResponse)


@pytest.mark.parametrize("kind", ResponseKind)
def test_what_may_be_rewritten_is_asked_for_without_compression(kind: ResponseKind) -> None:
    assert relay_plan.needs_identity_encoding(kind, "*/*") is (kind is LFS)
    assert relay_plan.needs_identity_encoding(kind, f"{XET_INFO};q=1")
