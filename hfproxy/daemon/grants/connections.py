"""Connections that a grant is using right now, so that they can be cut when it ends."""

import asyncio


class ActiveConnections:
    """Which connections serve which grant at this moment. A connection serves one request at a time."""

    def __init__(self) -> None:
        self._connections: dict[str, set[asyncio.Transport]] = {}

    def add(self, grant_id: str, connection: asyncio.Transport | None) -> asyncio.Transport:
        """A connection is in use, until `end`."""
        if connection is None:  # it went away already; its handler is about to be cancelled
            raise ConnectionResetError
        running = self._connections.get(grant_id)
        if running is None:
            self._connections[grant_id] = {connection}
        else:
            running.add(connection)
        return connection

    def remove(self, grant_id: str, connection: asyncio.Transport) -> None:
        """It is not any more."""
        running = self._connections[grant_id]
        running.discard(connection)
        if not running:
            del self._connections[grant_id]

    def abort(self, grant_id: str) -> None:
        """Break them off: the server cancels their handlers, and with them what runs upstream."""
        for connection in tuple(self._connections.get(grant_id, ())):
            connection.abort()
