"""The client connections that grants are using at this moment, so that they can be aborted when a grant ends.

A connection serves one request at a time, and so one grant at a time. Requests without a grant are not in here.
"""

import asyncio


class ActiveConnections:
    """Open connections, by the id of the grant that their request was made with."""

    def __init__(self) -> None:
        self._connections: dict[str, set[asyncio.Transport]] = {}

    def add(self, grant_id: str, connection: asyncio.Transport | None) -> asyncio.Transport:
        """Register a connection for the duration of a request; returns it.

        Raises:
            ConnectionResetError: it is closed already (None); its handler is about to be cancelled.
        """
        if connection is None:
            raise ConnectionResetError
        active = self._connections.get(grant_id)
        if active is None:
            self._connections[grant_id] = {connection}
        else:
            active.add(connection)
        return connection

    def remove(self, grant_id: str, connection: asyncio.Transport) -> None:
        """Deregister a connection at the end of the request."""
        active = self._connections[grant_id]
        active.discard(connection)
        if not active:
            del self._connections[grant_id]

    def abort(self, grant_id: str) -> None:
        """Close the grant's connections at once. The server cancels their handlers, and with them the upstream side."""
        for connection in tuple(self._connections.get(grant_id, ())):
            connection.abort()
