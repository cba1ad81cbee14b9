"""Splices the rest of a response body of known length from the Hub's connection to the client's.

Once the head is read, such a body is a number of bytes and nothing else: no parser, no stream reader and no task needs
to see them. A piece is counted against the grant and written to the client in the callback that read it. Beside a
thousand downloads a small request waits for their pieces, so the cost of a piece is what it waits for (`make bench`,
streams).

The coroutine that serves the request sleeps meanwhile. It is woken at the end, on an error, and when the client is
slow; then nothing is read from the Hub until the client has caught up.

Invariants:

1. One buffer for all splices. The event loop fills it and calls `buffer_updated` with nothing in between, so one splice
   at a time uses it, and when `buffer_updated` returns nothing refers to its memory.
2. Therefore the client's transport is given a copy, or, for a large piece, the buffer's own memory. If the transport
   could not write all of it at once, it keeps a reference, and the buffer is replaced before the next read.
3. Bytes beyond the announced length belong to the Hub's connection, never to the client. It keeps them aside, which
   makes it unfit for another request: no response can be smuggled in behind a body.
4. From `detach_transport` to `attach_transport` the Hub's connection gets no events but those that are passed on here:
   `data_received` for the bytes of (3), and `connection_lost`.
5. After an error nothing more is written to the client: a body has no holes.
"""

import asyncio
from typing import ClassVar, Final

import aiohttp

from hfproxy.daemon.listen.fast_http import FastResponse
from hfproxy.daemon.listen.interface import Connection
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError
from hfproxy.daemon.upstream.response import BodySource, UpstreamResponse

# As much as uvloop's TLS reads at once (uvloop 0.22, SSL_READ_MAX_SIZE).
BUFFER_BYTES: Final = 256 * 1024
# Longer pieces are not copied: for them a new buffer, where one is needed, is cheaper.
MAX_COPIED_BYTES: Final = 64 * 1024


async def splice_body(upstream: UpstreamResponse, response: FastResponse, meter: ByteMeter) -> None:
    """Send the rest of a body to the client, if its length is known and it comes over a connection of our pool.

    Otherwise nothing happens, and the body is still in `upstream.stream`.

    Raises:
        OverLimitError: The grant's limit was reached.
        ConnectionError: The client is gone.
        aiohttp.ClientError: The Hub broke off.
    """
    source, stream, length = upstream.connection, upstream.stream, upstream.content_length
    if source is None or stream is None or stream.is_eof() or not length or response.chunked:
        return
    # What the stream reader holds already. Each read lets the paused parser feed more, so it is read until empty.
    start = b"".join(iter(stream.read_nowait, b""))
    meter.count_down(len(start))
    response.send(start)
    if not stream.is_eof():
        await BodySplice(source, response.connection, meter, length - stream.total_bytes).run()
    upstream.stream = None


class BodySplice(asyncio.BufferedProtocol):
    """Stands in for the protocol of the Hub's connection while `remaining` bytes of a body pass."""

    _buffer: ClassVar = memoryview(bytearray(BUFFER_BYTES))  # invariant 1

    def __init__(self, source: BodySource, client: Connection, meter: ByteMeter, remaining: int) -> None:
        """Take the transport from the Hub's connection.

        Raises:
            aiohttp.ServerDisconnectedError: It is lost.
        """
        self._source, self._client, self._meter, self._remaining = source, client, meter, remaining
        self._transport = source.detach_transport()
        self._error: Exception | None = None
        self._wakeup = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Wait until the whole body has passed; raises as `splice_body`."""
        self._transport.set_protocol(self)
        try:
            while self._remaining:
                await self._wakeup
                # Before the next wait: while the client catches up, `connection_lost` may notify.
                self._wakeup = asyncio.get_running_loop().create_future()
                await self._client.drained()
                self._transport.resume_reading()
        finally:
            self._source.attach_transport(self._transport)  # invariant 4 ends
        if self._error is not None:
            raise self._error

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the memory to read into."""
        return BodySplice._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        count = min(nbytes, self._remaining)
        if count < nbytes:
            self._source.data_received(bytes(BodySplice._buffer[count:nbytes]))  # invariant 3
        if count:
            try:
                self._write(count)
            except (OverLimitError, ConnectionError) as error:
                self._abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the Hub's connection, and end the splice unless the body was complete."""
        self._source.connection_lost(exc)
        if self._remaining:
            self._abort(aiohttp.ServerDisconnectedError())

    def _write(self, count: int) -> None:
        """Write the first bytes of the buffer to the client."""
        transport = self._client.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self._meter.count_down(count)
        if count <= MAX_COPIED_BYTES:
            transport.write(bytes(BodySplice._buffer[:count]))
        else:
            transport.write(BodySplice._buffer[:count])
            if transport.get_write_buffer_size():  # invariant 2: the transport still refers to this memory
                BodySplice._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._remaining -= count
        if self._client.writing_paused:
            self._transport.pause_reading()
            self._notify()
        elif not self._remaining:
            self._notify()

    def _abort(self, error: Exception) -> None:
        """End the splice with an error; with nothing remaining, `buffer_updated` writes no more (invariant 5)."""
        self._error, self._remaining = error, 0
        self._transport.pause_reading()
        self._notify()

    def _notify(self) -> None:
        if not self._wakeup.done():
            self._wakeup.set_result(None)
