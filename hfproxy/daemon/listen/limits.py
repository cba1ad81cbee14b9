"""Limits on client connections that have not been authenticated."""

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from hfproxy.daemon.runtime.users import AllowedUsers

# Open connections of users that this daemon does not serve.
MAX_FOREIGN_CONNECTIONS: Final = 16
# Open connections of containers, all containers together.
MAX_CONTAINER_CONNECTIONS: Final = 256
# How long accepted connections may take to send a first request when the daemon stops.
FIRST_REQUEST_SECONDS: Final = 1
# An accepted socket becomes a connection only some iterations of the event loop later.
ACCEPT_GRACE_SECONDS: Final = 0.05


class LimitedConnection(Protocol):
    """A connection that can be drained."""

    async def drain(self, timeout_s: float) -> None:
        """Finish the response that is under way, within `timeout_s`, and close."""


class ConnectionLimiter:
    """Tracks the connections of one listener, and limits how many of them are open without authentication.

    Connections of served users are authenticated by the kernel and not limited. On the listener for containers the
    kernel cannot tell the user: every connection counts as unauthenticated, and programs of this machine are not
    served.

    Attributes:
        members: The users that this daemon serves.
        container: Whether the listener is the one for containers.
    """

    def __init__(self, members: AllowedUsers, *, container: bool = False) -> None:
        self.members, self.container = members, container
        self._max_unauthenticated = MAX_CONTAINER_CONNECTIONS if container else MAX_FOREIGN_CONNECTIONS
        self._connections: set[LimitedConnection] = set()
        self._unauthenticated: set[LimitedConnection] = set()
        self._without_request: set[LimitedConnection] = set()
        self._all_requested = asyncio.Event()
        self._all_requested.set()

    def add(self, connection: LimitedConnection, *, is_authenticated: bool) -> bool:
        """Track a new connection; False: it is one too many and must be aborted."""
        self._connections.add(connection)
        self._without_request.add(connection)
        self._all_requested.clear()
        if is_authenticated:
            return True
        self._unauthenticated.add(connection)
        return len(self._unauthenticated) <= self._max_unauthenticated

    def request_started(self, connection: LimitedConnection) -> None:
        """Note that the head of a first request is complete, or the connection is lost."""
        self._without_request.discard(connection)
        if not self._without_request:
            self._all_requested.set()

    def remove(self, connection: LimitedConnection) -> None:
        """Forget a lost connection."""
        self._connections.discard(connection)
        self._unauthenticated.discard(connection)

    async def drain(self, timeout_s: float) -> None:
        """Let every connection finish the response under way, within `timeout_s`, and close them."""
        await asyncio.gather(*(connection.drain(timeout_s) for connection in self._connections))

    async def serve_accepted(self) -> None:
        """Wait for the first requests of connections accepted last, after the listener was closed.

        Otherwise a client that connected in the moment of a restart would be disconnected without a response.
        """
        await asyncio.sleep(ACCEPT_GRACE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_REQUEST_SECONDS):
                await self._all_requested.wait()
