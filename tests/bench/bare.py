"""A proxy with nothing in it: `bare.py PORT UPSTREAM CA_FILE`. What Python and its event loop cost before anything is done.

Every request is taken for whole and sent on as it came, over connections that are kept open; every answer likewise.
"""

import asyncio
import ssl
import sys
from typing import cast

import uvloop

idle: list["Hub"] = []


class Hub(asyncio.Protocol):
    """A connection to the upstream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.client: asyncio.Transport | None = None

    def data_received(self, data: bytes) -> None:
        client, self.client = self.client, None
        idle.append(self)
        if client is not None and not client.is_closing():
            client.write(data)

    def ask(self, data: bytes, client: asyncio.Transport) -> None:
        """Send it, and the answer to that client."""
        self.client = client
        self.transport.write(data)


class Client(asyncio.Protocol):
    """A connection from a client."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if idle:
            idle.pop().ask(data, self.transport)
        else:
            self.opening = asyncio.create_task(self.first(data))

    async def first(self, data: bytes) -> None:
        """Ask over a new connection."""
        _, hub = await asyncio.get_running_loop().create_connection(
            Hub, "localhost", UPSTREAM, ssl=CONTEXT, server_hostname="localhost"
        )
        hub.ask(data, self.transport)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", port)
    await server.serve_forever()


UPSTREAM, CONTEXT = int(sys.argv[2]), ssl.create_default_context(cafile=sys.argv[3])
uvloop.run(serve(int(sys.argv[1])))
