"""Who may speak at all (docs/threat-model.md#t1, docs/threat-model.md#t2), and what they present."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.policy import admission
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.admission import RequestHeaders

HOST = ("Host", "127.0.0.1:4880")
BEARER = ("Authorization", "Bearer hf_px_x")


def refused(*headers: tuple[str, str]) -> Refusal | None:
    verdict = admission.admit(RequestHeaders.of(headers), admission.loopback(4880))
    return None if verdict is None else verdict.refusal


@pytest.mark.parametrize("host", ["127.0.0.1:4880", "localhost:4880"])
def test_our_own_two_names_are_answered(host: str) -> None:
    assert refused(("hOsT", host)) is None


@pytest.mark.parametrize(
    "host",
    ["", "127.0.0.1", "localhost", "127.0.0.1:4881", "127.0.0.1:04880", "LOCALHOST:4880", "localhost.:4880", "[::1]:4880",
     "0.0.0.0:4880", "127.1:4880", "2130706433:4880", "evil.example:4880", "evil.example", "127.0.0.1:4880.evil.example",
     "a@127.0.0.1:4880", " 127.0.0.1:4880", "127.0.0.1:4880, evil.example", "huggingface.co"],
)  # fmt: skip
def test_no_other_name_is_answered_even_with_a_credential(host: str) -> None:
    assert refused(("Host", host), BEARER) is Refusal.HOST


def test_a_host_comes_exactly_once() -> None:
    assert refused() is Refusal.HOST
    assert refused(HOST, HOST) is Refusal.HOST
    assert refused(HOST, ("host", "evil.example")) is Refusal.HOST


@pytest.mark.parametrize(
    "origin", ["", "null", "http://127.0.0.1:4880", "http://localhost:4880", "https://huggingface.co"]
)
def test_any_origin_is_refused_even_our_own_and_with_a_credential(origin: str) -> None:
    assert refused(HOST, ("oRigin", origin), BEARER) is Refusal.ORIGIN


@pytest.mark.parametrize(
    ("site", "fine"),
    [("none", True), ("same-origin", True), ("same-site", False), ("cross-site", False), ("", False), ("None", False),
     ("none, cross-site", False)],
)  # fmt: skip
def test_a_page_of_another_site_is_refused(site: str, fine: bool) -> None:
    assert (refused(HOST, ("Sec-Fetch-Site", site), BEARER) is None) is fine


def test_two_sites_are_not_better_than_one() -> None:
    assert refused(HOST, ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")) is Refusal.ORIGIN


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "TEXT/PLAIN; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_a_form_or_text_without_a_credential_is_refused(content_type: str) -> None:
    assert refused(HOST, ("Content-Type", content_type)) is Refusal.ORIGIN
    assert refused(HOST, ("Content-Type", content_type), BEARER) is None


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Bearer hf_px_x", "hf_px_x"),
        ("bearer   hf_px_x ", "hf_px_x"),
        (basic("hf_user:hf_px_x"), "hf_px_x"),
        (basic("hf_px_x:"), "hf_px_x"),
        (basic("a:b:c"), "b:c"),
    ],
)
def test_a_credential_is_taken_as_clients_present_it(value: str, found: str) -> None:
    assert RequestHeaders.of([("authorization", value)]).credential == found


@pytest.mark.parametrize(
    "value",
    ["", " ", "Bearer", "Bearer ", "hf_px_x", "Basic", "Basic !", "Basic /w==", basic(""), basic(":"), basic("abc"),
     "Digest x", "Token hf_px_x"],
)  # fmt: skip
def test_anything_else_is_no_credential_and_not_none_either(value: str) -> None:
    found = RequestHeaders.of([("Authorization", value)]).credential
    assert isinstance(found, Deny)
    assert found.refusal is Refusal.UNKNOWN_CREDENTIAL


def test_two_credentials_are_none() -> None:
    assert isinstance(RequestHeaders.of([BEARER, BEARER]).credential, Deny)
    assert RequestHeaders.of([]).credential is None


@given(st.text())
@law()
def test_no_header_makes_the_reading_raise_and_none_is_repeated(value: str) -> None:
    for scheme in ("", "Basic ", "Bearer ", "Basic YTpi"):
        found = RequestHeaders.of([("Authorization", scheme + value)]).credential
        assert found is not None
        if isinstance(found, Deny) and len(value) > 40:
            assert value not in found.why


HTML = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")


@pytest.mark.parametrize(
    ("method", "headers", "is_one"),
    [
        ("GET", [HTML], True),
        ("POST", [HTML], False),
        ("HEAD", [HTML], False),
        ("GET", [HTML, BEARER], False),
        ("GET", [HTML, ("Authorization", "")], False),
        ("GET", [("Accept", "*/*")], False),
        ("GET", [("Accept", "application/json")], False),
        ("GET", [], False),
    ],
)
def test_a_person_s_browser_is_told_by_its_wish_for_a_page(
    method: str, headers: list[tuple[str, str]], is_one: bool
) -> None:
    assert admission.is_navigation(method, RequestHeaders.of([HOST, *headers])) is is_one


@pytest.mark.parametrize("name", ["Origin", "sec-fetch-site", "Sec-Fetch-Mode", "SEC-FETCH-DEST", "sec-fetch-user"])
def test_a_browser_is_known_by_headers_it_cannot_leave_out(name: str) -> None:
    assert RequestHeaders.of([HOST, (name, "")]).has_browser_headers
    assert RequestHeaders.of([HOST, BEARER, (name, "none")]).has_browser_headers
    assert not RequestHeaders.of([HOST, BEARER, HTML, ("Referer", "https://x"), ("X-Origin", "x")]).has_browser_headers


def test_a_header_is_found_in_any_case_and_joined() -> None:
    headers = RequestHeaders.of([("Accept", "a"), ("ACCEPT", "b"), ("X-HF-Bill-To", "acme")])
    assert (headers.accept, headers.all("accept"), headers.one("accept")) == ("a, b", ("a", "b"), "a, b")
    assert headers.bill_to == "acme"
    assert (headers.all("x"), headers.one("x")) == ((), "")


@pytest.mark.parametrize("pairs", [[], [("X-HF-Bill-To", "")]])
def test_without_another_payer_the_user_pays(pairs: list[tuple[str, str]]) -> None:
    assert RequestHeaders.of(pairs).bill_to is None


def test_listeners_have_their_names_and_one_is_for_containers() -> None:
    here, there = admission.loopback(4880), admission.bridge("172.17.0.1", 4881)
    assert (here.endpoint, here.container) == ("http://127.0.0.1:4880", False)
    assert (there.endpoint, there.container) == ("http://172.17.0.1:4881", True)
    for host, listener in (("172.17.0.1:4881", here), ("127.0.0.1:4880", there), ("localhost:4881", there)):
        verdict = admission.admit(RequestHeaders.of([("Host", host)]), listener)
        assert verdict is not None
        assert verdict.refusal is Refusal.HOST
        assert all(name in verdict.why for name in listener.hosts)
    assert admission.admit(RequestHeaders.of([("Host", "172.17.0.1:4881")]), there) is None
