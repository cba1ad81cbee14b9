"""A listening socket of the data plane, and what serves it."""

import asyncio
import socket

from hfproxy.daemon.listen.aiohttp_http import Handler, HttpDispatcher
from hfproxy.daemon.listen.connection import ClientConnection
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.runtime.sockets import BACKLOG


class HttpListener:
    """Opened once, and closed in steps: nobody new, then those who have just come, then what is running."""

    def __init__(self, listener: socket.socket, limiter: ConnectionLimiter, handle: Handler) -> None:
        self._listener, self._limiter = listener, limiter
        self._dispatcher = HttpDispatcher(handle)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to serve."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientConnection(self._dispatcher, self._limiter), sock=self._listener, backlog=BACKLOG
        )

    def stop_accepting(self) -> None:
        """Nobody new; who was let in stays."""
        if self._server is not None:
            self._server.close()

    async def serve_accepted(self) -> None:
        """Hear those who have just come."""
        await self._limiter.serve_accepted()

    async def drain(self, seconds: float) -> None:
        """Close, and let what is running go on for so long."""
        self.stop_accepting()
        await asyncio.gather(self._limiter.drain(seconds), self._dispatcher.shutdown(seconds))
