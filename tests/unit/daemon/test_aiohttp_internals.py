"""What `daemon.aiohttp_internals` uses of aiohttp, compared with the aiohttp that is installed."""

import asyncio
import inspect
import socket
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler

from hfproxy.daemon.aiohttp_internals import FlowControlProtocol, ResponseProtocol, make_request_parser

ROOT = Path(__file__).parents[3]
# The whole state of the two protocols. A new attribute may be one that `drop_parser` has to reset.
BASE_STATE = {
    "_loop",
    "_paused",
    "_parser",
    "_drain_waiter",
    "_connection_lost",
    "_reading_paused",
    "_buffer_paused",
    "_upgraded",
    "transport",
}
RESPONSE_STATE = {
    "_should_close",
    "_payload",
    "_skip_payload",
    "_payload_parser",
    "_data_received_cb",
    "_timer",
    "_tail",
    "_payload_parser_failed",
    "_read_bufsize",
    "_read_timeout",
    "_read_timeout_handle",
    "_timeout_ceil_threshold",
    "_closed",
    "_connection_lost_called",
    # of its queue of responses
    "_eof",
    "_waiter",
    "_exception",
    "_buffer",
}
RESPONSE_PARAMETERS = {"skip_payload", "read_until_eof", "auto_decompress", "max_line_size", "max_field_size"}


@asynccontextmanager
async def connected(protocol: BaseProtocol) -> AsyncIterator[socket.socket]:
    """A protocol with a transport; gives the other end of it."""
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=ours)
        yield theirs
        transport.abort()


def test_the_dependency_admits_one_minor_version_only() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    assert [text for text in dependencies if text.startswith("aiohttp")] == ["aiohttp>=3.14.4,<3.15"]


async def test_the_state_of_the_protocols_is_what_it_was() -> None:
    assert set(BaseProtocol.__slots__) == BASE_STATE
    assert set(vars(ResponseHandler(asyncio.get_running_loop()))) == RESPONSE_STATE


def test_the_methods_that_are_called_or_overridden_are_there() -> None:
    assert inspect.iscoroutinefunction(BaseProtocol._drain_helper)
    assert isinstance(BaseProtocol.writing_paused, property)
    assert isinstance(ResponseHandler.should_close, property)
    assert RESPONSE_PARAMETERS <= set(inspect.signature(ResponseHandler.set_response_params).parameters)
    assert {"max_line_size", "max_field_size"} <= set(inspect.signature(web.RequestHandler).parameters)
    assert list(inspect.signature(web.RequestHandler.handle_error).parameters)[1:] == [
        "request",
        "status",
        "exc",
        "message",
    ]


async def test_drained_waits_until_writing_resumes() -> None:
    protocol = FlowControlProtocol(asyncio.get_running_loop())
    async with connected(protocol):
        await protocol.drained()
        protocol.pause_writing()
        assert protocol.writing_paused
        waiting = asyncio.ensure_future(protocol.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        protocol.resume_writing()
        await waiting


async def test_drained_raises_once_the_connection_is_lost() -> None:
    protocol = FlowControlProtocol(asyncio.get_running_loop())
    async with connected(protocol):
        protocol.pause_writing()
        waiting = asyncio.ensure_future(protocol.drained())
        await asyncio.sleep(0)
        protocol.connection_lost(OSError("gone"))
        with pytest.raises(ConnectionError):
            await waiting
        with pytest.raises(ConnectionError):
            await protocol.drained()


async def test_a_dropped_parser_reads_nothing_and_what_follows_spoils_the_connection() -> None:
    protocol = ResponseProtocol(asyncio.get_running_loop())
    async with connected(protocol) as hub:
        protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        hub.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        message, body = await protocol.read()
        assert (message.code, body.read_nowait()) == (200, b"abc")
        assert protocol.should_close  # in the middle of a body
        protocol.drop_parser()
        assert not protocol.should_close
        hub.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        async with asyncio.timeout(10):
            while not protocol.should_close:
                await asyncio.sleep(0.001)


async def test_the_request_parser_takes_long_fields() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"y" * 200_000)
    [(message, _)], upgraded, rest = make_request_parser().feed_data(data)
    assert (message.path, len(message.headers["X"]), upgraded, rest) == ("/", 200_000, False, b"")
