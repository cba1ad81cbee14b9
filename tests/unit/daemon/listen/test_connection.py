"""Connections before they have asked for anything, on the loop that the daemon has."""

import asyncio
import os
import socket
import struct
from typing import Any

import uvloop

from hfproxy.daemon.listen.interface import IncomingRequest, OutgoingResponse
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.daemon.listen.aiohttp_http import HttpDispatcher
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.listen.connection import ClientConnection

AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets (socket(7))


async def nobody_is_answered(request: IncomingRequest) -> OutgoingResponse:
    raise AssertionError(request.raw_path)


def test_who_is_gone_before_they_are_let_in_leaves_nothing_open() -> None:
    wrong: list[dict[str, Any]] = []

    async def come_and_go() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        reception, door = HttpDispatcher(nobody_is_answered), ConnectionLimiter(AllowedUsers())
        server = await loop.create_server(lambda: ClientConnection(reception, door), "127.0.0.1", 0)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):  # the loop sees none of them before they are gone
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        await door.serve_accepted()
        async with asyncio.timeout(10):
            while len(os.listdir("/proc/self/fd")) > before:
                await asyncio.sleep(0.01)
        server.close()

    uvloop.run(come_and_go())
    assert wrong == []
