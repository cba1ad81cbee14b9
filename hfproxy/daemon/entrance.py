"""A listening socket of the data plane, and what serves it."""

import asyncio
import socket

from hfproxy.daemon.proxy import DataPlane
from hfproxy.daemon.reception import Reception
from hfproxy.daemon.service import BACKLOG
from hfproxy.daemon.visitor import Door, Visitor


class Entrance:
    """Opened once, and closed in steps: nobody new, then those who have just come, then what is running."""

    def __init__(self, listener: socket.socket, door: Door, plane: DataPlane) -> None:
        self._listener, self._door = listener, door
        self._reception = Reception(plane.serve)
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to serve."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Visitor(self._reception, self._door), sock=self._listener, backlog=BACKLOG
        )

    def refuse_new(self) -> None:
        """Nobody new; who was let in stays."""
        if self._server is not None:
            self._server.close()

    async def settle(self) -> None:
        """Hear those who have just come."""
        await self._door.settle()

    async def close(self, seconds: float) -> None:
        """Close, and let what is running go on for so long."""
        self.refuse_new()
        await asyncio.gather(self._door.close(seconds), self._reception.shut(seconds))
