"""A listening socket of the data plane, and what serves it."""

import asyncio
import socket

from aiohttp import web

from hfproxy.daemon.proxy import DataPlane
from hfproxy.daemon.service import BACKLOG
from hfproxy.daemon.upstream import MAX_HEADER_BYTES
from hfproxy.daemon.visitor import Door, Visitor


class Entrance:
    """Opened once, and closed in steps: nobody new, then those who have just come, then what is running."""

    def __init__(self, listener: socket.socket, door: Door, plane: DataPlane) -> None:
        self._listener, self._door = listener, door
        self._requests = web.Server(plane.serve, handler_cancellation=True)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to serve."""
        self._server = await asyncio.get_running_loop().create_server(
            self._visitor, sock=self._listener, backlog=BACKLOG
        )

    def refuse_new(self) -> None:
        """Nobody new. The server stays open: what was accepted needs an open one to become a connection."""
        asyncio.get_running_loop().remove_reader(self._listener)

    async def settle(self) -> None:
        """Hear those who have just come."""
        await self._door.settle()

    async def close(self, seconds: float) -> None:
        """Close, and let what is running go on for so long."""
        if self._server is not None:
            self._server.close()
        self._requests.pre_shutdown()  # or every idle connection would be waited for
        await self._requests.shutdown(seconds)

    def _visitor(self) -> Visitor:
        return Visitor(
            self._requests,
            self._door,
            auto_decompress=False,
            access_log=None,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
