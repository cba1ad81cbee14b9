"""The rest of a body on its way from a Hub to a client: over real connections, on the loop that the daemon has."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme
import uvloop

from hfproxy.core.policy.decision import Allow, Deny
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import GrantTerms
from hfproxy.core.policy.caveats import MaxBytes
from hfproxy.core.http.headers import UpstreamHeaders
from hfproxy.core.hub.rewrite import UrlMap
from hfproxy.core.policy.scope import parse
from hfproxy.core.hub.route_table import ROUTES, ResponseKind
from hfproxy.daemon.proxy.exchange import Admitted, Decided, Operation, Unidentified
from hfproxy.daemon.listen.interface import IncomingRequest, OutgoingResponse
from hfproxy.daemon.upstream.pool import ConnectionPool
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError
from hfproxy.daemon.listen.aiohttp_http import HttpDispatcher
from hfproxy.daemon.proxy.refusals import NO_CREDENTIAL
from hfproxy.daemon.proxy.relay import ResponseRelay
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.listen.connection import ClientConnection

GET = b"GET /me/a/resolve/main/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BODY = bytes(range(256)) * 2
MIB = 1 << 20


def head(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % length


Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


class Hub:
    """It answers each request with pieces, each sent when the one before it has been read by somebody."""

    def __init__(self, *pieces: bytes, closes: bool = False) -> None:
        self.pieces, self.closes = pieces, closes
        self.connections = self.sent = 0
        self.gone = asyncio.Event()

    async def talk(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n") and await self._answer(writer) and not self.closes:
                pass
        writer.close()
        self.gone.set()

    async def _answer(self, writer: Writer) -> bool:
        for piece in self.pieces:
            if writer.is_closing():
                return False
            writer.write(piece)
            await writer.drain()
            self.sent += len(piece)
            await asyncio.sleep(0.002)  # that it leaves alone; nothing depends on it
        return True


A_FILE = next(route for route in ROUTES if route.response_kind is ResponseKind.FILE)


@asynccontextmanager
async def before(hub: Hub, tls: trustme.CA | None, meter: ByteMeter) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """The way of an answer in the daemon between that Hub and clients; gives what opens a client's connection."""
    serving = client = None
    if tls is not None:
        serving, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.issue_cert("localhost").configure_cert(serving)
        tls.configure_trust(client)
    loop = asyncio.get_running_loop()
    upstream = await asyncio.start_server(hub.talk, "127.0.0.1", 0, ssl=serving)
    scheme, port = "https" if tls else "http", upstream.sockets[0].getsockname()[1]
    links = ConnectionPool(f"{scheme}://localhost:{port}", client or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    async def answer(request: IncomingRequest) -> OutgoingResponse:
        assert request.connection is not None
        request.connection.head_received()
        reply = await links.send(request.method, request.raw_path, UpstreamHeaders(()), None)
        identified = Unidentified(Admitted(request, None, 0, 0.0), None, NO_CREDENTIAL)
        decided = Decided(identified, Operation(A_FILE), None, None, Allow(), 0)
        relay = ResponseRelay(decided, UrlMap("https://hub", "http://here"), meter)
        async with reply:
            try:
                response = await relay.relay(request, reply)
            except OverLimitError:
                raise ConnectionError from None
        assert not isinstance(response, Deny)
        return response

    reception, door = HttpDispatcher(answer), ConnectionLimiter(AllowedUsers())
    front = await loop.create_server(lambda: ClientConnection(reception, door), "127.0.0.1", 0)
    front.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)  # those that come inherit it

    async def connected() -> tuple[Reader, Writer]:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        sock.setblocking(False)
        await loop.sock_connect(sock, front.sockets[0].getsockname())
        return await asyncio.open_connection(sock=sock, limit=64 * 1024)

    try:
        yield connected
    finally:
        front.close()
        await door.drain(0)
        links.close()
        upstream.close()
        await asyncio.sleep(0.01)


async def asked(reader: Reader, writer: Writer) -> bytes:
    """One answer: its body, or as much of it as came before the connection was cut."""
    writer.write(GET)
    said = await reader.readuntil(b"\r\n\r\n")
    length = int(said.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    try:
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        return error.partial


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[trustme.CA | None]:
    return authority if request.param == "tls" else None  # type: ignore[return-value]


def unlimited() -> ByteMeter:
    return ByteMeter(Broker(), None)


def test_a_body_split_at_any_place_is_the_same_and_its_connection_is_used_again(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        whole, meter = head(len(BODY)) + BODY, unlimited()
        hub = Hub()
        async with before(hub, tls, meter) as connected:
            reader, writer = await connected()
            places = [*range(1, 6), *range(len(whole) - len(BODY) - 3, len(whole) - len(BODY) + 4), len(whole) - 1]
            for first in places:
                hub.pieces = whole[:first], whole[first : first + 2], whole[first + 2 :]
                assert await asked(reader, writer) == BODY
            writer.close()
        assert hub.connections == 1
        assert meter.down == len(places) * len(BODY)

    run(scene())


def test_what_is_more_than_was_said_is_nobodys_and_spoils_the_connection(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        poison = head(6) + b"poison"
        hub = Hub(head(len(BODY)) + BODY[:100], BODY[100:] + poison)
        async with before(hub, tls, unlimited()) as connected:
            reader, writer = await connected()
            assert await asked(reader, writer) == BODY
            hub.pieces = head(4), b"ne", b"xt"
            assert await asked(reader, writer) == b"next"
            writer.close()
        assert hub.connections == 2

    run(scene())


def test_a_length_that_connection_names_is_said_and_kept_to(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        odd = head(10).replace(b"\r\n\r\n", b"\r\nConnection: content-length\r\n\r\n")
        hub = Hub(odd, b"3\r\nabc\r\n0\r")
        async with before(hub, tls, unlimited()) as connected:
            reader, writer = await connected()
            assert await asked(reader, writer) == b"3\r\nabc\r\n0\r"
            hub.pieces = head(4), b"next"
            assert await asked(reader, writer) == b"next"
            writer.close()

    run(scene())


def test_a_body_that_breaks_off_is_cut(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        hub = Hub(head(len(BODY)), BODY[:100], BODY[100:-1], closes=True)
        async with before(hub, tls, unlimited()) as connected:
            reader, writer = await connected()
            assert await asked(reader, writer) == BODY[:-1]
            assert reader.at_eof()
            writer.close()

    run(scene())


def test_large_pieces_and_many_at_once(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        body = bytes(range(251)) * 20_000
        hub = Hub(head(len(body)) + body[:10], body[10:])
        async with before(hub, tls, unlimited()) as connected:

            async def one() -> None:
                reader, writer = await connected()
                assert await asked(reader, writer) == body
                writer.close()

            await asyncio.gather(*(one() for _ in range(8)))

    run(scene())


def test_a_slow_client_holds_the_hub_back(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        hub = Hub(head(48 * MIB), *[bytes(MIB)] * 48)
        async with before(hub, tls, unlimited()) as connected:
            reader, writer = await connected()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            received, ahead = 0, 0
            while received < 48 * MIB:
                received += len(await reader.read(64 * 1024))
                await asyncio.sleep(0.001)
                ahead = max(ahead, hub.sent - received)
            writer.close()
        assert received == 48 * MIB
        assert ahead < 16 * MIB

    run(scene())


def test_small_pieces_wait_for_slow_clients_and_stay_what_they_are(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        pieces = [bytes([number]) * 5000 for number in range(200)]
        hub = Hub(head(len(pieces) * 5000), *pieces)
        async with before(hub, tls, unlimited()) as connected:

            async def slow() -> None:
                reader, writer = await connected()
                writer.write(GET)
                await reader.readuntil(b"\r\n\r\n")
                body = b""
                while len(body) < len(pieces) * 5000:
                    body += await reader.read(3000)
                    await asyncio.sleep(0.002)
                assert body == b"".join(pieces)
                writer.close()

            await asyncio.gather(*(slow() for _ in range(4)))

    run(scene())


def test_a_client_that_goes_away_ends_it_at_the_hub(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        hub = Hub(head(10**9), *[bytes(MIB)] * 900)
        async with before(hub, tls, unlimited()) as connected:
            reader, writer = await connected()
            writer.write(GET)
            await reader.readexactly(MIB)
            writer.transport.abort()
            await asyncio.wait_for(hub.gone.wait(), 20)
        assert hub.sent < 900 * MIB

    run(scene())


def test_the_limit_of_a_grant_holds_in_the_middle(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        broker = Broker()
        grant, _ = broker.mint(GrantTerms("default", (parse("read"),), 1000, (MaxBytes(down=1000),)), bytes(24), 0)
        meter = ByteMeter(broker, grant)
        hub = Hub(head(900) + bytes(300), bytes(300), bytes(300))
        async with before(hub, tls, meter) as connected:
            reader, writer = await connected()
            broker.count_bytes(grant, down=100)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(300)
            broker.count_bytes(grant, down=299)  # another request of the same grant
            assert len(await reader.read()) < 600
            assert await reader.read() == b""
            writer.close()
        assert meter.refused is not None
        assert grant.bytes_down <= 1000

    run(scene())


def test_what_is_revoked_is_cut(tls: trustme.CA | None) -> None:
    async def scene() -> None:
        broker = Broker()
        grant, _ = broker.mint(GrantTerms("default", (parse("read"),), 1000, ()), bytes(24), 0)
        hub = Hub(head(64 * MIB), *[bytes(MIB)] * 64)
        async with before(hub, tls, ByteMeter(broker, grant)) as connected:
            reader, writer = await connected()
            writer.write(GET)
            await reader.readexactly(2 * MIB)
            broker.revoke(grant.id)
            assert len(await reader.read()) < 62 * MIB
            writer.close()
            await asyncio.wait_for(hub.gone.wait(), 20)

    run(scene())
