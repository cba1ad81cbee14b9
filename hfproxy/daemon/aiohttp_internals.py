"""The parts of aiohttp that this program relies on and that are no public interface: all of them, and nowhere else.

A release of aiohttp may change them without notice, and with them how a message is framed. So pyproject.toml admits one
minor version only, and tests/unit/daemon/test_aiohttp_internals.py compares what is used here with what is installed.
"""

import asyncio

from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from hfproxy.core.http.limits import MAX_HEADER_BYTES

__all__ = ["FlowControlProtocol", "HttpProcessingError", "ResponseProtocol", "make_request_parser"]


class FlowControlProtocol(BaseProtocol):
    """A protocol that tracks its transport, None once the connection is lost, and whether its write buffer is full."""

    __slots__ = ()

    async def drained(self) -> None:
        """Wait until the write buffer is below its low-water mark.

        Raises:
            ConnectionError: The connection is lost.
        """
        await self._drain_helper()


class ResponseProtocol(ResponseHandler):
    """aiohttp's client side of a connection: parses responses, and knows whether the connection can be used again."""

    def drop_parser(self) -> None:
        """Forget a response whose body is half read. What the parser was fed is lost, and `should_close` ignores it.

        Until `set_response_params` is called again, `data_received` keeps bytes aside, and any byte that is kept makes
        `should_close` true: bytes behind a body that was read past this parser spoil the connection.
        """
        self._parser = self._payload = None


def make_request_parser() -> HttpRequestParser:
    """Return a new parser for one request, with the limits that aiohttp's server is given."""
    loop = asyncio.get_running_loop()
    return HttpRequestParser(
        BaseProtocol(loop), loop, MAX_HEADER_BYTES, max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES
    )
