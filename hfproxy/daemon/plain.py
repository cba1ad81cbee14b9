"""Plain requests: a GET or HEAD without a body, whose head came in one piece, without aiohttp's server.

Nearly all requests are such, and the server costs each of them more than all that is decided about it (`make bench`).
Nothing is read more leniently for that: a header block is parsed by aiohttp's own strict C parser when it is first
seen, and only one with the very same bytes is known again; the request line is matched against a form that leaves no
choice. What is not plain in any way is left to aiohttp, which also finds the words for what is no HTTP at all.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from hfproxy.core.admission import Inbound
from hfproxy.core.headers import Headers, Upward, upward
from hfproxy.daemon.exchange import Head
from hfproxy.daemon.one_piece import MAX_HEADER_BYTES

if TYPE_CHECKING:
    from hfproxy.daemon.visitor import Visitor

LINE: Final = re.compile(rb"(GET|HEAD) (/[!-~]*) HTTP/1\.1")
END: Final = b"\r\n\r\n"
# Clients of one machine; each sends a handful of blocks, or a new one each time.
REMEMBERED: Final = 256
# How long a block may be for it: strangers send some, too.
MEMORABLE: Final = 16 * 1024
NOT_PLAIN: Final = ("content-length", "transfer-encoding", "expect", "upgrade", "connection")
KEEP_ALIVE: Final = "keep-alive"
EMPTY_STATUS: Final = frozenset({204, 304})


class Fields:
    """The headers of a request: for the policy, and for the Hub."""

    __slots__ = ("inbound", "up")

    def __init__(self, pairs: Headers) -> None:
        self.inbound, self.up = Inbound.of(pairs), upward(pairs)


class Heads:
    """Reads heads, and knows blocks of headers again: clients send the same ones all the time."""

    def __init__(self) -> None:
        self._known: dict[bytes, Fields] = {}

    def read(self, data: bytes, visitor: "Visitor") -> "PlainRequest | None":
        """The plain request that these bytes are; None if they are anything else, more, or less than one."""
        line, _, block = data.partition(b"\r\n")
        match = LINE.fullmatch(line)
        if match is None or block.find(END) != len(block) - len(END) or len(data) > MAX_HEADER_BYTES:
            return None
        fields = self._known.get(block) or self._learn(block, data)
        if fields is None:
            return None
        return PlainRequest(match[1].decode("ascii"), match[2].decode("ascii"), fields, visitor)

    def _learn(self, block: bytes, data: bytes) -> Fields | None:
        pairs = _parsed(data)
        if pairs is None:
            return None
        fields = Fields(pairs)
        if len(block) <= MEMORABLE:
            if len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[block] = fields
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
    if any(name in message.headers and message.headers[name].lower() != KEEP_ALIVE for name in NOT_PLAIN):
        return None
    return None if message.should_close else tuple(message.headers.items())


class PlainRequest:
    """One of them (see `daemon.exchange.Request`)."""

    __slots__ = ("_fields", "fields", "method", "raw_path", "visitor")
    length = 0

    def __init__(self, method: str, raw_path: str, fields: Fields, visitor: "Visitor") -> None:
        self.method, self.raw_path, self.visitor = method, raw_path, visitor
        self.fields, self._fields = fields.inbound, fields

    @property
    def transport(self) -> asyncio.Transport | None:
        return self.visitor.transport

    @property
    def up(self) -> Upward:
        return self._fields.up

    async def incoming(self) -> AsyncIterator[bytes]:
        """There is none."""
        for part in list[bytes]():
            yield part

    async def begin(self, head: Head) -> "PlainResponse":
        bodiless = self.method == "HEAD" or head.status in EMPTY_STATUS
        chunked = not bodiless and not any(name.lower() == "content-length" for name, _ in head.pairs)
        response = PlainResponse(self.visitor, head, chunked=chunked)
        asyncio.get_running_loop().call_soon(response.flush)
        return response

    async def answer(self, head: Head, body: bytes) -> "PlainResponse":
        response = PlainResponse(self.visitor, head, chunked=False)
        response.send(body)
        if self.visitor.writing_paused:
            await self.visitor.drained()
        return response


class PlainResponse:
    """The answer to one. Its head leaves with the first part of the body, or as soon as nothing else is to be done."""

    __slots__ = ("_head", "chunked", "visitor")

    def __init__(self, visitor: "Visitor", head: Head, *, chunked: bool) -> None:
        self.visitor, self.chunked = visitor, chunked
        more = b"Transfer-Encoding: chunked\r\n" if chunked else b""
        if visitor.is_last:
            more += b"Connection: close\r\n"
        self._head = head.sent + more + b"\r\n"

    async def write(self, data: bytes) -> None:
        if self.chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.send(data)
        if self.visitor.writing_paused:
            await self.visitor.drained()

    async def write_eof(self) -> None:
        self.send(b"0\r\n\r\n" if self.chunked else b"")

    def send(self, data: bytes) -> None:
        """Send it as it is. Raises ConnectionResetError where the client is gone."""
        transport = self.visitor.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            transport.write(data)

    def flush(self) -> None:
        """Let the head leave, if it has not yet."""
        transport = self.visitor.transport
        if self._head and transport is not None and not transport.is_closing():
            self.send(b"")
