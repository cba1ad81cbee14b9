"""The HTTP dispatcher of a listener, and aiohttp's server behind it.

`listen.connection` parses plain requests itself and switches to aiohttp's protocol for any other. Requests of both
kinds reach the same handler.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from hfproxy.core.http.headers import UpstreamHeaders, to_upstream
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.core.policy.admission import RequestHeaders
from hfproxy.daemon.listen.fast_http import FastRequest, HeaderBlockCache
from hfproxy.daemon.listen.interface import Connection, IncomingRequest, OutgoingResponse, ResponseHead

FIRST_SERVER_ERROR: Final = 500

# Answers one request: with a response whose head is sent already, or with one of our own that is still to be sent.
Handler = Callable[[IncomingRequest], Awaitable[OutgoingResponse | web.Response]]


class HttpDispatcher:
    """What the connections of one listener share: the handler, the header cache, and aiohttp's server."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self._requests = web.Server(self._serve, handler_cancellation=True)
        self.header_cache = HeaderBlockCache()

    def make_aiohttp_protocol(self, connection: Connection) -> "AiohttpProtocol":
        """Return aiohttp's server protocol for one connection."""
        return AiohttpProtocol(self._requests, connection)

    async def send_local(self, request: FastRequest, response: web.Response) -> None:
        """Send a response that was made here to a plain request; aiohttp does this for its own requests."""
        body = response.body if isinstance(response.body, bytes) else b""
        head = ResponseHead(response.status, (*response.headers.items(), ("Content-Length", str(len(body)))))
        await request.send_response(head, b"" if request.method == "HEAD" else body)

    async def shutdown(self, timeout_s: float) -> None:
        """Let aiohttp's connections finish their responses, within `timeout_s`; close idle ones at once."""
        self._requests.pre_shutdown()
        await self._requests.shutdown(timeout_s)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self.handle(AiohttpRequest(request))
        assert isinstance(response, web.StreamResponse)
        return response


class AiohttpRequest:
    """An `IncomingRequest` that aiohttp's server has parsed."""

    __slots__ = ("_request", "headers", "method", "raw_path")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.method, self.raw_path = request.method, request.raw_path
        self.headers = RequestHeaders.of(request.headers.items())

    @property
    def connection(self) -> Connection | None:
        handler = self._request.protocol
        return handler.connection if isinstance(handler, AiohttpProtocol) else None

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._request.transport

    @property
    def upstream_headers(self) -> UpstreamHeaders:
        return to_upstream(self._request.headers.items())

    @property
    def length(self) -> int | None:
        return self._request.content_length if self._request.can_read_body else 0

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, after `100 Continue` to a client that waits for that (RFC 9110 §10.1.1)."""
        if self.headers.one("expect").lower() == "100-continue" and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for part in self._request.content.iter_any():
            yield part

    async def start_response(self, head: ResponseHead) -> web.StreamResponse:
        response = web.StreamResponse(status=head.status)
        for name, value in head.pairs:
            response.headers.add(name, value)
        await response.prepare(self._request)
        return response

    async def send_response(self, head: ResponseHead, body: bytes) -> web.StreamResponse:
        response = await self.start_response(head)
        if body:
            await response.write(body)
        await response.write_eof()
        return response


class AiohttpProtocol(web.RequestHandler):
    """aiohttp's server side of a connection.

    Attributes:
        connection: The protocol that the transport belongs to, which passes its events on.
    """

    __slots__ = ("connection",)

    def __init__(self, server: web.Server, connection: Connection) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # documented, and missing in the annotation
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        self.connection = connection

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = FIRST_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that cannot be parsed, without logging it; log only our own errors."""
        if status >= FIRST_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=status, text="this is not HTTP as hf-proxy reads it\n")
        response.force_close()
        return response
