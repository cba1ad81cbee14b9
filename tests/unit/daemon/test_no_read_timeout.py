"""Neither side of the daemon gives up a connection that is silent in the middle of a request or a response.

An hour passes on the clock of the event loop, so any shorter timeout would end the exchange.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from hfproxy.config import UpstreamSettings
from hfproxy.core.http.headers import UpstreamHeaders
from hfproxy.daemon.listen.aiohttp_http import HttpDispatcher
from hfproxy.daemon.listen.connection import ClientConnection
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.listen.interface import IncomingRequest, OutgoingResponse, ResponseHead, read_body
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.daemon.upstream.client import UpstreamClient

HOUR = 3600.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class SettableLoop(asyncio.SelectorEventLoop):
    """An event loop on whose clock time can pass at once."""

    passed = 0.0

    def time(self) -> float:
        return super().time() + self.passed

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and run what is due."""
        self.passed += seconds
        for _ in range(10):
            await asyncio.sleep(0)


def run(main: Callable[[SettableLoop], Coroutine[None, None, None]]) -> None:
    loop = SettableLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))


def test_time_passes_on_this_loop() -> None:
    """Or the tests below would prove nothing."""

    async def main(loop: SettableLoop) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HOUR - 1):
                await loop.pass_time(HOUR)
                await asyncio.sleep(HOUR)

    run(main)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nCont", HEAD, HEAD + b"ha"], ids=["nothing", "half a head", "head", "half a body"])  # fmt: skip
def test_a_hub_that_is_silent_for_an_hour_is_waited_for(method: str, first: bytes) -> None:
    """A GET goes over the pool, a POST over aiohttp's session."""

    async def main(loop: SettableLoop) -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def hub(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(first)
            await writer.drain()
            asked.set()
            await go_on.wait()
            writer.write((HEAD + b"half")[len(first) :])
            await writer.drain()
            writer.close()

        async def ask() -> tuple[int, bytes]:
            body = b"{}" if method == "POST" else None
            response = await client.send(method, "/api/models/me/x", UpstreamHeaders(()), body, None)
            async with response:
                return response.status, await response.read()

        async with listening(hub) as port:
            client = UpstreamClient(UpstreamSettings(hub=f"http://127.0.0.1:{port}"))
            answer = asyncio.create_task(ask())
            await asked.wait()
            await asyncio.sleep(0.05)
            await loop.pass_time(HOUR)
            go_on.set()
            assert await answer == (200, b"half")
            await client.close()

    run(main)


@pytest.mark.parametrize("framing", [b"Content-Length: 4\r\n\r\nha", b"Transfer-Encoding: chunked\r\n\r\n2\r\nha\r\n"])
def test_a_client_that_is_silent_for_an_hour_in_its_body_is_waited_for(framing: bytes) -> None:
    rest = b"lf" if b"Length" in framing else b"2\r\nlf\r\n0\r\n\r\n"

    async def echo(request: IncomingRequest) -> OutgoingResponse:
        admit(request)
        body = await read_body(request, 100)
        assert body is not None
        return await request.send_response(ResponseHead(200, (("Content-Length", str(len(body))),)), body)

    async def main(loop: SettableLoop) -> None:
        async with serving(echo) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\n" + framing)
            await writer.drain()
            await asyncio.sleep(0.05)
            await loop.pass_time(HOUR)
            writer.write(rest)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(4) == b"half"
            writer.close()

    run(main)


def test_a_response_that_is_silent_for_an_hour_goes_on() -> None:
    async def main(loop: SettableLoop) -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def stream(request: IncomingRequest) -> OutgoingResponse:
            admit(request)
            response = await request.start_response(ResponseHead(200, (("Content-Length", "4"),)))
            await response.write(b"ha")
            begun.set()
            await go_on.wait()
            await response.write(b"lf")
            await response.write_eof()
            return response

        async with serving(stream) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            await begun.wait()
            await loop.pass_time(HOUR)
            go_on.set()
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(4) == b"half"
            writer.close()

    run(main)


def admit(request: IncomingRequest) -> None:
    """As the proxy does, which lets a connection go that does not get that far."""
    assert request.connection is not None
    request.connection.head_received()


@asynccontextmanager
async def listening(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@asynccontextmanager
async def serving(answer: Callable[[IncomingRequest], Coroutine[None, None, OutgoingResponse]]) -> AsyncIterator[int]:
    dispatcher, limiter = HttpDispatcher(answer), ConnectionLimiter(AllowedUsers())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientConnection(dispatcher, limiter), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await limiter.serve_accepted()
