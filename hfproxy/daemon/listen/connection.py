"""One connection of the data plane, before it has asked for anything.

The kernel is asked at once whose it is. Strangers get their no by HTTP as everybody does, but only some at a time, and
whoever does not come to the point is let go: the port is for the users' programs, and nobody may fill it up
(docs/threat-model.md#t25). What is no HTTP is answered and not logged: the line would be whatever anybody wants in our
log.
"""

import asyncio
import os
from typing import Final

import structlog
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol

from hfproxy.daemon.listen.aiohttp_http import AiohttpProtocol, HttpDispatcher
from hfproxy.daemon.listen.fast_http import FastRequest
from hfproxy.daemon.listen.limits import MAX_CONTAINER_CONNECTIONS, MAX_FOREIGN_CONNECTIONS, ConnectionLimiter
from hfproxy.daemon.runtime import peer_uid
from hfproxy.daemon.runtime.eager import EagerCoroutine
from hfproxy.daemon.runtime.peer_uid import Peer

log = structlog.get_logger()

# How long the head of the first request may take; programs of this machine need milliseconds.
HEAD_SECONDS: Final = 20
# Of what a client sends before it has the answer to what it asked.
MAX_PIPELINED_BYTES: Final = 64 * 1024


class ClientConnection(BaseProtocol):
    """A connection, and who is at its other end.

    It answers plain requests itself. The first one that is not hands it over to aiohttp's server, for good.
    """

    __slots__ = (
        "_aiohttp",
        "_dispatcher",
        "_is_trusted",
        "_limiter",
        "_pipelined",
        "_running",
        "_timer",
        "closing",
        "peer",
    )

    def __init__(self, dispatcher: HttpDispatcher, limiter: ConnectionLimiter) -> None:
        super().__init__(asyncio.get_running_loop())
        self._dispatcher, self._limiter = dispatcher, limiter
        self._aiohttp: AiohttpProtocol | None = None
        self._running: EagerCoroutine | None = None
        self._pipelined = b""
        self._timer: asyncio.TimerHandle | None = None
        self.closing = False
        self.peer: Peer | None = None
        self._is_trusted = False  # a guest, or the daemon's own user; a group's members may change

    @property
    def is_admitted(self) -> bool:
        """Whether it belongs to somebody who is served, or came from a container, whose credential will show whose."""
        return self._is_trusted or (self.peer is not None and self._limiter.members.allows(self.peer.uid))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if here is None or there is None:  # gone before they were let in; what is raised here would leave them open
            self.abort()
            return
        if self._limiter.container:
            self._is_trusted = not peer_uid.is_local(there[0])
        else:
            self.peer = peer_uid.tcp_peer(here, there)
            self._is_trusted = self.peer is not None and self.peer.uid == os.getuid()
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.abort)
        self._limiter.add(self)
        if self._limiter.container or not self.is_admitted:
            self._limiter.unauthenticated.add(self)
            if len(self._limiter.unauthenticated) > (
                MAX_CONTAINER_CONNECTIONS if self._limiter.container else MAX_FOREIGN_CONNECTIONS
            ):
                self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.head_received()
        self._limiter.remove(self)
        super().connection_lost(exc)
        if self._running is not None:
            self._running.cancel()
        if self._aiohttp is not None:
            self._aiohttp.connection_lost(exc)

    def head_received(self) -> None:
        """The head of a request is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._limiter.request_started(self)

    def abort(self) -> None:
        """Break it off."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._aiohttp is not None:
            self._aiohttp.data_received(data)
        elif self._running is not None:
            self._buffer_pipelined(data)
        elif (request := self._dispatcher.header_cache.parse(data, self)) is not None:
            self._running = EagerCoroutine(self._answer(request))
            self._running.resume()
        else:
            self._switch_to_aiohttp(data)

    def eof_received(self) -> None:
        if self._aiohttp is not None:
            self._aiohttp.eof_received()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._aiohttp is not None:
            self._aiohttp.pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._aiohttp is not None and self._aiohttp.writing_paused:
            self._aiohttp.resume_writing()

    async def drained(self) -> None:
        """Wait while the client is slow."""
        await self._drain_helper()

    async def drain(self, seconds: float) -> None:
        """Answer what was asked, for so long at most, and nothing more."""
        self.closing = True
        if self._running is not None:
            await self._running.join(seconds)
        if self._aiohttp is None and self.transport is not None:
            self.transport.close() if self._running is None else self.transport.abort()

    def _buffer_pipelined(self, data: bytes) -> None:
        """The next request came before this one's answer."""
        self._pipelined += data
        if len(self._pipelined) > MAX_PIPELINED_BYTES and self.transport is not None:
            self.transport.pause_reading()

    async def _answer(self, request: FastRequest) -> None:
        try:
            said = await self._dispatcher.handle(request)
            if isinstance(said, web.Response):
                await self._dispatcher.send_local(request, said)
        except ConnectionError:
            self.abort()
        except Exception:
            log.exception("request_failed")
            self.abort()
        finally:
            self._running = None
        if self.closing and self.transport is not None:
            self.transport.close()
        elif self._pipelined and self.transport is not None:
            self.transport.resume_reading()
            data, self._pipelined = self._pipelined, b""
            self.data_received(data)

    def _switch_to_aiohttp(self, data: bytes) -> None:
        self._aiohttp = self._dispatcher.make_aiohttp_protocol(self)
        if self.transport is not None:
            self._aiohttp.connection_made(self.transport)
        if self.writing_paused:
            self._aiohttp.pause_writing()
        self._aiohttp.data_received(data)
