"""HTTP messages of the data plane, independent of the parser that read them."""

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from hfproxy.core.http.headers import WIRE_CODEC, Headers, UpstreamHeaders, serialize
from hfproxy.core.policy.admission import RequestHeaders
from hfproxy.daemon.runtime.peer_uid import Peer


class ResponseHead:
    """The head of an answer to the client; `sent` is how it looks on the wire, without the empty line at its end."""

    __slots__ = ("pairs", "status", "wire")

    def __init__(self, status: int, pairs: Headers) -> None:
        """Raises as `core.headers.lines`."""
        self.status, self.pairs = status, pairs
        self.wire = f"{_status_line(status)}{serialize(pairs)}".encode(*WIRE_CODEC)


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    except ValueError:
        return f"HTTP/1.1 {status} \r\n"


class Connection(Protocol):
    """A client connection, as requests, responses and the data plane see it."""

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
        """Wait until the write buffer is below its low-water mark. Raises ConnectionError if the client is gone."""

    def head_received(self) -> None:
        """Stop the timer on the first request's head."""


class OutgoingResponse(Protocol):
    """An answer whose head is under way."""

    async def write(self, data: bytes) -> None:
        """Send a part of the body; waits while the client is slow. Raises ConnectionError where it is gone."""

    async def write_eof(self) -> None:
        """That was all."""


class IncomingRequest(Protocol):
    """What was asked: `raw_path` is the target as it came, `fields` every header by its lower-case name."""

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
        """What of its headers goes to the Hub (`core.headers.upward`)."""

    @property
    def length(self) -> int | None:
        """How long its body says it is; None: it does not say; 0: there is none."""

    def body(self) -> AsyncIterator[bytes]:
        """Its body as it comes."""

    async def start_response(self, head: ResponseHead) -> OutgoingResponse:
        """Answer it, with a body as it comes."""

    async def send_response(self, head: ResponseHead, body: bytes) -> OutgoingResponse:
        """Answer it with a body that is there; its length is in the head, where it must be."""


async def read_body(request: IncomingRequest, limit: int) -> bytes | None:
    """A whole body of at most `limit` bytes; None if it is longer."""
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
