"""The HTTP dispatcher of a listener, and aiohttp's server behind it.

`listen.connection` parses simple requests itself and hands any other request to a protocol of aiohttp. Both
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
from hfproxy.daemon.listen.messages import Connection, IncomingRequest, OutgoingResponse, ResponseHead

SERVER_ERROR: Final = 500


# Answers one request.
Handler = Callable[[IncomingRequest], Awaitable[OutgoingResponse | web.Response]]


class HttpDispatcher:
    """What all visitors have in common: who answers them, and how their requests are read."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self._requests = web.Server(self._serve, handler_cancellation=True)
        self.header_cache = HeaderBlockCache()

    def make_aiohttp_protocol(self, connection: Connection) -> "AiohttpProtocol":
        """aiohttp's server for one connection."""
        return AiohttpProtocol(self._requests, connection)

    async def send_local(self, request: FastRequest, said: web.Response) -> None:
        """Answer a plain request in words of our own."""
        body = said.body if isinstance(said.body, bytes) else b""
        head = ResponseHead(said.status, (*said.headers.items(), ("Content-Length", str(len(body)))))
        await request.send_response(head, b"" if request.method == "HEAD" else body)

    async def shutdown(self, seconds: float) -> None:
        """Let aiohttp's connections finish; the idle ones have, and are not waited for."""
        self._requests.pre_shutdown()
        await self._requests.shutdown(seconds)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        said = await self.handle(AiohttpRequest(request))
        assert isinstance(said, web.StreamResponse)
        return said


class AiohttpRequest:
    """A request that aiohttp's server has read (see `daemon.exchange.Request`)."""

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
        """A client that waits for it (`Expect: 100-continue`) is told to send it: nothing refused it so far."""
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
    """aiohttp's server for a connection."""

    __slots__ = ("connection",)

    def __init__(self, server: web.Server, connection: Connection) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # its annotation forgets what its documentation has
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        self.connection = connection

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What a client did wrong is its own affair; what we did is logged."""
        if status >= SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        answer = web.Response(status=status, text="this is not HTTP as hf-proxy reads it\n")
        answer.force_close()
        return answer
