"""A connection to the Hub, with a fast path for responses that arrive in one buffer.

Most responses do, with head and body, and for these aiohttp's resumable parser and body stream cost more than the
decision about the request (`make bench`). The fast path is no more lenient: `response_parser` accepts one unambiguous
form, and everything else is left to aiohttp's parser, which also rejects what is not HTTP.
"""

import asyncio
from collections.abc import Callable

import aiohttp

from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.daemon.aiohttp_internals import ResponseProtocol
from hfproxy.daemon.runtime.eager import DirectFuture
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.daemon.upstream.response_parser import parse_buffered_response


class UpstreamConnection(ResponseProtocol):
    """A connection that carries one request at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_release: Callable[["UpstreamConnection", bool], None]
    ) -> None:
        """`on_release` is called after a request, with whether its response was read to the end."""
        super().__init__(loop)
        self._on_release = on_release
        self._response_waiter: DirectFuture[UpstreamResponse | None] | None = None
        self._bodiless = False

    def send_request(self, head: bytes, *, bodiless: bool) -> DirectFuture[UpstreamResponse | None]:
        """Send a request without a body.

        Args:
            head: request line and headers, serialized.
            bodiless: the response has no body, since the request is a HEAD.

        Returns:
            A future of the response; of None if it does not arrive in one buffer, and is to be read with `read`.

        Raises:
            aiohttp.ServerDisconnectedError: the connection is lost already. If it is lost later, before the response,
                the future raises it.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        waiter: DirectFuture[UpstreamResponse | None] = DirectFuture()
        self._response_waiter = waiter
        self._bodiless = bodiless
        self.transport.write(head)
        return waiter

    def release(self, *, whole: bool) -> None:
        """End the exchange; `whole`: the response was read to its end, so the connection can be used again."""
        self._on_release(self, whole)

    def detach_transport(self) -> asyncio.Transport:
        """Return the transport, for a protocol that reads the rest of the body.

        The parser, which is in the middle of that body, is dropped; the next response gets a new one.

        Raises:
            aiohttp.ServerDisconnectedError: the connection is lost.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self.drop_parser()
        return self.transport

    def attach_transport(self, transport: asyncio.Transport) -> None:
        """Become the transport's protocol again, after another protocol has read the rest of a body."""
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Try the fast path on the first bytes of a response; hand everything else to aiohttp's parser."""
        waiter, self._response_waiter = self._response_waiter, None
        if waiter is None:
            super().data_received(data)
        elif (response := parse_buffered_response(data, bodiless=self._bodiless)) is not None:
            waiter.set_result(response)
        else:
            self.set_response_params(
                skip_payload=self._bodiless,
                read_until_eof=True,
                auto_decompress=False,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )
            super().data_received(data)
            waiter.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail the request that waits for a response."""
        super().connection_lost(exc)
        waiter, self._response_waiter = self._response_waiter, None
        if waiter is not None:
            waiter.set_exception(aiohttp.ServerDisconnectedError())
