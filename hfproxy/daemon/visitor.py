"""One connection of the data plane, before it has asked for anything.

The kernel is asked at once whose it is. Strangers get their no by HTTP as everybody does, but only some at a time, and
whoever does not come to the point is let go: the port is for the users' programs, and nobody may fill it up (threats
T25). What is no HTTP is answered and not logged: the line would be whatever anybody wants in our log.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from hfproxy.daemon import peers
from hfproxy.daemon.members import Members
from hfproxy.daemon.peers import Peer

# How long the head of the first request may take; programs of this machine need milliseconds.
HEAD_SECONDS: Final = 20
# Connections of other users that are heard at the same time.
MAX_STRANGERS: Final = 16
SETTLE_SECONDS: Final = 1
# What was accepted is a visitor only some turns of the event loop later.
ACCEPTED_SECONDS: Final = 0.05
SERVER_ERROR: Final = 500


class Door:
    """Who is let in: those who are served, and some strangers at a time, to be told no."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self.strangers: set[Visitor] = set()
        self._waiting: set[Visitor] = set()
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()

    def came(self, visitor: "Visitor") -> None:
        """Somebody is there, who has said nothing yet."""
        self._waiting.add(visitor)
        self._nobody_waits.clear()

    def heard(self, visitor: "Visitor") -> None:
        """They have come to the point, or gone."""
        self._waiting.discard(visitor)
        if not self._waiting:
            self._nobody_waits.set()

    async def settle(self) -> None:
        """Once nobody new is let in: hear those that have just come, who would else be sent away without an answer."""
        await asyncio.sleep(ACCEPTED_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._nobody_waits.wait()


class Visitor(web.RequestHandler):
    """A connection, and who is at its other end."""

    __slots__ = ("_door", "_timer", "peer")

    def __init__(self, server: web.Server, door: Door, **settings: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self._door = door
        self._timer: asyncio.TimerHandle | None = None
        self.peer: Peer | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to somebody who is served."""
        return self.peer is not None and self._door.members.admit(self.peer.uid)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = peers.look_up(transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.force_close)
        self._door.came(self)
        if not self.is_ours:
            self._door.strangers.add(self)
            if len(self._door.strangers) > MAX_STRANGERS:
                self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.came_to_the_point()
        self._door.strangers.discard(self)
        super().connection_lost(exc)

    def came_to_the_point(self) -> None:
        """The head of a request is there."""
        self._door.heard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
