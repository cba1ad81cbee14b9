"""Answers of the Hub that come in one piece: their head and all of their body in what one look at the socket gave.

Most are, and then a parser that could wait for more, and a body that is read as it comes, cost more than the decision
(`make bench`). Nothing is read more leniently for that: the form below leaves no choice, and whatever does not fit it
is left to aiohttp's parser, which also finds the words for what is no HTTP at all.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict, CIMultiDictProxy

# Signed storage addresses and xet tokens are long: 64 000 characters are documented (hub-wire §4).
MAX_HEADER_BYTES: Final = 256 * 1024
LATIN: Final = ("utf-8", "surrogateescape")  # how aiohttp reads header bytes, so that they leave as they came
END: Final = b"\r\n\r\n"
VALUE: Final = r"[\t -~\x80-\xff]*"
# Without 204 and 304, which have no body whatever they say, and what comes before the answer (RFC 9110 §15).
HEAD: Final = re.compile(
    rf"HTTP/1\.1 ((?!204|304)[2-5][0-9][0-9]) {VALUE}((?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:{VALUE})+)".encode("latin-1")
)
FIELD: Final = re.compile(r"\r\n([^:\r]+):[\t ]*([^\r]*)")
NOT_PLAIN: Final = ("transfer-encoding", "upgrade", "trailer")
KEEP_ALIVE: Final = "keep-alive"
# As many as aiohttp's parser takes.
MAX_HEADERS: Final = 128


class Body:
    """A body that is there (as much of `aiohttp.StreamReader` as is used of it)."""

    __slots__ = ("_rest",)

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def is_eof(self) -> bool:
        """Whether all of it has come."""
        return True

    def at_eof(self) -> bool:
        """Whether all of it has been read."""
        return not self._rest

    async def read(self) -> bytes:
        """All that has not been read."""
        data, self._rest = self._rest, b""
        return data

    readany = read

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The same."""
        if self._rest:
            yield await self.read()


class OnePiece(NamedTuple):
    """Such an answer."""

    status: int
    headers: CIMultiDictProxy[str]
    content: Body


def read(data: bytes, *, bodiless: bool) -> OnePiece | None:
    """The answer, if this is one, whole and nothing more; None: that is for aiohttp to say. `bodiless`: to a HEAD."""
    end = data.find(END)
    found = HEAD.fullmatch(data, 0, end) if 0 < end <= MAX_HEADER_BYTES else None
    if found is None:
        return None
    headers = CIMultiDict((name, value.rstrip("\t ")) for name, value in FIELD.findall(found[2].decode(*LATIN)))
    lengths = headers.getall("content-length", [])
    body = data[end + len(END) :]
    if len(lengths) != 1 or not _is_whole(body, lengths[0], bodiless=bodiless) or len(headers) > MAX_HEADERS:
        return None
    if any(name in headers for name in NOT_PLAIN) or not _is_kept_open(headers):
        return None
    return OnePiece(int(found[1]), CIMultiDictProxy(headers), Body(body))


def _is_whole(body: bytes, length: str, *, bodiless: bool) -> bool:
    if bodiless:
        return not body and length.isascii() and length.isdigit()
    return length == str(len(body))


def _is_kept_open(headers: CIMultiDict[str]) -> bool:
    return all(value.lower() == KEEP_ALIVE for value in headers.getall("connection", ()))


class Link(ResponseHandler):
    """A connection to the Hub that is asked one thing at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._asked: asyncio.Future[OnePiece | None] | None = None
        self._bodiless = False

    async def ask(self, head: bytes, *, bodiless: bool) -> OnePiece | None:
        """Send a request without a body. Returns its answer where that came in one piece; else it is to be `read`.

        Raises:
            aiohttp.ServerDisconnectedError: the connection is gone, or went before the answer.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self._asked, self._bodiless = self._loop.create_future(), bodiless
        self.transport.write(head)
        return await self._asked

    def data_received(self, data: bytes) -> None:
        """The beginning of an answer is looked at here; all else is aiohttp's."""
        asked, self._asked = self._asked, None
        if asked is None or asked.done():
            super().data_received(data)
        elif (answer := read(data, bodiless=self._bodiless)) is not None:
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
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(aiohttp.ServerDisconnectedError())
