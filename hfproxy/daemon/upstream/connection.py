"""Answers of the Hub that come in one piece: their head and all of their body in what one look at the socket gave.

Most are, and then a parser that could wait for more, and a body that is read as it comes, cost more than the decision
(`make bench`). Nothing is read more leniently for that: the form below leaves no choice, and whatever does not fit it
is left to aiohttp's parser, which also finds the words for what is no HTTP at all. Most lines of a head were in an
answer before, and are known again.
"""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp.client_proto import ResponseHandler

from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.daemon.runtime.eager import DirectFuture
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.daemon.upstream.response_parser import parse_buffered_response


class UpstreamConnection(ResponseHandler):
    """A connection to the Hub that is asked one thing at a time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take_back: Callable[["UpstreamConnection", bool], None]
    ) -> None:
        """`take_back` is told when it is not needed any more, and whether the answer was read to its end."""
        super().__init__(loop)
        self._take_back = take_back
        self._response_waiter: DirectFuture[UpstreamResponse | None] | None = None
        self._bodiless = False

    def send_request(self, head: bytes, *, bodiless: bool) -> DirectFuture[UpstreamResponse | None]:
        """Send a request without a body. Its answer is awaited where that comes in one piece; else it is to be `read`.

        Raises, when it is awaited or at once:
            aiohttp.ServerDisconnectedError: the connection is gone, or went before the answer.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        asked: DirectFuture[UpstreamResponse | None] = DirectFuture()
        self._response_waiter = asked
        self._bodiless = bodiless
        self.transport.write(head)
        return asked

    def release(self, *, whole: bool) -> None:
        """Nobody asks it any more; `whole`: the answer was read to its end."""
        self._take_back(self, whole)

    def detach_transport(self) -> asyncio.Transport:
        """The connection, to whoever takes the rest of a body; the parser, which is in the middle of it, is let go.

        Raises:
            aiohttp.ServerDisconnectedError: the connection is gone.
        """
        if self.transport is None:
            raise aiohttp.ServerDisconnectedError
        self._parser = self._payload = None
        return self.transport

    def attach_transport(self, transport: asyncio.Transport) -> None:
        """Become the transport's protocol again, after another protocol has read the rest of a body."""
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """The beginning of an answer is looked at here; all else is aiohttp's."""
        asked, self._response_waiter = self._response_waiter, None
        if asked is None:
            super().data_received(data)
        elif (answer := parse_buffered_response(data, bodiless=self._bodiless)) is not None:
            asked.set_result(answer)
        else:
            self.set_response_params(
                skip_payload=self._bodiless,
                read_until_eof=True,
                auto_decompress=False,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
            )
            super().data_received(data)
            asked.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Whoever waits for an answer is told."""
        super().connection_lost(exc)
        asked, self._response_waiter = self._response_waiter, None
        if asked is not None:
            asked.set_exception(aiohttp.ServerDisconnectedError())
