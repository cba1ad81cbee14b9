"""Connections to the Hub for what has no body to send, kept open and used one request at a time.

Nearly all that clients ask are GETs and HEADs, and of what one costs here aiohttp's session is the largest part: three
times as much as reading, deciding and writing down together (`make bench`, the cost table). So these requests go over
connections of our own: aiohttp's protocol and its C parser, as strict as in the session, and nothing around them; and
not even these for an answer that comes in one piece (`daemon.one_piece`).
Whatever has a body, or goes by way of a corporate proxy, takes the session.
"""

import asyncio
import ssl
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy

from hfproxy.core.access import LOOK
from hfproxy.core.headers import Headers
from hfproxy.daemon.one_piece import LATIN, Body, Link
from hfproxy.errors import UpstreamError

SAFE: Final = frozenset({"GET", "HEAD"})
CONNECT_SECONDS: Final = 10
# Load balancers close what is idle after a minute; what they closed already is asked anew (RFC 9110 §9.2.2).
IDLE_SECONDS: Final = 55
FINAL: Final = 200
BROKEN: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class Reply:
    """The head of an answer; `content` is the body as it comes. Leaving it gives the connection back."""

    __slots__ = ("_link", "_links", "content", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: CIMultiDictProxy[str],
        content: aiohttp.StreamReader | Body,
        link: Link,
        links: "Links",
    ) -> None:
        self.status, self.headers, self.content = status, headers, content
        self._link, self._links = link, links

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """How long the body says it is."""
        length = self.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() else None

    async def read(self) -> bytes:
        """The whole body."""
        return await self.content.read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._links.take_back(self._link, whole=self.content.is_eof())


class Links:
    """The connections to one origin."""

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(origin)
        self._tls = tls if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._named = parts.netloc
        self._idle: list[tuple[Link, float]] = []

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop()[0].close()

    async def send(self, method: str, raw_target: str, headers: Headers) -> Reply:
        """Ask without a body; returns the answer's head.

        Raises:
            UpstreamError: a header that would be more than one line.
            aiohttp.ClientError, OSError: as its session would.
        """
        head = self._head(method, raw_target, headers)
        while (link := self._kept()) is not None:
            try:
                return await self._ask(link, method, head)
            except BROKEN:
                continue  # it was closed while nobody used it; to read again does no harm
        try:
            return await self._ask(await self._open(), method, head)
        except BROKEN:
            return await self._ask(await self._open(), method, head)

    def take_back(self, link: Link, *, whole: bool) -> None:
        """Keep a connection for the next request, if its answer was read to the end and it may be used again."""
        if whole and not link.should_close:
            self._idle.append((link, asyncio.get_running_loop().time()))
        else:
            link.abort()

    def _kept(self) -> Link | None:
        """The connection that was used last: what is left over by a burst grows old at the other end."""
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0][1] < now - IDLE_SECONDS:
            self._idle.pop(0)[0].close()
        while self._idle:
            link, _ = self._idle.pop()
            if link.is_connected() and not link.should_close:
                return link
            link.close()
        return None

    async def _open(self) -> Link:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            _, link = await loop.create_connection(
                lambda: Link(loop),
                self._host,
                self._port,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        return link

    async def _ask(self, link: Link, method: str, head: bytes) -> Reply:
        try:
            answer = await link.ask(head, bodiless=method == "HEAD")
            if answer is not None:
                return Reply(*answer, link, self)
            message, content = await link.read()
            while message.code < FINAL and message.code != 101:  # 100 and 103 come before the answer
                message, content = await link.read()
        except BaseException as error:
            link.abort()
            if isinstance(error, HttpProcessingError):  # it may quote the answer
                raise aiohttp.ClientPayloadError from None
            raise
        return Reply(message.code, message.headers, content, link, self)

    def _head(self, method: str, raw_target: str, headers: Headers) -> bytes:
        lines = [f"{method} {raw_target} HTTP/1.1\r\nHost: {self._named}"]
        lines += [f"{name}: {value}" for name, value in headers]
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) or text.count("\r") != len(lines):
            raise UpstreamError(f"a header of this request is more than one line; nothing was sent{LOOK}")
        return f"{text}\r\n\r\n".encode(*LATIN)
