"""A pool of keep-alive connections to one origin, for requests without a body.

Most requests are GETs and HEADs, and for these aiohttp's session costs more than parsing, deciding and journalling
together (`make bench` prints the figures). The pool uses aiohttp's protocol and its C parser, which are as strict as in
the session, without the session's layers around them; `UpstreamConnection` skips even the parser for a response that
arrives in one buffer. Requests with a body, and requests through a corporate proxy, use the session
(`daemon.upstream.client`).
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from hfproxy.core.http.headers import WIRE_CODEC, UpstreamHeaders
from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.daemon.aiohttp_internals import HttpProcessingError
from hfproxy.daemon.runtime.eager import needs_task
from hfproxy.daemon.upstream.connection import UpstreamConnection
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.errors import UpstreamError

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
CONNECT_SECONDS: Final = 10
# Load balancers close idle connections after a minute. A request over one that was closed already is sent again,
# which safe methods allow (RFC 9110 §9.2.2).
IDLE_SECONDS: Final = 55
FIRST_FINAL_STATUS: Final = 200
CONNECTION_ERRORS: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class ConnectionPool:
    """Idle connections to one origin, each used for one request at a time."""

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(origin)
        self._tls = tls if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._tls else 80)
        self._host_header = parts.netloc
        self._idle: list[tuple[UpstreamConnection, float]] = []
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop()[0].close()

    async def send(
        self, method: str, raw_target: str, headers: UpstreamHeaders, authorization: str | None
    ) -> UpstreamResponse:
        """Send a request without a body; return as soon as the response head is there.

        Raises:
            UpstreamError: a header or the target contains a line break.
            aiohttp.ClientError, OSError: the connection failed, or the response is not valid HTTP.
        """
        head = self._request_head(method, raw_target, headers, authorization)
        while (connection := self._take_idle()) is not None:
            try:
                return await self._exchange(connection, method, head)
            except CONNECTION_ERRORS:
                continue  # the Hub closed it while it was idle
        try:
            return await self._exchange(await self._connect(), method, head)
        except CONNECTION_ERRORS:  # a safe method may be sent again (RFC 9110 §9.2.2)
            return await self._exchange(await self._connect(), method, head)

    def _release(self, connection: UpstreamConnection, whole: bool) -> None:
        """Keep a connection for the next request if its response was read to the end and it can be used again."""
        if whole and not connection.should_close:
            self._idle.append((connection, self._loop.time()))
        else:
            connection.abort()

    def _take_idle(self) -> UpstreamConnection | None:
        """Return the idle connection that was used last, so that the surplus of a burst stays idle and is closed."""
        now = self._loop.time()
        while self._idle and self._idle[0][1] < now - IDLE_SECONDS:
            self._idle.pop(0)[0].close()
        while self._idle:
            connection, _ = self._idle.pop()
            if connection.transport is not None and not connection.should_close:
                return connection
            connection.close()
        return None

    @needs_task  # asyncio.timeout
    async def _connect(self) -> UpstreamConnection:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await self._loop.create_connection(
                lambda: UpstreamConnection(self._loop, self._release),
                self._host,
                self._port,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
        return connection

    def _request_head(self, method: str, raw_target: str, headers: UpstreamHeaders, authorization: str | None) -> bytes:
        field = "" if authorization is None else f"Authorization: {authorization}\r\n"
        text = f"{method} {raw_target} HTTP/1.1\r\nHost: {self._host_header}\r\n{headers.serialize}{field}\r\n"
        # The request line, Host, each header, perhaps Authorization, and the empty line; others are smuggled.
        lines = len(headers.pairs) + (3 if authorization is None else 4)
        if text.count("\n") != lines or text.count("\r") != lines:
            raise UpstreamError(f"a header of this request is more than one line; nothing was sent{SEE_AUDIT}")
        return text.encode(*WIRE_CODEC)

    async def _exchange(self, connection: UpstreamConnection, method: str, head: bytes) -> UpstreamResponse:
        try:
            response = await connection.send_request(head, bodiless=method == "HEAD")
            if response is None:
                message, stream = await connection.read()
                # Interim responses such as 100 and 103 precede the final one (RFC 9110 §15.2); 101 is final.
                while message.code < FIRST_FINAL_STATUS and message.code != 101:
                    message, stream = await connection.read()
                response = UpstreamResponse.of(message.code, tuple(message.headers.items()), stream)
        except BaseException as error:
            connection.abort()
            if isinstance(error, HttpProcessingError):  # its message may quote the response
                raise aiohttp.ClientPayloadError from None
            raise
        response.connection = connection
        return response
