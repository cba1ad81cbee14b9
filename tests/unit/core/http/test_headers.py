"""Headers: what passes, exactly, and what never does."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.http import headers
from hfproxy.errors import UpstreamError

# What docs/hub-protocol.md#streaming and docs/hub-protocol.md#required-headers want kept, in each direction.
KEPT_UP = [
    ("User-Agent", "hf_hub/2.4.0"),
    ("Accept", "application/vnd.git-lfs+json"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Content-Type", "application/json"),
    ("Content-Length", "3"),
    ("Range", "bytes=0-4"),
    ("If-None-Match", 'W/"a"'),
    ("X-HF-Bill-To", "acme"),
    ("X-HF-Download-Counter", "1"),
    ("X-Amzn-Trace-Id", "t"),
    ("X-Xet-Session-Id", "s"),
    ("Git-Protocol", "version=2"),
]
KEPT_DOWN = [
    ("Content-Type", "application/json"),
    ("Content-Encoding", "gzip"),
    ("Content-Range", "bytes 0-4/5"),
    ("Accept-Ranges", "bytes"),
    ("ETag", 'W/"a"'),
    ("X-Linked-Etag", '"b"'),
    ("X-Linked-Size", "5"),
    ("X-Repo-Commit", "c"),
    ("X-Error-Code", "RepoNotFound"),
    ("X-Error-Message", "m"),
    ("X-Xet-Access-Token", "x" * 60_000),
    ("Content-Disposition", 'inline; filename="a"'),
    ("RateLimit", '"api";r=0;t=55'),
    ("Date", "Tue, 24 Nov 2026 00:00:00 GMT"),
    ("Vary", "Origin"),
    ("Link", "<a>; rel=x"),
    ("Link", "<b>; rel=y"),
]
HOP_BY_HOP = [
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
]
IDENTIFYING = ["Authorization", "X-HF-Authorization", "Cookie", "Host", "Forwarded", "X-Forwarded-For", "Via"]
OURS = ["X-HF-Proxy-Refusal", "X-HF-Proxy-Anything"]
# A server that honours one of these would do, or be, something else than what was classified (docs/threat-model.md#t9).
OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"]


VALUES = st.text(st.characters(exclude_characters="\r\n"), max_size=5)


def upward(pairs: Iterable[tuple[str, str]]) -> headers.Headers:
    """What goes to the Hub."""
    return headers.to_upstream(pairs).pairs


def test_what_the_hub_needs_passes_unchanged_and_in_order() -> None:
    assert upward(KEPT_UP) == tuple(KEPT_UP)


def test_what_clients_need_passes_unchanged_and_in_order() -> None:
    assert headers.to_client(KEPT_DOWN) == tuple(KEPT_DOWN)


@pytest.mark.parametrize("name", [*HOP_BY_HOP, *IDENTIFYING, *OURS, "Expect", "Sec-Fetch-Site", "Sec-Fetch-Mode"])
def test_these_never_go_up_in_any_case(name: str) -> None:
    for spelled in (name, name.lower(), name.upper(), name.swapcase()):
        assert upward([("A", "1"), (spelled, "x"), ("B", "2"), (spelled, "y")]) == (("A", "1"), ("B", "2"))


@pytest.mark.parametrize("name", OVERRIDES)
def test_no_header_may_turn_the_request_into_another_one(name: str) -> None:
    assert upward([(name, "DELETE")]) == ()


@pytest.mark.parametrize(
    "name",
    [
        *HOP_BY_HOP,
        *OURS,
        "Set-Cookie",
        "Set-Cookie2",
        "Alt-Svc",
        "Strict-Transport-Security",
        "Clear-Site-Data",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Expose-Headers",
    ],
)
def test_these_never_come_down_in_any_case(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert headers.to_client([(spelled, "x"), ("B", "2"), (spelled, "y")]) == (("B", "2"),)


@pytest.mark.parametrize("value", ["X-One, x-two", "x-one,X-TWO", " X-One ,\tx-two , close", "close, X-One,, x-two"])
def test_what_connection_names_ends_here(value: str) -> None:
    given_headers = [("X-One", "1"), ("Connection", value), ("x-TWO", "2"), ("X-Three", "3")]
    assert upward(given_headers) == (("X-Three", "3"),)
    assert headers.to_client(given_headers) == (("X-Three", "3"),)


def test_where_a_body_ends_is_said_whatever_connection_names() -> None:
    given_headers = (("Connection", "Content-Length, x-one"), ("Content-Length", "5"), ("x-one", "1"))
    assert headers.to_client(given_headers) == (("Content-Length", "5"),)


def test_several_connection_headers_count_together() -> None:
    given_headers = [("Connection", "x-one"), ("x-one", "1"), ("connection", "x-two"), ("x-two", "2"), ("a", "b")]
    assert upward(given_headers) == (("a", "b"),)


def test_connection_may_name_every_hop_by_hop_header_and_one_more() -> None:
    given_headers = [("Connection", ", ".join([*HOP_BY_HOP, "X-One"])), ("X-One", "1"), ("A", "1")]
    assert upward(given_headers) == (("A", "1"),)


def test_no_other_header_than_connection_names_headers_to_drop() -> None:
    given_headers = (("Accept", "x-one"), ("Vary", "a, X-One"), ("X-One", "1"))
    assert upward(given_headers) == given_headers
    assert headers.to_client(given_headers) == given_headers


@given(st.lists(st.tuples(st.sampled_from([*HOP_BY_HOP, *IDENTIFYING, "A", "B", "x-one"]), VALUES)))
@law()
def test_crossing_only_drops_and_doing_it_again_changes_nothing(pairs: list[tuple[str, str]]) -> None:
    for cross in (upward, headers.to_client):
        once = cross(pairs)
        left = iter(pairs)
        assert all(pair in left for pair in once)
        assert cross(once) == once


def test_a_replaced_header_is_there_once() -> None:
    given_headers = [("Accept-Encoding", "gzip"), ("A", "1"), ("accept-encoding", "br")]
    assert headers.with_header(given_headers, "ACCEPT-Encoding", "identity") == (
        ("A", "1"),
        ("ACCEPT-Encoding", "identity"),
    )


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("br", "identity"),
        ("identity", "identity"),
        ("GZIP;q=1.0", "gzip"),
        ("", "identity"),
    ],
)
def test_only_what_can_be_looked_into_is_asked_for(asked: str, wanted: str) -> None:
    up = headers.UpstreamHeaders((("Accept", "br"), ("accept-Encoding", asked)))
    assert up.inspectable.pairs == (("Accept", "br"), ("accept-Encoding", wanted))
    assert up.uncompressed.pairs == (("Accept", "br"), ("Accept-Encoding", "identity"))


def test_who_asks_for_no_compression_in_particular_still_does_not() -> None:
    assert headers.UpstreamHeaders((("Accept", "*/*"),)).inspectable.pairs == (("Accept", "*/*"),)


def test_a_name_that_comes_twice_goes_up_twice_in_the_spelling_it_had_first() -> None:
    given = (("X-Tag", "a"), ("Accept", "x"), ("x-tag", "b"), ("X-TAG", "c"))
    assert upward(given) == (("X-Tag", "a"), ("Accept", "x"), ("X-Tag", "b"), ("X-Tag", "c"))


def test_every_field_of_an_answer_is_found_and_several_of_a_name_are_one_list() -> None:
    found = headers.merged([("ETag", "x"), ("Link", "<a>"), ("Set-Cookie", "s"), ("link", "<b>")])
    assert found == {"etag": "x", "link": "<a>, <b>", "set-cookie": "s"}


def test_headers_go_up_line_by_line_without_a_credential() -> None:
    for name in ("authorization", "Authorization"):
        assert headers.UpstreamHeaders((("A", "1"), (name, "x"), ("B", ""))).serialize == "A: 1\r\nB: \r\n"


@pytest.mark.parametrize("text", ["a\r\nB: c", "a\nb", "a\rb", "\n", "a\r"])
def test_no_header_becomes_another_line(text: str) -> None:
    for pair in ((text, "x"), ("X", text)):
        with pytest.raises(UpstreamError, match="more than one line"):
            headers.UpstreamHeaders((pair, ("A", "1")))
