"""Plain requests: a GET or HEAD without a body, whose head came in one piece, without aiohttp's server.

Nearly all requests are such, and the server costs each of them more than all that is decided about it (`make bench`).
Nothing is read more leniently for that: a header block is parsed by aiohttp's own strict C parser when it is first
seen, and only one with the very same bytes is known again; the request line is matched against a form that leaves no
choice. What is not plain in any way is left to aiohttp, which also finds the words for what is no HTTP at all.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from hfproxy.core.http.headers import Headers, UpstreamHeaders, to_upstream
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.core.policy.admission import RequestHeaders
from hfproxy.daemon.listen.messages import Connection, ResponseHead

REQUEST_LINE: Final = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1")
END: Final = b"\r\n\r\n"
# Clients of one machine; each sends a handful of blocks, or a new one each time.
REMEMBERED: Final = 256
# How long a block may be for it: strangers send some, too.
MEMORABLE: Final = 16 * 1024
SLOW_PATH_FIELDS: Final = ("content-length", "transfer-encoding", "expect", "upgrade", "connection")
KEEP_ALIVE: Final = "keep-alive"
EMPTY_STATUS: Final = frozenset({204, 304})


class ParsedHeaders:
    """The headers of a request: for the policy, and for the Hub."""

    __slots__ = ("for_policy", "for_upstream")

    def __init__(self, pairs: Headers) -> None:
        self.for_policy, self.for_upstream = RequestHeaders.of(pairs), to_upstream(pairs)


class HeaderBlockCache:
    """Reads heads, and knows blocks of headers again: clients send the same ones all the time."""

    def __init__(self) -> None:
        self._cache: dict[bytes, ParsedHeaders] = {}

    def parse(self, data: bytes, connection: Connection) -> "FastRequest | None":
        """The plain request that these bytes are; None if they are anything else, more, or less than one."""
        line, _, block = data.partition(b"\r\n")
        match = REQUEST_LINE.fullmatch(line)
        if match is None or block.find(END) != len(block) - len(END) or len(data) > MAX_HEADER_BYTES:
            return None
        fields = self._cache.get(block) or self._parse_and_cache(block, data)
        if fields is None:
            return None
        return FastRequest(match[1].decode("ascii"), match[2].decode("ascii"), fields, connection)

    def _parse_and_cache(self, block: bytes, data: bytes) -> ParsedHeaders | None:
        pairs = _parsed(data)
        if pairs is None:
            return None
        fields = ParsedHeaders(pairs)
        if len(block) <= MEMORABLE:
            if len(self._cache) >= REMEMBERED:
                self._cache.pop(next(iter(self._cache)))
            self._cache[block] = fields
        return fields


def _parsed(data: bytes) -> Headers | None:
    """The headers, as aiohttp's server would read them; None if there is more to it than these."""
    loop = asyncio.get_running_loop()
    parser = HttpRequestParser(
        BaseProtocol(loop), loop, MAX_HEADER_BYTES, max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES
    )
    try:
        messages, upgraded, rest = parser.feed_data(data)
    except HttpProcessingError:
        return None
    if len(messages) != 1 or upgraded or rest:
        return None
    message = messages[0][0]
    if any(name in message.headers and message.headers[name].lower() != KEEP_ALIVE for name in SLOW_PATH_FIELDS):
        return None
    return None if message.should_close else tuple(message.headers.items())


class FastRequest:
    """One of them (see `daemon.exchange.Request`)."""

    __slots__ = ("_parsed", "connection", "headers", "method", "raw_path")
    length = 0

    def __init__(self, method: str, raw_path: str, fields: ParsedHeaders, connection: Connection) -> None:
        self.method, self.raw_path, self.connection = method, raw_path, connection
        self.headers, self._parsed = fields.for_policy, fields

    @property
    def transport(self) -> asyncio.Transport | None:
        return self.connection.transport

    @property
    def upstream_headers(self) -> UpstreamHeaders:
        return self._parsed.for_upstream

    async def body(self) -> AsyncIterator[bytes]:
        """There is none."""
        for part in list[bytes]():
            yield part

    async def start_response(self, head: ResponseHead) -> "FastResponse":
        bodiless = self.method == "HEAD" or head.status in EMPTY_STATUS
        chunked = not bodiless and not any(name.lower() == "content-length" for name, _ in head.pairs)
        response = FastResponse(self.connection, head, chunked=chunked)
        asyncio.get_running_loop().call_soon(response.flush)
        return response

    async def send_response(self, head: ResponseHead, body: bytes) -> "FastResponse":
        response = FastResponse(self.connection, head, chunked=False)
        response.send(body)
        if self.connection.writing_paused:
            await self.connection.drained()
        return response


class FastResponse:
    """The answer to one. Its head leaves with the first part of the body, or as soon as nothing else is to be done."""

    __slots__ = ("_head", "chunked", "connection")

    def __init__(self, connection: Connection, head: ResponseHead, *, chunked: bool) -> None:
        self.connection, self.chunked = connection, chunked
        more = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        if connection.closing:
            more += b"Connection: close\r\n"
        self._head = head.wire + more + b"\r\n"

    async def write(self, data: bytes) -> None:
        if self.chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.send(data)
        if self.connection.writing_paused:
            await self.connection.drained()

    async def write_eof(self) -> None:
        self.send(b"0\r\n\r\n" if self.chunked else b"")

    def send(self, data: bytes) -> None:
        """Send it as it is. Raises ConnectionResetError where the client is gone."""
        transport = self.connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            transport.write(data)

    def flush(self) -> None:
        """Let the head leave, if it has not yet."""
        transport = self.connection.transport
        if self._head and transport is not None and not transport.is_closing():
            self.send(b"")
