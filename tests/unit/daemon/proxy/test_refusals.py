"""Refusals on the wire: status, headers and body for each kind of client (docs/hub-protocol.md#refusals)."""

import json

import pytest

from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.decision import Deny, Objection, Refusal
from hfproxy.daemon.proxy import refusals
from hfproxy.daemon.proxy.refusals import refusal_response, status_of, with_explanation

STATUS = {
    **dict.fromkeys(Refusal, 403),
    Refusal.HOST: 421,
    Refusal.NO_CREDENTIAL: 401,
    Refusal.UNKNOWN_CREDENTIAL: 401,
    Refusal.EXPIRED: 401,
    Refusal.REVOKED: 401,
    Refusal.BAD_TARGET: 400,
    Refusal.BAD_BODY: 422,
    Refusal.UPSTREAM: 502,
}
LATER = (Objection(Refusal.LIMIT, "too fast", 60),)


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_has_its_status_and_its_word(refusal: Refusal) -> None:
    response = refusal_response(Deny(refusal, "why"))
    assert response.status == status_of(Deny(refusal, "why")) == STATUS[refusal]
    assert response.headers["X-HF-Proxy-Refusal"] == refusal.value
    assert response.headers["X-Error-Message"] == "why"
    assert "Retry-After" not in response.headers
    assert response.content_type == "application/json"
    assert json.loads(response.text or "") == {"error": "why", "refusal": refusal.value}


@pytest.mark.parametrize("kind", ResponseKind)
@pytest.mark.parametrize("refusal", Refusal)
def test_git_and_git_lfs_get_no_401_for_a_credential_that_came(refusal: Refusal, kind: ResponseKind) -> None:
    status = refusal_response(Deny(refusal, "why"), kind).status
    transfers = kind in {ResponseKind.LFS, ResponseKind.GIT}
    assert status == (
        403 if transfers and STATUS[refusal] == 401 and refusal is not Refusal.NO_CREDENTIAL else STATUS[refusal]
    )


@pytest.mark.parametrize("kind", ResponseKind)
def test_without_a_credential_one_is_asked_for(kind: ResponseKind) -> None:
    response = refusal_response(refusals.NO_CREDENTIAL, kind)
    name, other = ("LFS-Authenticate", "WWW-Authenticate")[:: 1 if kind is ResponseKind.LFS else -1]
    assert response.status == 401
    assert response.headers[name] == 'Basic realm="hf-proxy"'
    assert other not in response.headers
    assert response.headers["X-HF-Proxy-Refusal"] == "no_credential"


def test_no_other_refusal_asks_for_a_credential() -> None:
    for refusal in set(Refusal) - {Refusal.NO_CREDENTIAL}:
        assert not {"LFS-Authenticate", "WWW-Authenticate"} & set(refusal_response(Deny(refusal, "why")).headers)


@pytest.mark.parametrize("kind", ResponseKind)
def test_what_passes_by_itself_is_429_with_its_seconds(kind: ResponseKind) -> None:
    response = refusal_response(Deny(Refusal.LIMIT, "too fast", LATER), kind)
    assert (response.status, response.headers["Retry-After"]) == (429, "60")


def test_each_kind_of_client_can_read_the_reason() -> None:
    deny = Deny(Refusal.SCOPE, "why")
    git = refusal_response(deny, ResponseKind.GIT)
    assert (git.content_type, git.text) == ("text/plain", "why\n")
    lfs = refusal_response(deny, ResponseKind.LFS)
    assert lfs.content_type == "application/vnd.git-lfs+json"
    assert json.loads(lfs.text or "") == {"message": "why", "error": "why", "refusal": "scope"}
    for kind in (ResponseKind.API, ResponseKind.FILE, ResponseKind.EVENTS):
        assert json.loads(refusal_response(deny, kind).text or "") == {"error": "why", "refusal": "scope"}


def test_a_refused_read_looks_like_a_gated_repository() -> None:
    deny = Deny(Refusal.STRICT, "one; two", (Objection(Refusal.STRICT, "one"), Objection(Refusal.STRICT, "two")))
    headers = refusal_response(deny, ResponseKind.FILE, reads=True).headers
    assert headers["X-Error-Code"] == "GatedRepo"
    assert headers["X-HF-Warning"] == "one; one; two"
    assert refusal_response(Deny(Refusal.PEER, "why"), reads=True).headers["X-HF-Warning"] == "hf-proxy; why"


@pytest.mark.parametrize(
    ("deny", "reads"),
    [
        (Deny(Refusal.SCOPE, "why"), False),
        (Deny(Refusal.EXPIRED, "why"), True),
        (Deny(Refusal.LIMIT, "why", LATER), True),
        (Deny(Refusal.UPSTREAM, "why"), True),
    ],
)
def test_no_other_refusal_does(deny: Deny, reads: bool) -> None:
    assert not {"X-Error-Code", "X-HF-Warning"} & set(refusal_response(deny, reads=reads).headers)


@pytest.mark.parametrize(
    ("why", "line"), [("é", "\\xe9"), ("a\r\nX: y", "a  X: y"), ("a\nb\rc", "a b c"), ("\U0001f600", "\\U0001f600")]
)
def test_a_reason_is_one_ascii_line(why: str, line: str) -> None:
    response = refusal_response(Deny(Refusal.SCOPE, why), reads=True)
    assert response.headers["X-Error-Message"] == line
    assert response.headers["X-HF-Warning"] == f"hf-proxy; {line}"
    assert json.loads(response.text or "")["error"] == line


@pytest.mark.parametrize(
    ("body", "explained"),
    [
        (b'{"error": "no", "x": 1}', {"error": "no (why)", "x": 1}),
        (b'{"error": null}', {"error": "None (why)"}),
        (b'{"message": "no"}', None),
        (b'["error"]', None),
        (b'"error"', None),
        (b"1", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_an_error_of_the_hub_gets_the_sentence_and_any_other_body_stays(body: bytes, explained: object) -> None:
    found = with_explanation(body, "why")
    assert found == body if explained is None else json.loads(found) == explained
