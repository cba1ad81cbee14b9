"""One connection of the data plane, before it has asked for anything.

The kernel is asked at once whose it is. Strangers get their no by HTTP as everybody does, but only some at a time, and
whoever does not come to the point is let go: the port is for the users' programs, and nobody may fill it up (threats
T25). What is no HTTP is answered and not logged: the line would be whatever anybody wants in our log.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol

from hfproxy.core.admission import Inbound
from hfproxy.core.headers import Headers, upward
from hfproxy.daemon import peers
from hfproxy.daemon.exchange import Request, Response
from hfproxy.daemon.links import MAX_HEADER_BYTES
from hfproxy.daemon.members import Members
from hfproxy.daemon.peers import Peer
from hfproxy.daemon.plain import Heads, PlainRequest

log = structlog.get_logger()

# How long the head of the first request may take; programs of this machine need milliseconds.
HEAD_SECONDS: Final = 20
# Connections of other users that are heard at the same time.
MAX_STRANGERS: Final = 16
# Connections of containers, all of them together.
MAX_GUESTS: Final = 256
SETTLE_SECONDS: Final = 1
# What was accepted is a visitor only some turns of the event loop later.
ACCEPTED_SECONDS: Final = 0.05
SERVER_ERROR: Final = 500
# Of what a client sends before it has the answer to what it asked.
EARLY_BYTES: Final = 64 * 1024


class Door:
    """Who is let in: those who are served, and some strangers at a time, to be told no.

    `container`: it leads to a bridge, and the kernel cannot say who is behind it. Whoever is, is let in, so many at a
    time, to show a credential; programs of this machine have another door.
    """

    def __init__(self, members: Members, *, container: bool = False) -> None:
        self.members, self.container = members, container
        self.strangers: set[Visitor] = set()
        self._there: set[Visitor] = set()
        self._waiting: set[Visitor] = set()
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()

    def came(self, visitor: "Visitor") -> None:
        """Somebody is there, who has said nothing yet."""
        self._there.add(visitor)
        self._waiting.add(visitor)
        self._nobody_waits.clear()

    def heard(self, visitor: "Visitor") -> None:
        """They have come to the point, or gone."""
        self._waiting.discard(visitor)
        if not self._waiting:
            self._nobody_waits.set()

    def left(self, visitor: "Visitor") -> None:
        """They are gone."""
        self._there.discard(visitor)
        self.strangers.discard(visitor)

    async def close(self, seconds: float) -> None:
        """Let all that are there have the answers to what they asked, for so long at most."""
        await asyncio.gather(*(visitor.leave(seconds) for visitor in self._there))

    async def settle(self) -> None:
        """Once nobody new is let in: hear those that have just come, who would else be sent away without an answer."""
        await asyncio.sleep(ACCEPTED_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._nobody_waits.wait()


class Visitor(BaseProtocol):
    """A connection, and who is at its other end.

    It answers plain requests itself. The first one that is not hands it over to aiohttp's server, for good.
    """

    __slots__ = ("_door", "_early", "_is_guest", "_reception", "_server", "_task", "_timer", "is_last", "peer")

    def __init__(self, reception: "Reception", door: Door) -> None:
        super().__init__(asyncio.get_running_loop())
        self._reception, self._door = reception, door
        self._server: Handler | None = None
        self._task: asyncio.Task[None] | None = None
        self._early = b""
        self._timer: asyncio.TimerHandle | None = None
        self.is_last = False
        self.peer: Peer | None = None
        self._is_guest = False

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to somebody who is served, or came from a container, whose credential will show whose."""
        return self._is_guest or (self.peer is not None and self._door.members.admit(self.peer.uid))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if self._door.container:
            self._is_guest = not peers.is_local(there[0])
        else:
            self.peer = peers.look_up(here, there)
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.send_away)
        self._door.came(self)
        if self._door.container or not self.is_ours:
            self._door.strangers.add(self)
            if len(self._door.strangers) > (MAX_GUESTS if self._door.container else MAX_STRANGERS):
                self.send_away()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.came_to_the_point()
        self._door.left(self)
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            self._server.connection_lost(exc)

    def came_to_the_point(self) -> None:
        """The head of a request is there."""
        self._door.heard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def send_away(self) -> None:
        """Break it off."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._server is not None:
            self._server.data_received(data)
        elif self._task is not None:
            self._keep(data)
        elif (request := self._reception.heads.read(data, self)) is not None:
            self._task = asyncio.get_running_loop().create_task(self._answer(request))
        else:
            self._hand_over(data)

    def eof_received(self) -> None:
        if self._server is not None:
            self._server.eof_received()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._server is not None:
            self._server.pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._server is not None and self._server.writing_paused:
            self._server.resume_writing()

    async def drained(self) -> None:
        """Wait while the client is slow."""
        if self.writing_paused:
            await self._drain_helper()

    async def leave(self, seconds: float) -> None:
        """Answer what was asked, for so long at most, and nothing more."""
        self.is_last = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
        if self._server is None and self.transport is not None:
            self.transport.close() if self._task is None else self.transport.abort()

    def _keep(self, data: bytes) -> None:
        """The next request came before this one's answer."""
        self._early += data
        if len(self._early) > EARLY_BYTES and self.transport is not None:
            self.transport.pause_reading()

    async def _answer(self, request: PlainRequest) -> None:
        try:
            await self._reception.serve(request)
        except ConnectionError:
            self.send_away()
        except Exception:
            log.exception("request_failed")
            self.send_away()
        finally:
            self._task = None
        if self.is_last and self.transport is not None:
            self.transport.close()
        elif self._early and self.transport is not None:
            self.transport.resume_reading()
            data, self._early = self._early, b""
            self.data_received(data)

    def _hand_over(self, data: bytes) -> None:
        self._server = self._reception.server(self)
        if self.transport is not None:
            self._server.connection_made(self.transport)
        if self.writing_paused:
            self._server.pause_writing()
        self._server.data_received(data)


class Reception:
    """What all visitors have in common: who answers them, and how their requests are read."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response | web.Response]]) -> None:
        self._answer = answer
        self._requests = web.Server(self._serve, handler_cancellation=True)
        self.heads = Heads()

    def server(self, visitor: Visitor) -> "Handler":
        """aiohttp's server for one connection."""
        return Handler(self._requests, visitor)

    async def serve(self, request: PlainRequest) -> None:
        """Answer a plain request."""
        said = await self._answer(request)
        if isinstance(said, web.Response):
            body = said.body if isinstance(said.body, bytes) else b""
            head = (*said.headers.items(), ("Content-Length", str(len(body))))
            response = await request.begin(said.status, head)
            await response.write(b"" if request.method == "HEAD" else body)
            await response.write_eof()

    async def shut(self, seconds: float) -> None:
        """Let aiohttp's connections finish; the idle ones have, and are not waited for."""
        self._requests.pre_shutdown()
        await self._requests.shutdown(seconds)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        said = await self._answer(Served(request))
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
    def up(self) -> Headers:
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

    async def begin(self, status: int, head: Headers) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        for name, value in head:
            response.headers.add(name, value)
        await response.prepare(self._request)
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
