"""The fast path for plain requests: a GET or HEAD without a body, whose head arrives in one read.

Nearly all requests are plain, and aiohttp's server would cost each of them more than everything that is decided about
it (docs/adr/0003-http-fast-path.md). The fast path is never more lenient: the request line must match an expression
that leaves no choice, and a header block is parsed by aiohttp's own C parser when it is first seen; only the very same
bytes are recognised again. Anything else is left to aiohttp, which also words the errors.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from hfproxy.core.http.headers import Headers, UpstreamHeaders, to_upstream
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.core.policy.admission import RequestHeaders
from hfproxy.daemon.aiohttp_internals import HttpProcessingError, make_request_parser
from hfproxy.daemon.listen.interface import Connection, ResponseHead

REQUEST_LINE: Final = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1")
HEAD_END: Final = b"\r\n\r\n"
# Header blocks that are cached. A client repeats a handful, or sends another one each time.
CACHE_SIZE: Final = 256
# Longer blocks are not cached: foreign users send some too.
MAX_CACHED_BYTES: Final = 16 * 1024
# Fields that change where a message ends, or what the connection is afterwards.
SLOW_PATH_FIELDS: Final = ("content-length", "transfer-encoding", "expect", "upgrade", "connection")
KEEP_ALIVE: Final = "keep-alive"
EMPTY_STATUS: Final = frozenset({204, 304})


class ParsedHeaders:
    """The headers of a request, in the two forms that are needed of them."""

    __slots__ = ("for_policy", "for_upstream")

    def __init__(self, pairs: Headers) -> None:
        self.for_policy, self.for_upstream = RequestHeaders.of(pairs), to_upstream(pairs)


class HeaderBlockCache:
    """Parses request heads, and keeps the parsed form of header blocks: clients repeat theirs in every request."""

    def __init__(self) -> None:
        self._cache: dict[bytes, ParsedHeaders] = {}

    def parse(self, data: bytes, connection: Connection) -> "FastRequest | None":
        """Return the plain request that these bytes are; None if they are anything else, more, or less than one."""
        line, _, block = data.partition(b"\r\n")
        match = REQUEST_LINE.fullmatch(line)
        if match is None or block.find(HEAD_END) != len(block) - len(HEAD_END) or len(data) > MAX_HEADER_BYTES:
            return None
        fields = self._cache.get(block) or self._parse_and_cache(block, data)
        if fields is None:
            return None
        return FastRequest(match[1].decode("ascii"), match[2].decode("ascii"), fields, connection)

    def _parse_and_cache(self, block: bytes, data: bytes) -> ParsedHeaders | None:
        pairs = _parse_headers(data)
        if pairs is None:
            return None
        fields = ParsedHeaders(pairs)
        if len(block) <= MAX_CACHED_BYTES:
            if len(self._cache) >= CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
            self._cache[block] = fields
        return fields


def _parse_headers(data: bytes) -> Headers | None:
    """Return the headers as aiohttp's server would read them; None if the request is not plain."""
    try:
        messages, upgraded, rest = make_request_parser().feed_data(data)
    except HttpProcessingError:
        return None
    if len(messages) != 1 or upgraded or rest:
        return None
    message = messages[0][0]
    if any(name in message.headers and message.headers[name].lower() != KEEP_ALIVE for name in SLOW_PATH_FIELDS):
        return None
    return None if message.should_close else tuple(message.headers.items())


class FastRequest:
    """An `IncomingRequest` of the fast path. It has no body."""

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
        """Yield nothing."""
        for part in list[bytes]():
            yield part

    async def start_response(self, head: ResponseHead) -> "FastResponse":
        bodiless = self.method == "HEAD" or head.status in EMPTY_STATUS
        chunked = not bodiless and not any(name.lower() == "content-length" for name, _ in head.pairs)
        response = FastResponse(self.connection, head, chunked=chunked)
        # The head waits for the first part of the body, to leave in one write, but not longer than this iteration.
        asyncio.get_running_loop().call_soon(response.flush)
        return response

    async def send_response(self, head: ResponseHead, body: bytes) -> "FastResponse":
        response = FastResponse(self.connection, head, chunked=False)
        response.send(body)
        if self.connection.writing_paused:
            await self.connection.drained()
        return response


class FastResponse:
    """A response of the fast path. Its head leaves with the first part of the body, in one write.

    Attributes:
        chunked: Whether each part is framed as a chunk, since the length of the body is unknown.
    """

    __slots__ = ("_head", "chunked", "connection")

    def __init__(self, connection: Connection, head: ResponseHead, *, chunked: bool) -> None:
        self.connection, self.chunked = connection, chunked
        framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        if connection.closing:
            framing += b"Connection: close\r\n"
        self._head = head.wire + framing + b"\r\n"

    async def write(self, data: bytes) -> None:
        if self.chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.send(data)
        if self.connection.writing_paused:
            await self.connection.drained()

    async def write_eof(self) -> None:
        self.send(b"0\r\n\r\n" if self.chunked else b"")

    def send(self, data: bytes) -> None:
        """Write bytes to the transport, unframed, behind the head if that has not left yet.

        Raises:
            ConnectionResetError: The client is gone.
        """
        transport = self.connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            transport.write(data)

    def flush(self) -> None:
        """Write the head, if it has not left yet and the client is still there."""
        transport = self.connection.transport
        if self._head and transport is not None and not transport.is_closing():
            self.send(b"")
