"""Who answers a visitor: the data plane, by way of aiohttp's server for what is not plain.

Plain requests come from `daemon.visitor` directly; for the others there is a server of aiohttp behind each connection.
Both are handed to the same function.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from hfproxy.core.admission import Inbound
from hfproxy.core.headers import Upward, upward
from hfproxy.daemon.exchange import Head, Request, Response
from hfproxy.daemon.one_piece import MAX_HEADER_BYTES
from hfproxy.daemon.plain import Heads, PlainRequest
from hfproxy.daemon.visitor import Visitor

SERVER_ERROR: Final = 500


class Reception:
    """What all visitors have in common: who answers them, and how their requests are read."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response | web.Response]]) -> None:
        self.answer = answer
        self._requests = web.Server(self._serve, handler_cancellation=True)
        self.heads = Heads()

    def server(self, visitor: Visitor) -> "Handler":
        """aiohttp's server for one connection."""
        return Handler(self._requests, visitor)

    async def say(self, request: PlainRequest, said: web.Response) -> None:
        """Answer a plain request in words of our own."""
        body = said.body if isinstance(said.body, bytes) else b""
        head = Head(said.status, (*said.headers.items(), ("Content-Length", str(len(body)))))
        await request.answer(head, b"" if request.method == "HEAD" else body)

    async def shut(self, seconds: float) -> None:
        """Let aiohttp's connections finish; the idle ones have, and are not waited for."""
        self._requests.pre_shutdown()
        await self._requests.shutdown(seconds)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        said = await self.answer(Served(request))
        assert isinstance(said, web.StreamResponse)
        return said


class Served:
    """A request that aiohttp's server has read (see `daemon.exchange.Request`)."""

    __slots__ = ("_request", "fields", "method", "raw_path")

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self.method, self.raw_path = request.method, request.raw_path
        self.fields = Inbound.of(request.headers.items())

    @property
    def visitor(self) -> Visitor | None:
        handler = self._request.protocol
        return handler.visitor if isinstance(handler, Handler) else None

    @property
    def transport(self) -> asyncio.Transport | None:
        return self._request.transport

    @property
    def up(self) -> Upward:
        return upward(self._request.headers.items())

    @property
    def length(self) -> int | None:
        return self._request.content_length if self._request.can_read_body else 0

    async def incoming(self) -> AsyncIterator[bytes]:
        """A client that waits for it (`Expect: 100-continue`) is told to send it: nothing refused it so far."""
        if self.fields.one("expect").lower() == "100-continue" and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for part in self._request.content.iter_any():
            yield part

    async def begin(self, head: Head) -> web.StreamResponse:
        response = web.StreamResponse(status=head.status)
        for name, value in head.pairs:
            response.headers.add(name, value)
        await response.prepare(self._request)
        return response

    async def answer(self, head: Head, body: bytes) -> web.StreamResponse:
        response = await self.begin(head)
        if body:
            await response.write(body)
        await response.write_eof()
        return response


class Handler(web.RequestHandler):
    """aiohttp's server for a visitor."""

    __slots__ = ("visitor",)

    def __init__(self, server: web.Server, visitor: Visitor) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # its annotation forgets what its documentation has
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        self.visitor = visitor

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
