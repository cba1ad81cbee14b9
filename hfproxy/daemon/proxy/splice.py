"""The rest of a body that says how long it is, on its way from the Hub to a client.

Once the head of an answer has been read, such a body is so many bytes and nothing else. They need no parser, no reader
that keeps them and no task that is woken for each piece: a piece is counted against the grant and written to the client
in the moment it is read. Beside a thousand downloads a small request waits for their pieces, so the cost of one is what
it waits for (`make bench`, streams).

The task that serves the request sleeps meanwhile. It is woken at the end, which may be a bad one, and while the client
is slow: then nothing more is read from the Hub.
"""

import asyncio
from typing import ClassVar, Final

import aiohttp

from hfproxy.daemon.listen.fast_http import FastResponse
from hfproxy.daemon.listen.messages import Connection
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError
from hfproxy.daemon.upstream.response import BodySource, UpstreamResponse

# As much as uvloop's TLS reads at once.
BUFFER_BYTES: Final = 256 * 1024
# What is copied for a client who does not take it at once; more than that is left to them with the whole buffer.
COPIED_BYTES: Final = 64 * 1024


async def splice_body(reply: UpstreamResponse, response: FastResponse, meter: ByteMeter) -> None:
    """Send the rest of a body that says how long it is to the client, if it comes over a connection of ours. Whatever
    else there is to send is still in its `content` afterwards.

    Raises as `Passing.done`.
    """
    link, content, length = reply.connection, reply.stream, reply.content_length
    if link is None or content is None or content.is_eof() or not length or response.chunked:
        return
    start = b"".join(iter(content.read_nowait, b""))  # each look lets the parser go on with what it kept back
    meter.count_down(len(start))
    response.send(start)
    if not content.is_eof():
        await BodySplice(link, response.connection, meter, length - content.total_bytes).run()
    reply.stream = None


class BodySplice(asyncio.BufferedProtocol):
    """Has a link's place on its connection for as long as the body lasts. What comes after it is the link's."""

    # One for all: what was read is on its way, or copied, before anything else is read.
    _buffer: ClassVar = memoryview(bytearray(BUFFER_BYTES))

    def __init__(self, link: BodySource, client: Connection, meter: ByteMeter, left: int) -> None:
        self._upstream, self._client, self._meter, self._remaining = link, client, meter, left
        self._source = link.detach_transport()
        self._error: Exception | None = None
        self._wakeup = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Wait until all of it has passed.

        Raises:
            OverLimitError: the grant's limit was reached.
            ConnectionError: the client is gone.
            aiohttp.ClientError: the Hub broke off.
        """
        self._source.set_protocol(self)
        try:
            while self._remaining:
                await self._wakeup
                self._wakeup = asyncio.get_running_loop().create_future()
                await self._client.drained()
                self._source.resume_reading()
        finally:
            self._upstream.attach_transport(self._source)
        if self._error is not None:
            raise self._error

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        return BodySplice._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So much has been read."""
        count = min(nbytes, self._remaining)
        if count < nbytes:
            self._upstream.data_received(bytes(BodySplice._buffer[count:nbytes]))
        if count:
            try:
                self._write(count)
            except (OverLimitError, ConnectionError) as error:
                self._abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The Hub is gone."""
        self._upstream.connection_lost(exc)
        if self._remaining:
            self._abort(aiohttp.ServerDisconnectedError())

    def _write(self, count: int) -> None:
        transport = self._client.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self._meter.count_down(count)
        if count <= COPIED_BYTES:
            transport.write(bytes(BodySplice._buffer[:count]))
        else:
            transport.write(BodySplice._buffer[:count])
            if transport.get_write_buffer_size():
                BodySplice._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._remaining -= count
        if self._client.writing_paused:
            self._source.pause_reading()
            self._notify()
        elif not self._remaining:
            self._notify()

    def _abort(self, error: Exception) -> None:
        """What still comes is not the client's: a body has no holes."""
        self._error, self._remaining = error, 0
        self._source.pause_reading()
        self._notify()

    def _notify(self) -> None:
        if not self._wakeup.done():
            self._wakeup.set_result(None)
