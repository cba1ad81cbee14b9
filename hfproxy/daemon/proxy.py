"""The data plane: the way of one request, from the socket to the Hub and back.

The steps are those of design §4, in this order: peer, admit, classify, authorize, journal, deny or forward, rewrite,
journal. Whatever is not understood on the way is refused.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from aiohttp import web

from hfproxy.core import admission, headers, routes, target, whoami
from hfproxy.core.access import Access, Allow, AllowAnonymous, Decision, Deny, Refusal
from hfproxy.core.admission import Inbound
from hfproxy.core.broker import Grant
from hfproxy.core.rewrite import Places
from hfproxy.core.routes import Answer, Classified, NeedBody, Route, Special
from hfproxy.daemon import peers, refusals
from hfproxy.daemon.accounts import Accounts, Held
from hfproxy.daemon.grants import Grants, now
from hfproxy.daemon.record import Recorder
from hfproxy.daemon.relay import Relay
from hfproxy.daemon.upstream import Upstream
from hfproxy.errors import AccountError, JournalError, UpstreamError


@dataclass(slots=True)
class Exchange:
    """One request and what has been found out about it so far."""

    request: web.BaseRequest
    inbound: Inbound
    started: float = field(default_factory=time.monotonic)
    grant: Grant | None = None
    credential: str = ""
    classified: Classified | None = None
    body: bytes | None = None  # read already, because it decided
    bytes_up: int = 0

    @property
    def answer(self) -> Answer:
        return self.classified.route.answer if self.classified else Answer.API

    @property
    def reads(self) -> bool:
        access = self.classified.access if self.classified else None
        return access is not None and access.reads_only


class DataPlane:
    """Serves the loopback port."""

    def __init__(self, port: int, uid: int, upstream: Upstream, accounts: Accounts, grants: Grants, recorder: Recorder):
        self._port, self._uid = port, uid
        self._upstream, self._accounts, self._grants, self._recorder = upstream, accounts, grants, recorder
        self._places = Places(upstream.origin.url, f"http://127.0.0.1:{port}")
        self._peers: WeakKeyDictionary[object, bool] = WeakKeyDictionary()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Every no comes back from `_steps` as a value and is worded here."""
        exchange = Exchange(request, Inbound.of(request.headers.items()))
        try:
            outcome = await self._steps(exchange)
        except JournalError as error:
            outcome = Deny(Refusal.JOURNAL, str(error))
        if isinstance(outcome, Deny):
            return refusals.respond(outcome, exchange.answer, reads=exchange.reads)
        return outcome

    async def _steps(self, exchange: Exchange) -> web.StreamResponse | Deny:
        stranger = self._peer(exchange.request) or admission.admit(exchange.inbound, self._port)
        if stranger is not None:
            return self._recorder.counted(stranger)
        if admission.is_navigation(exchange.request.method, exchange.inbound):
            return self._to_the_hub(exchange.request)
        holder = self._verify(exchange)
        classified = await self._classify(exchange, holder)
        if isinstance(classified, Deny):
            return self._refuse(exchange, classified)
        exchange.classified = classified
        if classified.access is None:
            return await self._special(exchange, classified.route.special, holder)
        if isinstance(holder, Deny):
            return self._refuse(exchange, holder)
        return await self._decided(exchange, classified.route, classified.access, holder)

    def _peer(self, request: web.BaseRequest) -> Deny | None:
        """Step 1: the connection belongs to our user, asked once of the kernel."""
        transport = request.transport
        if transport is None:
            return STRANGER
        if transport not in self._peers:
            local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
            self._peers[transport] = peers.owner(local, remote) == self._uid
        return None if self._peers[transport] else STRANGER

    def _verify(self, exchange: Exchange) -> Grant | Deny:
        """Whose credential is it? Asked before a body is read, so that a stranger's body never is."""
        presented = admission.presented(exchange.inbound)
        if presented is None:
            return refusals.NO_CREDENTIAL
        if isinstance(presented, Deny):
            return presented
        verified = self._grants.broker.verify(presented, now())
        if isinstance(verified, Grant):
            exchange.grant, exchange.credential = verified, presented
        return verified

    async def _classify(self, exchange: Exchange, holder: Grant | Deny) -> Classified | Deny:
        """Step 3, with the body where the body decides."""
        request = exchange.request
        bill_to = exchange.inbound.one("x-hf-bill-to") or None
        found = routes.classify(request.method, request.raw_path, bill_to)
        if not isinstance(found, NeedBody):
            return found
        exchange.classified = Classified(found.route)
        if isinstance(holder, Deny):
            return holder
        body = await _read(request, found.limit)
        if body is None:
            return Deny(Refusal.BAD_BODY, f"this request's body is longer than {found.limit} bytes")
        exchange.body = body
        content_type, encoding = (
            exchange.inbound.one("content-type"),
            exchange.inbound.one("content-encoding"),
        )
        return routes.classify_body(found, body, content_type, encoding, bill_to)

    async def _special(
        self, exchange: Exchange, special: Special | None, holder: Grant | Deny
    ) -> web.StreamResponse | Deny:
        """Routes that no scope decides."""
        match special:
            case Special.TELEMETRY:
                return web.Response()
            case Special.KEYLESS if isinstance(holder, Grant) or holder is refusals.NO_CREDENTIAL:
                await self._recorder.decided(exchange, AllowAnonymous(()))
                return await self._forward(exchange, AllowAnonymous(()), None)
            case Special.WHOAMI if isinstance(holder, Grant):
                return await self._whoami(exchange, holder)
            case Special.MINTING:
                return self._refuse(exchange, MINTING)
            case _:
                return self._refuse(exchange, holder if isinstance(holder, Deny) else MINTING)

    async def _whoami(self, exchange: Exchange, grant: Grant) -> web.StreamResponse | Deny:
        held = self._held(grant)
        if isinstance(held, Deny):
            return self._refuse(exchange, held)
        await self._recorder.decided(exchange, Allow())
        return web.json_response(whoami.answer(held.account.identity, grant))

    async def _decided(
        self, exchange: Exchange, route: Route, access: Access, grant: Grant
    ) -> web.StreamResponse | Deny:
        """Steps 4 to 7: authorize, write it down, and only then forward."""
        held = self._held(grant)
        if isinstance(held, Deny):
            return self._refuse(exchange, held)
        access = access.owned_by(held.account.user)
        exchange.classified = Classified(route, access)
        decision = self._grants.broker.authorize(grant, access, now())
        if isinstance(decision, Deny):
            return self._refuse(exchange, decision)
        with self._grants.running.under(grant.id, exchange.request.transport):
            await self._recorder.decided(exchange, decision)
            return await self._forward(exchange, decision, held)

    def _held(self, grant: Grant) -> Held | Deny:
        """The grant's account, if its token may be used now."""
        held = self._accounts.get(grant.order.account)
        if self._accounts.locked:
            return Deny(Refusal.LOCKED, "the vault is locked; run: hf-proxy unlock")
        if held is None:
            return Deny(Refusal.ACCOUNT, f"account '{grant.order.account}' was logged out; run: hf-proxy login")
        return held

    def _refuse(self, exchange: Exchange, deny: Deny) -> Deny:
        """Write a no down: as a line for a known grant, counted otherwise."""
        if exchange.grant is None:
            return self._recorder.counted(deny)
        self._recorder.denied(exchange, deny)
        return deny

    async def _forward(self, exchange: Exchange, decision: Decision, held: Held | None) -> web.StreamResponse | Deny:
        """Steps 7 to 9: send, pass the answer on, write down how it ended."""
        accept = exchange.inbound.one("accept")
        relay = Relay(exchange.answer, accept, self._places, decision, exchange.credential, held)
        refusal: Refusal | None = None
        try:
            return await self._exchanged(exchange, relay, held if isinstance(decision, Allow) else None)
        except UpstreamError as error:
            relay.status, refusal = refusals.STATUS[Refusal.UPSTREAM], Refusal.UPSTREAM
            return Deny(refusal, str(error))
        except AccountError as error:
            relay.status, refusal = refusals.FORBIDDEN, Refusal.ACCOUNT
            return Deny(refusal, str(error))
        finally:
            self._recorder.completed(exchange, relay.status, relay.bytes_down, refusal)

    async def _exchanged(self, exchange: Exchange, relay: Relay, held: Held | None) -> web.StreamResponse:
        request = exchange.request
        up = headers.upward(request.headers.items())
        if relay.wants_plain:
            up = headers.replaced(up, "Accept-Encoding", "identity")
        body = exchange.body if exchange.body is not None else _streamed(exchange)
        upstream = await self._upstream.send(request.method, request.raw_path, up, body, held)
        async with upstream:
            return await relay.pass_on(request, upstream)

    def _to_the_hub(self, request: web.BaseRequest) -> web.Response:
        page = target.read(request.raw_path)
        if isinstance(page, Deny):
            return refusals.respond(page)
        return web.Response(status=302, headers={"Location": self._places.hub + page.raw})


STRANGER = Deny(Refusal.PEER, "this connection is not from the user this hf-proxy works for")
MINTING = Deny(
    Refusal.MINTING,
    "this address hands out or changes live tokens, which no scope can allow; do it at https://huggingface.co/settings",
)


async def _read(request: web.BaseRequest, limit: int) -> bytes | None:
    """A whole body of at most `limit` bytes; None if it is longer."""
    if (request.content_length or 0) > limit:
        return None
    _continue(request)
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


def _streamed(exchange: Exchange) -> AsyncIterator[bytes] | None:
    """The body as it comes; None if there is none to come."""
    return _counted(exchange) if exchange.request.can_read_body else None


async def _counted(exchange: Exchange) -> AsyncIterator[bytes]:
    _continue(exchange.request)
    async for part in exchange.request.content.iter_any():
        exchange.bytes_up += len(part)
        yield part


def _continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it (`Expect: 100-continue`) to send its body: nothing refused it so far."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
