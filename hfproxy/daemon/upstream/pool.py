"""Connections to the Hub for what has no body to send, kept open and used one request at a time.

Nearly all that clients ask are GETs and HEADs, and of what one costs here aiohttp's session is the largest part: three
times as much as reading, deciding and writing down together (`make bench`, the cost table). So these requests go over
connections of our own: aiohttp's protocol and its C parser, as strict as in the session, and nothing around them; and
not even these for an answer that comes in one piece (`daemon.one_piece`).
Whatever has a body, or goes by way of a corporate proxy, takes the session.
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from hfproxy.core.http.headers import WIRE_CODEC, UpstreamHeaders
from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.daemon.upstream.connection import UpstreamConnection
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.errors import UpstreamError

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
CONNECT_SECONDS: Final = 10
# Load balancers close what is idle after a minute; what they closed already is asked anew (RFC 9110 §9.2.2).
IDLE_SECONDS: Final = 55
FIRST_FINAL_STATUS: Final = 200
CONNECTION_ERRORS: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class ConnectionPool:
    """The connections to one origin."""

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(origin)
        self._tls = tls if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._host_header = parts.netloc
        self._idle: list[tuple[UpstreamConnection, float]] = []
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop()[0].close()

    async def send(
        self, method: str, raw_target: str, up: UpstreamHeaders, authorization: str | None
    ) -> UpstreamResponse:
        """Ask without a body; returns the answer's head.

        Raises:
            UpstreamError: something would be more than one line.
            aiohttp.ClientError, OSError: as its session would.
        """
        asked = self._head(method, raw_target, up, authorization)
        while (link := self._take_idle()) is not None:
            try:
                return await self._exchange(link, method, asked)
            except CONNECTION_ERRORS:
                continue  # it was closed while nobody used it; to read again does no harm
        try:
            return await self._exchange(await self._connect_in_task(), method, asked)
        except CONNECTION_ERRORS:
            return await self._exchange(await self._connect_in_task(), method, asked)

    def _release(self, link: UpstreamConnection, whole: bool) -> None:
        """Keep a connection for the next request, if its answer was read to the end and it may be used again."""
        if whole and not link.should_close:
            self._idle.append((link, self._loop.time()))
        else:
            link.abort()

    def _take_idle(self) -> UpstreamConnection | None:
        """The connection that was used last: what is left over by a burst grows old at the other end."""
        now = self._loop.time()
        while self._idle and self._idle[0][1] < now - IDLE_SECONDS:
            self._idle.pop(0)[0].close()
        while self._idle:
            link, _ = self._idle.pop()
            if link.transport is not None and not link.should_close:
                return link
            link.close()
        return None

    async def _connect_in_task(self) -> UpstreamConnection:
        return await self._loop.create_task(self._connect())  # whoever asks may be in no task (`daemon.driven`)

    async def _connect(self) -> UpstreamConnection:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, link = await self._loop.create_connection(
                lambda: UpstreamConnection(self._loop, self._release),
                self._host,
                self._port,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        return link

    def _head(self, method: str, raw_target: str, up: UpstreamHeaders, authorization: str | None) -> bytes:
        proof = "" if authorization is None else f"Authorization: {authorization}\r\n"
        text = f"{method} {raw_target} HTTP/1.1\r\nHost: {self._host_header}\r\n{up.serialize}{proof}\r\n"
        count = len(up.pairs) + (3 if authorization is None else 4)
        if text.count("\n") != count or text.count("\r") != count:
            raise UpstreamError(f"a header of this request is more than one line; nothing was sent{SEE_AUDIT}")
        return text.encode(*WIRE_CODEC)

    async def _exchange(self, link: UpstreamConnection, method: str, asked: bytes) -> UpstreamResponse:
        try:
            answer = await link.send_request(asked, bodiless=method == "HEAD")
            if answer is None:
                message, content = await link.read()
                while message.code < FIRST_FINAL_STATUS and message.code != 101:  # 100 and 103 come before the answer
                    message, content = await link.read()
                answer = UpstreamResponse.of(message.code, tuple(message.headers.items()), content)
        except BaseException as error:
            link.abort()
            if isinstance(error, HttpProcessingError):  # it may quote the answer
                raise aiohttp.ClientPayloadError from None
            raise
        answer.connection = link
        return answer
