"""Answers of the Hub that come in one piece: their head and all of their body in what one look at the socket gave.

Most are, and then a parser that could wait for more, and a body that is read as it comes, cost more than the decision
(`make bench`). Nothing is read more leniently for that: the form below leaves no choice, and whatever does not fit it
is left to aiohttp's parser, which also finds the words for what is no HTTP at all. Most lines of a head were in an
answer before, and are known again.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import aiohttp
from aiohttp.client_proto import ResponseHandler

from hfproxy.core.headers import WIRE_CODEC, may_come_down
from hfproxy.daemon.driven import DirectFuture
from hfproxy.daemon.reply import READ_FIELDS, UpstreamResponse

# Signed storage addresses and xet tokens are long: 64 000 characters are documented (hub-wire §4).
MAX_HEADER_BYTES: Final = 256 * 1024
END: Final = b"\r\n\r\n"
VALUE: Final = r"[\t -~\x80-\U0010ffff]*"  # all but control characters
# Without 204 and 304, which have no body whatever they say, and what comes before the answer (RFC 9110 §15).
STATUS: Final = re.compile(rf"HTTP/1\.1 ((?!204|304)[2-5][0-9][0-9]) {VALUE}")
FIELD: Final = re.compile(rf"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*({VALUE})")
UNSUPPORTED_FIELDS: Final = frozenset({"transfer-encoding", "upgrade", "trailer"})
KEEP_ALIVE: Final = "keep-alive"
# As many as aiohttp's parser takes.
MAX_HEADERS: Final = 128
# Not to be known again: what is worth something to whoever has it, and what is another one each time.
UNCACHED_FIELDS: Final = frozenset({"set-cookie", "x-xet-access-token", "location", "link", "x-request-id"})
# Lines of heads that are known again, and how long one may be for it.
CACHE_SIZE: Final = 1024
MAX_CACHED_BYTES: Final = 256


class _HeaderLine(NamedTuple):
    """A line of a head: itself, if it goes to the client; the field's name, if that is `ASKED` for; its value."""

    for_client: tuple[str, str] | None
    name: str | None
    value: str


Read = TypeVar("Read", int, _HeaderLine)
_statuses: Final[dict[str, int]] = {}
_lines: Final[dict[str, _HeaderLine]] = {}


def parse_buffered_response(data: bytes, *, bodiless: bool) -> UpstreamResponse | None:
    """The answer, if this is one, whole and nothing more; None: that is for aiohttp to say. `bodiless`: to a HEAD."""
    end = data.find(END)
    if not 0 < end <= MAX_HEADER_BYTES:
        return None
    first, *lines = data[:end].decode(*WIRE_CODEC).split("\r\n")
    status = _statuses.get(first) or _status(first)
    if status is None or len(lines) > MAX_HEADERS:
        return None
    down: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    for text in lines:
        line = _lines.get(text) or _line(text)
        if line is None:
            return None
        pair, name, value = line
        if pair is not None:
            down.append(pair)
        if name is not None:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    body = data[end + len(END) :]
    if not _has_complete_body(body, fields.get("content-length", ""), bodiless=bodiless):
        return None
    return UpstreamResponse(status, tuple(down), fields, body)


def _line(text: str) -> _HeaderLine | None:
    found = FIELD.fullmatch(text)
    if found is None:
        return None
    spelled, value = found[1], found[2].rstrip("\t ")
    name = spelled.lower()
    if name in UNSUPPORTED_FIELDS or (name == "connection" and value.lower() != KEEP_ALIVE):
        return None
    line = _HeaderLine(
        (spelled, value) if may_come_down(spelled) else None, name if name in READ_FIELDS else None, value
    )
    if name not in UNCACHED_FIELDS:
        _remember(_lines, text, line)
    return line


def _status(text: str) -> int | None:
    found = STATUS.fullmatch(text)
    if found is None:
        return None
    status = int(found[1])
    _remember(_statuses, text, status)
    return status


def _remember(known: dict[str, Read], text: str, read: Read) -> None:
    if len(text) > MAX_CACHED_BYTES:
        return
    if len(known) >= CACHE_SIZE:
        known.pop(next(iter(known)))
    known[text] = read


def _has_complete_body(body: bytes, length: str, *, bodiless: bool) -> bool:
    """Whether this is the body; two lengths are one list, which is no number."""
    if bodiless:
        return not body and length.isascii() and length.isdigit()
    return length == str(len(body))


class UpstreamConnection(ResponseHandler):
    """A connection to the Hub that is asked one thing at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take_back: Callable[["UpstreamConnection", bool], None]
    ) -> None:
        """`take_back` is told when it is not needed any more, and whether the answer was read to its end."""
        super().__init__(loop)
        self._take_back = take_back
        self._response_waiter: DirectFuture[UpstreamResponse | None] | None = None
        self._bodiless = False

    def send_request(self, head: bytes, *, bodiless: bool) -> DirectFuture[UpstreamResponse | None]:
        """Send a request without a body. Its answer is awaited where that comes in one piece; else it is to be `read`.

        Raises, when it is awaited or at once:
            aiohttp.ServerDisconnectedError: the connection is gone, or went before the answer.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        asked: DirectFuture[UpstreamResponse | None] = DirectFuture()
        self._response_waiter = asked
        self._bodiless = bodiless
        self.transport.write(head)
        return asked

    def release(self, *, whole: bool) -> None:
        """Nobody asks it any more; `whole`: the answer was read to its end."""
        self._take_back(self, whole)

    def detach_transport(self) -> asyncio.Transport:
        """The connection, to whoever takes the rest of a body; the parser, which is in the middle of it, is let go.

        Raises:
            aiohttp.ServerDisconnectedError: the connection is gone.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self._parser = self._payload = None
        return self.transport

    def data_received(self, data: bytes) -> None:
        """The beginning of an answer is looked at here; all else is aiohttp's."""
        asked, self._response_waiter = self._response_waiter, None
        if asked is None:
            super().data_received(data)
        elif (answer := parse_buffered_response(data, bodiless=self._bodiless)) is not None:
            asked.set_result(answer)
        else:
            self.set_response_params(
                skip_payload=self._bodiless,
                read_until_eof=True,
                auto_decompress=False,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )
            super().data_received(data)
            asked.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Whoever waits for an answer is told."""
        super().connection_lost(exc)
        asked, self._response_waiter = self._response_waiter, None
        if asked is not None:
            asked.set_exception(aiohttp.ServerDisconnectedError())
