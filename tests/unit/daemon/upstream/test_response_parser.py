"""Answers in one piece are read as aiohttp's parser reads them, or not at all."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.http.headers import Headers
from hfproxy.daemon.upstream import connection
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.daemon.upstream.response_parser import CACHE_SIZE, parse_buffered_response
from hfproxy.daemon.upstream.connection import UpstreamConnection
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.daemon.upstream import response_parser

PIECES = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK",
            b"HTTP/1.0 200 OK",
            b"HTTP/1.1 200",
            b"HTTP/1.1 204 No",
            b"HTTP/1.1 404 x",
            b"\r\n",
            b"\n",
        ),
        *(
            b"\r",
            b"\0",
            b"\x80",
            b"\xff",
            b"\x7f",
            b"\t",
            b" ",
            b":",
            b"x",
            b"X: y",
            b"X : y",
            b" folded",
            b"\xc3\xa9: e",
        ),
        *(
            b"Content-Length: 0",
            b"Content-Length: 1",
            b"Content-Length: 1, 1",
            b"content-length:2",
            b"Content-Length: +1",
        ),
        *(b"Content-Length: \xb2", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive"),
        *(b"Upgrade: h2c", b"Trailer: x", b"\r\n\r\n", b"\r\n\r\nx", b"\r\n\r\nxy"),
    ]
)
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
ANSWERS = st.one_of(
    st.lists(PIECES, max_size=14).map(b"".join),
    st.lists(PIECES, max_size=6).map(lambda pieces: BEGUN + b"\r\n".join(pieces) + b"\r\n\r\nx"),
    st.binary(max_size=40).map(lambda block: BEGUN + block + b"\r\n\r\nx"),
    st.binary(max_size=10).map(lambda reason: b"HTTP/1.1 200 " + reason + b"\r\nContent-Length: 0\r\n\r\n"),
)
PLAIN = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\nETag: W/"x"\r\n'
    b'Connection: keep-alive\r\nLink: <https://huggingface.co/api/models?cursor=x>; rel="next"\r\nX-Empty:\r\n\r\n{}'
)


Read = tuple[int, Headers, dict[str, str], bytes]


def ours(data: bytes, *, bodiless: bool) -> Read | None:
    """What we read."""
    answer = parse_buffered_response(data, bodiless=bodiless)
    return (
        None
        if answer is None
        else (answer.status, spelled(answer.client_headers), answer.fields, answer.buffered or b"")
    )


def spelled(headers: Headers) -> Headers:
    """Headers without the case of their names: aiohttp has an own spelling for those it knows."""
    return tuple((name.lower(), value) for name, value in headers)


def theirs(data: bytes, *, bodiless: bool) -> Any:
    """What aiohttp's client would read: the one answer, whole, with nothing after it; None otherwise."""

    async def parsed() -> Any:
        loop = asyncio.get_running_loop()
        parser = HttpResponseParser(
            BaseProtocol(loop),
            loop,
            2**16,
            response_with_body=not bodiless,
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        try:
            messages, upgraded, rest = parser.feed_data(data)
        except (HttpProcessingError, aiohttp.ClientPayloadError):
            return None
        if len(messages) != 1 or upgraded or rest or messages[0][0].should_close or not messages[0][1].is_eof():
            return None
        message, content = messages[0]
        answer = UpstreamResponse.of(message.code, tuple(message.headers.items()), content)
        return answer.status, spelled(answer.client_headers), answer.fields, await answer.read()

    return asyncio.run(parsed())


@law()
@given(data=ANSWERS, bodiless=st.booleans())
@example(data=PLAIN, bodiless=False)
@example(data=BEGUN + b"X:\ty\t \r\n\r\nx", bodiless=False)
@example(data=BEGUN + b"X: \xe9\r\n\r\nx", bodiless=False)
@example(data=BEGUN + b"\r\n", bodiless=True)
@example(data=BEGUN + b"Connection: keep-alive\r\nConnection: close\r\n\r\nx", bodiless=False)
@example(data=BEGUN + b"X: y\r\n" * 127 + b"\r\nx", bodiless=False)
@example(data=BEGUN + b"X: y\r\n" * 128 + b"\r\nx", bodiless=False)
@example(data="HTTP/1.1 200 OK\r\nContent-Length: \u0662\r\n\r\n".encode(), bodiless=True)
def test_what_is_read_is_what_aiohttp_reads(data: bytes, *, bodiless: bool) -> None:
    found = ours(data, bodiless=bodiless)
    assert found is None or found == theirs(data, bodiless=bodiless)


@law()
@given(first=ANSWERS, second=ANSWERS, bodiless=st.booleans())
def test_lines_that_are_known_change_nothing(first: bytes, second: bytes, *, bodiless: bool) -> None:
    ours(first, bodiless=bodiless)
    before = ours(second, bodiless=bodiless)
    assert before is None or before == theirs(second, bodiless=bodiless)
    assert ours(second, bodiless=bodiless) == before


def test_no_more_lines_are_remembered_than_there_is_room_for() -> None:
    for number in range(CACHE_SIZE + 20):
        line = b"X: %d\r\n" % number
        assert parse_buffered_response(BEGUN + line + b"\r\nx", bodiless=False) is not None
        assert parse_buffered_response(BEGUN.replace(b"OK", b"OK %d" % number) + b"\r\nx", bodiless=False) is not None
    assert len(response_parser._lines) == len(response_parser._statuses) == CACHE_SIZE


def test_the_answers_of_the_hub_are_in_one_piece() -> None:
    assert ours(PLAIN, bodiless=False) == theirs(PLAIN, bodiless=False) != None  # noqa: E711
    assert ours(PLAIN[:-2], bodiless=True) == theirs(PLAIN[:-2], bodiless=True) != None  # noqa: E711


@pytest.mark.parametrize(
    "data",
    [
        b"",
        PLAIN[:-1],
        PLAIN + b"x",
        PLAIN + PLAIN,
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"200 OK", b"100 Continue"),
        PLAIN.replace(b"200 OK", b"304 Not Modified"),
        PLAIN.replace(b"keep-alive", b"close"),
        PLAIN.replace(b"X-Empty:", b"Connection: close"),
        PLAIN.replace(b"X-Empty:", b"\r\n".join([b"X: y"] * 128)),
        PLAIN.replace(b"Length: 2", b"Length: 02"),
        PLAIN.replace(b"Length: 2", "Length: \u0662".encode()),
        PLAIN.replace(b"X-Empty:", b"Content-Length: 2"),
        PLAIN.replace(b"X-Empty:", b"Transfer-Encoding: chunked"),
        PLAIN.replace(b"X-Empty:", b"X: a\nSet-Cookie: b"),
        PLAIN.replace(b"X-Empty:", b"X: a\0b"),
        PLAIN.replace(b"X-Empty:", b" folded"),
        PLAIN.replace(b"Length: 2", b"Length: 002x"),
        PLAIN.replace(b"X-Empty:", b"X: " + b"y" * MAX_HEADER_BYTES),
    ],
)
def test_anything_else_is_left_to_aiohttp(data: bytes) -> None:
    assert parse_buffered_response(data, bodiless=False) is None


class _Wire(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """What is sent goes nowhere."""

    def is_closing(self) -> bool:
        return False


async def answered(link: UpstreamConnection, *, bodiless: bool) -> UpstreamResponse | None:
    return await link.send_request(b"GET / HTTP/1.1\r\n\r\n", bodiless=bodiless)


async def asked(*, bodiless: bool = False) -> tuple[UpstreamConnection, asyncio.Task[Any]]:
    """A link that waits for an answer."""
    link = UpstreamConnection(asyncio.get_running_loop(), lambda _link, _whole: None)
    link.connection_made(_Wire())
    task = asyncio.create_task(answered(link, bodiless=bodiless))
    await asyncio.sleep(0)
    return link, task


async def test_a_link_reads_what_comes_in_parts_by_aiohttp_and_the_next_in_one_piece() -> None:
    link, task = await asked()
    link.data_received(PLAIN[:-1])
    assert await task is None
    message, content = await link.read()
    link.data_received(PLAIN[-1:])
    assert (message.code, await content.read(), link.should_close) == (200, b"{}", False)
    again = asyncio.create_task(answered(link, bodiless=False))
    await asyncio.sleep(0)
    link.data_received(PLAIN)
    answer = await again
    assert answer is not None
    assert (answer.status, answer.buffered, link.should_close) == (200, b"{}", False)


@pytest.mark.parametrize("parts", [[PLAIN], [PLAIN[:9], PLAIN[9:]]])
async def test_what_comes_after_an_answer_spoils_the_connection(parts: list[bytes]) -> None:
    link, task = await asked()
    for part in parts:
        link.data_received(part)
    await task
    link.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert link.should_close


async def test_a_connection_that_is_lost_before_the_answer_says_so() -> None:
    link, task = await asked()
    link.connection_lost(None)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await task
