"""HTTP messages on the client's side, whichever parser read them: the interfaces that the proxy is written against."""

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from hfproxy.core.http.headers import WIRE_CODEC, Headers, UpstreamHeaders, serialize
from hfproxy.core.policy.admission import RequestHeaders
from hfproxy.daemon.runtime.peer_uid import Peer


class ResponseHead:
    """The head of a response to the client.

    Attributes:
        wire: The status line and the fields as they are sent, without the empty line that ends a head.
    """

    __slots__ = ("pairs", "status", "wire")

    def __init__(self, status: int, pairs: Headers) -> None:
        """Serialize a head.

        Raises:
            UpstreamError: A field would be more than one line.
        """
        self.status, self.pairs = status, pairs
        self.wire = f"{_status_line(status)}{serialize(pairs)}".encode(*WIRE_CODEC)


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    except ValueError:
        return f"HTTP/1.1 {status} \r\n"


class Connection(Protocol):
    """A client connection, as far as requests, responses and the proxy use it."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport; None after the connection was lost."""

    @property
    def peer(self) -> Peer | None:
        """The process's user and socket at the other end; None where the kernel cannot tell."""

    @property
    def is_admitted(self) -> bool:
        """Whether the peer is a user that this daemon serves, or a container."""

    @property
    def closing(self) -> bool:
        """Whether the connection closes after the response that is under way."""

    @property
    def writing_paused(self) -> bool:
        """Whether the transport's write buffer is above its high-water mark."""

    async def drained(self) -> None:
        """Wait until the write buffer is below its low-water mark.

        Raises:
            ConnectionError: The client is gone.
        """

    def head_received(self) -> None:
        """Stop the timer on the first request's head."""


class OutgoingResponse(Protocol):
    """A response whose head is sent, or about to be."""

    async def write(self, data: bytes) -> None:
        """Send a part of the body, and wait while the write buffer is full.

        Raises:
            ConnectionError: The client is gone.
        """

    async def write_eof(self) -> None:
        """End the body."""


class IncomingRequest(Protocol):
    """A request whose head is complete.

    Attributes:
        raw_path: The request target, byte for byte.
        headers: What the policy reads.
    """

    method: str
    raw_path: str
    headers: RequestHeaders

    @property
    def connection(self) -> Connection | None:
        """The connection on which the request arrived."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport of that connection; None after it was lost."""

    @property
    def upstream_headers(self) -> UpstreamHeaders:
        """The headers that are forwarded to the Hub."""

    @property
    def length(self) -> int | None:
        """The announced length of the body in bytes; 0: there is no body; None: it is chunked."""

    def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""

    async def start_response(self, head: ResponseHead) -> OutgoingResponse:
        """Send the head of a response whose body follows in parts."""

    async def send_response(self, head: ResponseHead, body: bytes) -> OutgoingResponse:
        """Send a whole response. The head has the length of the body, unless a bodiless status forbids it."""


async def read_body(request: IncomingRequest, limit: int) -> bytes | None:
    """Return the whole body; None if it is longer than `limit` bytes."""
    if (request.length or 0) > limit:
        return None
    parts: list[bytes] = []
    size = 0
    async for part in request.body():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)
