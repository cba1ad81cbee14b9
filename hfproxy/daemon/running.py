"""Connections that a grant is using right now, so that they can be cut when it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Running:
    """Which connections serve which grant at this moment. A connection serves one request at a time."""

    def __init__(self) -> None:
        self._connections: dict[str, set[asyncio.Transport]] = {}

    @contextmanager
    def under(self, grant_id: str, connection: asyncio.Transport | None) -> Iterator[None]:
        """Hold a connection as in use for as long as the block runs."""
        if connection is None:  # it went away already; its handler is about to be cancelled
            raise ConnectionResetError
        running = self._connections.setdefault(grant_id, set())
        running.add(connection)
        try:
            yield
        finally:
            running.discard(connection)
            if not running:
                self._connections.pop(grant_id, None)

    def cut(self, grant_id: str) -> None:
        """Break them off: the server cancels their handlers, and with them what runs upstream."""
        for connection in tuple(self._connections.get(grant_id, ())):
            connection.abort()
