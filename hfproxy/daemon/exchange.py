"""One request on its way through the data plane, and its body."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from hfproxy.core.admission import Inbound
from hfproxy.core.broker import Grant, Inside
from hfproxy.core.routes import Classified
from hfproxy.core.table import Answer
from hfproxy.daemon.peers import Peer
from hfproxy.daemon.push import Push


@dataclass(slots=True)
class Exchange:
    """One request and what has been found out about it so far."""

    request: web.BaseRequest
    inbound: Inbound
    started: float = field(default_factory=time.monotonic)
    peer: Peer | None = None
    uid: int | None = None  # which user it concerns: who asks, or whose the credential is
    grant: Grant | None = None
    inside: Inside = frozenset()  # the trees of processes that it comes from
    credential: str = ""
    classified: Classified | None = None
    body: bytes | None = None  # read already, because it decided
    push: Push | None = None
    spent: str | None = None  # the account whose token is used for it, if not the grant's

    @property
    def account(self) -> str | None:
        return self.spent or (None if self.grant is None else self.grant.order.account)

    @property
    def answer(self) -> Answer:
        return self.classified.route.answer if self.classified else Answer.API

    @property
    def reads(self) -> bool:
        access = self.classified.access if self.classified else None
        return access is not None and access.reads_only

    @property
    def bill_to(self) -> str | None:
        return self.inbound.one("x-hf-bill-to") or None

    def outgoing(self) -> bytes | AsyncIterator[bytes] | None:
        """The body for the Hub, as it came; None if there is none."""
        if self.push is not None:
            return self.push.body()
        if self.body is not None:
            return self.body
        return incoming(self.request) if self.request.can_read_body else None


async def incoming(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """A request's body as it comes."""
    _continue(request)
    async for part in request.content.iter_any():
        yield part


async def whole(request: web.BaseRequest, limit: int) -> bytes | None:
    """A whole body of at most `limit` bytes; None if it is longer."""
    if (request.content_length or 0) > limit:
        return None
    parts: list[bytes] = []
    size = 0
    async for part in incoming(request):
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


def _continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it (`Expect: 100-continue`) to send its body: nothing refused it so far."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
