"""A listening TCP socket and the HTTP connections that it accepts."""

import asyncio
import socket

from hfproxy.daemon.listen.aiohttp_http import Handler, HttpDispatcher
from hfproxy.daemon.listen.connection import ClientConnection
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.runtime.sockets import BACKLOG


class HttpListener:
    """Started once, and stopped in steps: `stop_accepting`, `serve_accepted`, `drain`."""

    def __init__(self, listener: socket.socket, limiter: ConnectionLimiter, handle: Handler) -> None:
        """Listen on a bound socket; `handle` answers each request."""
        self._listener, self._limiter = listener, limiter
        self._dispatcher = HttpDispatcher(handle)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept connections."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self._dispatcher, self._limiter), sock=self._listener, backlog=BACKLOG
        )

    def stop_accepting(self) -> None:
        """Close the listening socket; accepted connections stay open."""
        if self._server is not None:
            self._server.close()

    async def serve_accepted(self) -> None:
        """Wait until the connections that were accepted last have sent their first request, for about a second."""
        await self._limiter.serve_accepted()

    async def drain(self, timeout_s: float) -> None:
        """Close the listener, and every connection after the response under way, within `timeout_s`."""
        self.stop_accepting()
        await asyncio.gather(self._limiter.drain(timeout_s), self._dispatcher.shutdown(timeout_s))
