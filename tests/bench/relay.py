"""A link that is far away: `relay.py PORT UPSTREAM MILLISECONDS`. Every byte, either way, arrives so much later."""

import asyncio
import sys

# What may be under way at a time; a link of 25 ms and 500 MB/s holds 12 MB.
WINDOW = 64 << 20


class End(asyncio.Protocol):
    """One end of a connection, which passes what it hears to the other."""

    def __init__(self, delay: float) -> None:
        self.delay, self.other, self.early = delay, None, []
        self.under_way = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.under_way += len(data)
        if self.under_way > WINDOW:
            self.transport.pause_reading()
        asyncio.get_running_loop().call_later(self.delay, self.deliver, data)

    def deliver(self, data: bytes) -> None:
        self.under_way -= len(data)
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if self.other is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def joined(self, other: "End") -> None:
        self.other = other
        for data in self.early:
            other.transport.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self.delay, self.gone)

    def gone(self) -> None:
        if self.other is not None:
            self.other.transport.close()


class Near(End):
    """The end that a client connects to; the TCP handshake with what is far takes its time, too."""

    def __init__(self, delay: float, upstream: int) -> None:
        super().__init__(delay)
        self.upstream = upstream

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.task = asyncio.ensure_future(self.join())

    async def join(self) -> None:
        await asyncio.sleep(2 * self.delay)
        _, far = await asyncio.get_running_loop().create_connection(lambda: End(self.delay), "127.0.0.1", self.upstream)
        far.joined(self)
        self.joined(far)


async def main(port: int, upstream: int, delay: float) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Near(delay, upstream), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
