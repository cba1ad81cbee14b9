"""One connection of the data plane, before it has asked for anything.

The kernel is asked at once whose it is. Strangers get their no by HTTP as everybody does, but only some at a time, and
whoever does not come to the point is let go: the port is for the users' programs, and nobody may fill it up (threats
T25). What is no HTTP is answered and not logged: the line would be whatever anybody wants in our log.
"""

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol

from hfproxy.daemon import peers
from hfproxy.daemon.driven import Driven
from hfproxy.daemon.members import Members
from hfproxy.daemon.peers import Peer
from hfproxy.daemon.plain import PlainRequest

if TYPE_CHECKING:
    from hfproxy.daemon.reception import Handler, Reception

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

    __slots__ = ("_door", "_early", "_is_known", "_reception", "_server", "_timer", "_work", "is_last", "peer")

    def __init__(self, reception: "Reception", door: Door) -> None:
        super().__init__(asyncio.get_running_loop())
        self._reception, self._door = reception, door
        self._server: Handler | None = None
        self._work: Driven | None = None
        self._early = b""
        self._timer: asyncio.TimerHandle | None = None
        self.is_last = False
        self.peer: Peer | None = None
        self._is_known = False  # a guest, or the daemon's own user; a group's members may change

    @property
    def is_ours(self) -> bool:
        """Whether it belongs to somebody who is served, or came from a container, whose credential will show whose."""
        return self._is_known or (self.peer is not None and self._door.members.admit(self.peer.uid))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        here, there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if here is None or there is None:  # gone before they were let in; what is raised here would leave them open
            self.send_away()
            return
        if self._door.container:
            self._is_known = not peers.is_local(there[0])
        else:
            self.peer = peers.look_up(here, there)
            self._is_known = self.peer is not None and self.peer.uid == os.getuid()
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
        if self._work is not None:
            self._work.cancel()
        if self._server is not None:
            self._server.connection_lost(exc)

    def came_to_the_point(self) -> None:
        """The head of a request is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._door.heard(self)

    def send_away(self) -> None:
        """Break it off."""
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._server is not None:
            self._server.data_received(data)
        elif self._work is not None:
            self._keep(data)
        elif (request := self._reception.heads.read(data, self)) is not None:
            self._work = Driven(self._answer(request))
            self._work.go_on()
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
        await self._drain_helper()

    async def leave(self, seconds: float) -> None:
        """Answer what was asked, for so long at most, and nothing more."""
        self.is_last = True
        if self._work is not None:
            await self._work.wait(seconds)
        if self._server is None and self.transport is not None:
            self.transport.close() if self._work is None else self.transport.abort()

    def _keep(self, data: bytes) -> None:
        """The next request came before this one's answer."""
        self._early += data
        if len(self._early) > EARLY_BYTES and self.transport is not None:
            self.transport.pause_reading()

    async def _answer(self, request: PlainRequest) -> None:
        try:
            said = await self._reception.answer(request)
            if isinstance(said, web.Response):
                await self._reception.say(request, said)
        except ConnectionError:
            self.send_away()
        except Exception:
            log.exception("request_failed")
            self.send_away()
        finally:
            self._work = None
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
