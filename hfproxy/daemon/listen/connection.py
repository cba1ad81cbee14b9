"""A client connection: the user at its other end, and the parser that reads its requests.

The kernel is asked for the peer's uid when the connection is accepted. A connection of another user is served far
enough to be refused by HTTP, `MAX_FOREIGN_CONNECTIONS` at a time; a connection that sends no complete request head
within `HEAD_SECONDS` is aborted, so that no local user can occupy the port (docs/threat-model.md#t25). Bytes that are
not HTTP are answered and not logged: a log line must not be whatever a stranger sends.
"""

import asyncio
import os
from typing import Final

import structlog
from aiohttp import web

from hfproxy.daemon.aiohttp_internals import FlowControlProtocol
from hfproxy.daemon.listen.aiohttp_http import AiohttpProtocol, HttpDispatcher
from hfproxy.daemon.listen.fast_http import FastRequest
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.runtime import peer_uid
from hfproxy.daemon.runtime.eager import EagerCoroutine
from hfproxy.daemon.runtime.peer_uid import Peer

log = structlog.get_logger()

# Until the first request's head is complete; programs of this machine need milliseconds.
HEAD_SECONDS: Final = 20
# Of pipelined requests, sent before the response to the one that is running.
MAX_PIPELINED_BYTES: Final = 64 * 1024


class ClientConnection(FlowControlProtocol):
    """The protocol of an accepted connection.

    Plain requests (`fast_http`) are parsed and answered here, one at a time. The first request that is not plain
    switches the connection to aiohttp's server, for good: from then on this protocol only passes events on.

    Attributes:
        closing: Whether the daemon is draining: the connection closes after the response under way.
        peer: The process at the other end; None where the kernel cannot tell, as behind a bridge.
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
        self._is_trusted = False  # the daemon's own user, or a container; a group's membership may change meanwhile

    @property
    def is_admitted(self) -> bool:
        """Whether the peer is a user that this daemon serves, or a container, whose credential will tell the user."""
        return self._is_trusted or (self.peer is not None and self._limiter.members.allows(self.peer.uid))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if local is None or remote is None:
            # The client was gone before it was accepted. An exception raised here would leak the descriptor.
            self.abort()
            return
        if self._limiter.container:
            self._is_trusted = not peer_uid.is_local(remote[0])
        else:
            self.peer = peer_uid.tcp_peer(local, remote)
            self._is_trusted = self.peer is not None and self.peer.uid == os.getuid()
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.abort)
        is_within_limit = self._limiter.add(self, is_authenticated=self.is_admitted and not self._limiter.container)
        if not is_within_limit:
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
        """Stop the timer on the first request's head."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._limiter.request_started(self)

    def abort(self) -> None:
        """Close the connection at once; what is in the write buffer is dropped."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._aiohttp is not None:
            self._aiohttp.data_received(data)
        elif self._running is not None:
            self._buffer_pipelined(data)
        elif (request := self._dispatcher.header_cache.parse(data, self)) is not None:
            # Assigned before it runs: it may end, and clear this, before `resume` returns.
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

    async def drain(self, timeout_s: float) -> None:
        """Finish the response under way, within `timeout_s`, and close. aiohttp closes its own connections."""
        self.closing = True
        if self._running is not None:
            await self._running.join(timeout_s)
        if self._aiohttp is None and self.transport is not None:
            self.transport.close() if self._running is None else self.transport.abort()

    def _buffer_pipelined(self, data: bytes) -> None:
        """Keep the beginning of the next request until the response under way is sent."""
        self._pipelined += data
        if len(self._pipelined) > MAX_PIPELINED_BYTES and self.transport is not None:
            self.transport.pause_reading()

    async def _answer(self, request: FastRequest) -> None:
        """Answer one plain request, then take up the next, if it is there already."""
        try:
            response = await self._dispatcher.handle(request)
            if isinstance(response, web.Response):
                await self._dispatcher.send_local(request, response)
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
        """Replay to aiohttp's protocol what has happened so far, in the order in which a transport would tell it."""
        self._aiohttp = self._dispatcher.make_aiohttp_protocol(self)
        if self.transport is not None:
            self._aiohttp.connection_made(self.transport)
        if self.writing_paused:
            self._aiohttp.pause_writing()
        self._aiohttp.data_received(data)
