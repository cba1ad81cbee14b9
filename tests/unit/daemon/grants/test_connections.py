"""Connections in use: a grant's are aborted when it ends, and no other's."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hfproxy.daemon.grants.connections import ActiveConnections


class Client(asyncio.Protocol):
    """A server's side of a connection, which tells when it is lost."""

    def __init__(self) -> None:
        self.made, self.lost = asyncio.Event(), asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.made.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@pytest.fixture
async def transports() -> AsyncIterator[list[asyncio.Transport]]:
    """The server's ends of three connections."""
    clients: list[Client] = []

    def accepted() -> Client:
        clients.append(Client())
        return clients[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accepted, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ends = [await loop.create_connection(asyncio.Protocol, "127.0.0.1", port) for _ in range(3)]
    for client in clients:
        await asyncio.wait_for(client.made.wait(), 5)
    yield [client.transport for client in clients if client.transport]
    for end, _ in ends:
        end.abort()
    for client in clients:
        await asyncio.wait_for(client.lost.wait(), 5)
    server.close()
    await server.wait_closed()


async def test_those_of_the_grant_are_aborted_and_no_other(transports: list[asyncio.Transport]) -> None:
    connections = ActiveConnections()
    first, second, other = transports
    assert connections.add("g", first) is first
    assert connections.add("g", second) is second
    connections.add("h", other)
    connections.abort("g")
    connections.abort("unknown")
    assert [transport.is_closing() for transport in transports] == [True, True, False]


async def test_one_whose_request_has_ended_is_left_alone(transports: list[asyncio.Transport]) -> None:
    connections = ActiveConnections()
    for transport in transports:
        connections.add("g", transport)
    connections.remove("g", transports[0])
    connections.abort("g")
    assert [transport.is_closing() for transport in transports] == [False, True, True]


async def test_nothing_is_left_of_a_grant_that_uses_none(transports: list[asyncio.Transport]) -> None:
    connections = ActiveConnections()
    connections.add("g", transports[0])
    connections.remove("g", transports[0])
    with pytest.raises(KeyError):
        connections.remove("g", transports[0])


def test_a_connection_that_is_closed_already_is_not_taken() -> None:
    with pytest.raises(ConnectionResetError):
        ActiveConnections().add("g", None)
