"""Plain requests are read as aiohttp's parser reads them, or not at all."""

import asyncio
from typing import Any, cast

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import law

from hfproxy.daemon.listen.fast_http import MAX_CACHED_BYTES, CACHE_SIZE, HeaderBlockCache
from hfproxy.daemon.listen.connection import ClientConnection

VISITOR = cast("ClientConnection", None)  # it is only handed on
BLOCK = b"Host: 127.0.0.1:4880\r\nUser-Agent: hf_hub/2.4.0\r\nAccept: */*\r\nAuthorization: Bearer hf_px_x\r\n\r\n"

# What hostile clients, and odd ones, put between the words of a request.
PIECES = st.sampled_from(
    [
        *(b"GET", b"HEAD", b"POST", b"get", b" ", b"\t", b"/", b"/a", b"/a?b=%2F", b"/a#b", b"*", b"http://x/"),
        *(
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"HTTP/1.2",
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
            b"\x80",
            b"\xff",
            b"Host: a",
            b"Host: b",
        ),
        *(b"Content-Length: 0", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Connection: close"),
        *(
            b"Connection: keep-alive",
            b"Expect: 100-continue",
            b"Upgrade: h2c",
            b"X: y",
            b"X : y",
            b" folded",
            b":",
            b"x",
        ),
        *(b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]
)
REQUESTS = st.one_of(
    st.lists(PIECES, max_size=14).map(b"".join),
    st.lists(PIECES, max_size=6).map(lambda pieces: b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"".join(pieces) + b"\r\n\r\n"),
    st.binary(max_size=8).map(lambda target: b"GET /" + target + b" HTTP/1.1\r\n" + BLOCK),
    st.binary(max_size=40).map(lambda block: b"HEAD / HTTP/1.1\r\nHost: a\r\n" + block + b"\r\n\r\n"),
)


def read(heads: HeaderBlockCache, data: bytes) -> tuple[str, str, dict[str, tuple[str, ...]]] | None:
    """What we read."""
    request = heads.parse(data, VISITOR)
    return None if request is None else (request.method, request.raw_path, request.headers.fields)


def parsed(data: bytes) -> Any:
    """What aiohttp's server would read: the one message, whole and without a body; None otherwise."""
    loop = asyncio.get_running_loop()
    try:
        messages, upgraded, rest = HttpRequestParser(BaseProtocol(loop), loop, 2**16).feed_data(data)
    except HttpProcessingError:
        return None
    if len(messages) != 1 or upgraded or rest or messages[0][1] is not EMPTY_PAYLOAD or messages[0][0].should_close:
        return None
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in messages[0][0].headers.items():
        fields[name.lower()] = (*fields.get(name.lower(), ()), value)
    return messages[0][0].method, messages[0][0].path, fields


@law()
@given(data=REQUESTS)
@example(data=b"GET /\x7f HTTP/1.1\r\n" + BLOCK)
@example(data=b"GET  / HTTP/1.1\r\n" + BLOCK)
@example(data=b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n")
def test_what_is_read_is_what_aiohttp_reads(data: bytes) -> None:
    async def both() -> tuple[Any, Any]:
        return read(HeaderBlockCache(), data), parsed(data)

    ours, theirs = asyncio.run(both())
    assert ours is None or ours == theirs


@law()
@given(first=st.binary(max_size=8), second=st.binary(max_size=8), block=st.sampled_from([BLOCK, b"Host: a\r\n\r\n"]))
def test_a_block_that_is_known_changes_nothing(first: bytes, second: bytes, block: bytes) -> None:
    async def both() -> tuple[Any, Any]:
        heads = HeaderBlockCache()
        read(heads, b"GET /" + first + b" HTTP/1.1\r\n" + block)
        data = b"HEAD /" + second + b" HTTP/1.1\r\n" + block
        return read(heads, data), parsed(data)

    ours, theirs = asyncio.run(both())
    assert ours is None or ours == theirs


async def test_the_requests_of_real_clients_are_plain() -> None:
    for method in ("GET", "HEAD"):
        data = f"{method} /me/x/resolve/main/a%20b.json?download=1 HTTP/1.1\r\n".encode() + BLOCK
        assert read(HeaderBlockCache(), data) == parsed(data) != None  # noqa: E711


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + BLOCK,
        b"GET / HTTP/1.0\r\n" + BLOCK,
        b"GET http://127.0.0.1/ HTTP/1.1\r\n" + BLOCK,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + BLOCK + b"GET / HTTP/1.1\r\n" + BLOCK,
    ],
)
async def test_anything_else_is_left_to_aiohttp(data: bytes) -> None:
    assert read(HeaderBlockCache(), data) is None


async def test_no_more_blocks_are_remembered_than_there_is_room_for() -> None:
    heads = HeaderBlockCache()
    for number in range(CACHE_SIZE + 20):
        assert read(heads, b"GET / HTTP/1.1\r\nHost: a\r\nX: %d\r\n\r\n" % number) is not None
    assert len(heads._cache) == CACHE_SIZE


async def test_a_long_block_is_read_and_not_remembered() -> None:
    heads = HeaderBlockCache()
    assert read(heads, b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"y" * MAX_CACHED_BYTES)) is not None
    assert heads._cache == {}
