"""Takes uploads and throws them away: `sink.py PORT`. One answer for each request that has a length or comes in chunks."""

import asyncio
import re
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Sink(asyncio.BufferedProtocol):
    """One connection; reads into the same memory again and again."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray(1 << 20))
        self._head = b""
        self._left = 0
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def get_buffer(self, _: int) -> memoryview:
        return self._memory

    def buffer_updated(self, count: int) -> None:
        if self._left or self._chunked:
            self._body(self._memory[:count])
            return
        self._head += self._memory[:count]
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end:
            self._head = b""
            length = LENGTH.search(head)
            self._left, self._chunked = (int(length[1]), False) if length else (0, True)
            self._body(memoryview(rest))

    def _body(self, part: memoryview) -> None:
        if self._chunked:
            self._chunked = bytes(part[-5:]) != b"0\r\n\r\n"
        else:
            self._left -= len(part)
        if not self._left and not self._chunked:
            self._transport.write(ANSWER)


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
