"""One request on its way through the data plane: what is known of it so far, and what it looks like to us.

A request comes by one of two ways (`daemon.visitor`): read by ourselves where it is plain, by aiohttp's server else.
From here on nobody can tell them apart, so that there is one policy for both.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from hfproxy.core.admission import RequestHeaders
from hfproxy.core.broker import Grant, MatchingTrees
from hfproxy.core.headers import WIRE_CODEC, Headers, UpstreamHeaders, serialize
from hfproxy.core.routes import Classified
from hfproxy.core.table import ResponseKind
from hfproxy.daemon.clock import now
from hfproxy.daemon.peers import Peer
from hfproxy.daemon.push import PushBody

if TYPE_CHECKING:
    import asyncio

    from hfproxy.daemon.visitor import ClientConnection


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
    def connection(self) -> "ClientConnection | None":
        """The connection that it came by."""

    @property
    def transport(self) -> "asyncio.Transport | None":
        """The same, to be cut; None where it is gone."""

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


@dataclass(slots=True)
class Exchange:
    """One request and what has been found out about it so far."""

    request: IncomingRequest
    started: float = field(default_factory=time.monotonic)
    peer: Peer | None = None
    uid: int | None = None  # which user it concerns: who asks, or whose the credential is
    grant: Grant | None = None
    matching_trees: MatchingTrees = frozenset()  # the trees of processes that it comes from
    credential: str = ""
    classified: Classified | None = None
    body: bytes | None = None  # read already, because it decided
    push: PushBody | None = None
    token_account: str | None = None  # the account whose token is used for it, if not the grant's
    at: int = field(default_factory=now)  # when it came, and once it is decided, when that was
    journal_fields: str | None = None  # what the journal says of it, once it is decided

    @property
    def account(self) -> str | None:
        return self.token_account or (None if self.grant is None else self.grant.terms.account)

    @property
    def send_response(self) -> ResponseKind:
        return self.classified.route.answer if self.classified else ResponseKind.API

    @property
    def reads(self) -> bool:
        access = self.classified.access if self.classified else None
        return access is not None and access.is_read_only

    def upstream_body(self) -> bytes | AsyncIterator[bytes] | None:
        """The body for the Hub, as it came; None if there is none."""
        if self.push is not None:
            return self.push.body()
        if self.body is not None:
            return self.body
        return None if self.request.length == 0 else self.request.body()


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
