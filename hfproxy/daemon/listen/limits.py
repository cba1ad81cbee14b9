"""Limits on client connections that have not been authenticated."""

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from hfproxy.daemon.runtime.users import AllowedUsers

# Connections of other users that are heard at the same time.
MAX_FOREIGN_CONNECTIONS: Final = 16

# Connections of containers, all of them together.
MAX_CONTAINER_CONNECTIONS: Final = 256

SETTLE_SECONDS: Final = 1

# What was accepted is a connection only some turns of the event loop later.
ACCEPT_GRACE_S: Final = 0.05


class LimitedConnection(Protocol):
    """A connection that can be drained."""

    async def drain(self, timeout_s: float) -> None:
        """Finish the response that is under way, within `timeout_s`, and close."""


class ConnectionLimiter:
    """Who is let in: those who are served, and some strangers at a time, to be told no.

    `container`: it leads to a bridge, and the kernel cannot say who is behind it. Whoever is, is let in, so many at a
    time, to show a credential; programs of this machine have another door.
    """

    def __init__(self, members: AllowedUsers, *, container: bool = False) -> None:
        self.members, self.container = members, container
        self.unauthenticated: set[LimitedConnection] = set()
        self._connections: set[LimitedConnection] = set()
        self._without_request: set[LimitedConnection] = set()
        self._all_requested = asyncio.Event()
        self._all_requested.set()

    def add(self, connection: LimitedConnection) -> None:
        """Somebody is there, who has said nothing yet."""
        self._connections.add(connection)
        self._without_request.add(connection)
        self._all_requested.clear()

    def request_started(self, connection: LimitedConnection) -> None:
        """They have come to the point, or gone."""
        self._without_request.discard(connection)
        if not self._without_request:
            self._all_requested.set()

    def remove(self, connection: LimitedConnection) -> None:
        """They are gone."""
        self._connections.discard(connection)
        self.unauthenticated.discard(connection)

    async def drain(self, seconds: float) -> None:
        """Let all that are there have the answers to what they asked, for so long at most."""
        await asyncio.gather(*(connection.drain(seconds) for connection in self._connections))

    async def serve_accepted(self) -> None:
        """Once nobody new is let in: hear those that have just come, who would else be sent away without an answer."""
        await asyncio.sleep(ACCEPT_GRACE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._all_requested.wait()
