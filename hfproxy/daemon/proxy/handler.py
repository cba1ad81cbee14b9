"""The data plane: the way of one request, from the socket to a decision, and on from there.

The steps are those of docs/architecture.md, in this order: peer, admit, classify, authorize, journal, deny or forward.
Whatever is not understood on the way is refused.
"""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from hfproxy.core.hub import classify, request_target, whoami
from hfproxy.core.hub.classify import Classification, Classified, NeedBody, NeedRefUpdates
from hfproxy.core.hub.rewrite import UrlMap
from hfproxy.core.hub.route_table import SpecialRoute
from hfproxy.core.policy import account_choice, admission
from hfproxy.core.policy.access import SEE_AUDIT, Access, Action, Need, Target
from hfproxy.core.policy.admission import Listener
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny, Refusal
from hfproxy.core.policy.grant import NO_UID, Grant
from hfproxy.daemon.accounts.cache import AccountCache
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.listen.messages import IncomingRequest, OutgoingResponse, read_body
from hfproxy.daemon.proxy import push, refusals
from hfproxy.daemon.proxy.exchange import Exchange
from hfproxy.daemon.proxy.forward import Forwarder
from hfproxy.daemon.proxy.push import PushBody
from hfproxy.daemon.proxy.recorder import RequestRecorder
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import VAULT_LOCKED, JournalError, StoreError


class ProxyHandler:
    """Serves a listener: the loopback port, or the bridge of containers."""

    def __init__(
        self,
        listener: Listener,
        state: Path,
        upstream: UpstreamClient,
        accounts: AccountCache,
        grants: GrantRegistry,
        recorder: RequestRecorder,
        standing: TokenHealth,
        rules: Mapping[str, str],
    ) -> None:
        """`state` is where a push that has to be looked into is held back; `rules`: namespace → account."""
        self._listener, self._state, self._rules = listener, state, rules
        self._accounts, self._grants, self._recorder = accounts, grants, recorder
        self._urls = UrlMap(upstream.origin.url, listener.endpoint)
        self._forward = Forwarder(upstream, self._urls, grants.broker, recorder, standing)

    async def handle(self, request: IncomingRequest) -> OutgoingResponse | web.Response:
        """Answer one request. Every no comes back from `_steps` as a value and is worded here."""
        exchange = Exchange(request)
        try:
            outcome = await self._decide_and_forward(exchange)
            if isinstance(outcome, Deny) and outcome.refusal is Refusal.EXPIRED:
                await self._grants.expire_due()
        except (JournalError, StoreError) as error:
            outcome = Deny(Refusal.JOURNAL, str(error))
        finally:
            if exchange.push is not None:
                exchange.push.close()
        if not isinstance(outcome, Deny):
            return outcome
        said = await exchange.push.refusal_response(outcome) if exchange.push is not None else None
        return said or refusals.refusal_response(outcome, exchange.send_response, reads=exchange.reads)

    async def _decide_and_forward(self, exchange: Exchange) -> OutgoingResponse | web.Response | Deny:
        request = exchange.request
        stranger = self._check_peer(exchange) or admission.admit(request.headers, self._listener)
        if stranger is not None:
            return self._recorder.count_unidentified(stranger, exchange.uid)
        found = classify.classify(request.method, request.raw_path, request.headers.bill_to)
        holder = await self._identify(exchange, found)
        # Over the bridge nothing is said or done without a credential.
        no_container_credential = holder if self._listener.container and isinstance(holder, Deny) else None
        if (
            not no_container_credential
            and holder is refusals.NO_CREDENTIAL
            and admission.is_navigation(request.method, request.headers)
        ):
            return self._redirect_to_hub(request)
        classified = found if isinstance(found, Classified) else await _read(exchange, found, holder)
        if isinstance(classified, Deny):
            return self._refuse(exchange, no_container_credential or classified)
        exchange.classified = classified
        if isinstance(classified.route.derives, SpecialRoute) and not no_container_credential:
            return await self._special(exchange, classified.route.derives, holder)
        if isinstance(holder, Deny):
            return self._refuse(exchange, holder)
        return await self._decided(exchange, classified, holder)

    def _check_peer(self, exchange: Exchange) -> Deny | None:
        """Step 1: the connection belongs to one who is served here."""
        visitor = exchange.request.connection
        if visitor is None:
            return FOREIGN_PEER
        visitor.head_received()
        if not visitor.is_admitted:
            return FOREIGN_PEER
        exchange.peer, exchange.uid = visitor.peer, visitor.peer and visitor.peer.uid
        return None

    async def _identify(self, exchange: Exchange, found: Classification) -> Grant | Deny:
        """Whose credential is it? Asked before a body is read, so that a stranger's body never is."""
        presented = exchange.request.headers.credential
        if presented is None and self._listener.container:
            return UNKNOWN_CONTAINER
        if presented is None:
            return await self._ambient(exchange, found) or refusals.NO_CREDENTIAL
        if isinstance(presented, Deny):
            return presented
        verified = await self._grants.verify(presented)
        if isinstance(verified, Deny):
            return verified
        exchange.uid = verified.terms.uid
        # Who is behind a bridge the kernel does not know; there only a credential made for it is good.
        if not self._listener.container:
            wrong_owner = verified.refusal_for(exchange.peer.uid if exchange.peer else NO_UID)
            if wrong_owner is not None:
                return wrong_owner
        exchange.grant, exchange.credential = verified, presented
        return self._check_listener(verified) or verified

    def _check_listener(self, grant: Grant) -> Deny | None:
        """A credential for containers is good for them alone, and no other is good for them."""
        if grant.terms.container is self._listener.container:
            return None
        return ONLY_CONTAINERS if grant.terms.container else NOT_FOR_CONTAINERS

    async def _ambient(self, exchange: Exchange, found: Classification) -> Grant | None:
        """The grant of the tree that the request comes from, if that tree needs no credential; never for a browser."""
        keyless = isinstance(found, Classified) and found.route.derives in {
            SpecialRoute.UNAUTHENTICATED,
            SpecialRoute.TELEMETRY,
        }
        if keyless or exchange.peer is None or exchange.request.headers.has_browser_headers:
            return None
        exchange.grant = await self._grants.ambient_grant(exchange.peer.inode)
        return exchange.grant

    async def _special(
        self, exchange: Exchange, special: SpecialRoute, holder: Grant | Deny
    ) -> OutgoingResponse | web.Response | Deny:
        """Routes that no scope decides."""
        match special:
            case SpecialRoute.TELEMETRY:
                return web.Response()
            case SpecialRoute.UNAUTHENTICATED if isinstance(holder, Grant) or holder is refusals.NO_CREDENTIAL:
                await self._recorder.decided(exchange, AllowAnonymous(()))
                return await self._forward.forward(exchange, AllowAnonymous(()), None)
            case SpecialRoute.WHOAMI if isinstance(holder, Grant):
                return await self._whoami(exchange, holder)
            case SpecialRoute.MINTING:
                return self._refuse(exchange, MINTING)
            case _:
                return self._refuse(exchange, holder if isinstance(holder, Deny) else MINTING)

    async def _whoami(self, exchange: Exchange, grant: Grant) -> OutgoingResponse | web.Response | Deny:
        held = self._usable_account(grant)
        if isinstance(held, Deny):
            return self._refuse(exchange, held)
        await self._find_inside(exchange, grant)
        decision = self._grants.broker.evaluate(grant, WHOAMI_ACCESS, exchange.at, exchange.matching_trees)
        if isinstance(decision, Deny) and not _for_scope_alone(decision):
            return self._refuse(exchange, decision)
        if held.account.revoked is not None:
            return self._refuse(exchange, Deny(Refusal.ACCOUNT, held.account.revoked))
        await self._recorder.decided(exchange, Allow())
        return web.json_response(whoami.whoami_json(held.account.identity, grant))

    async def _decided(
        self, exchange: Exchange, classified: Classified, grant: Grant
    ) -> OutgoingResponse | web.Response | Deny:
        """Steps 4 to 7: authorize, write it down, and only then forward."""
        held = self._usable_account(grant)
        if isinstance(held, Deny):
            return self._refuse(exchange, held)
        if grant.trees:
            await self._find_inside(exchange, grant)
        access = self._access(classified, held)
        if isinstance(access, Access) and exchange.push is not None:
            access = await self._narrow_push(exchange, exchange.push, grant, access)
        if isinstance(access, Deny):
            return self._refuse(exchange, access)
        if access is not classified.access:
            exchange.classified = Classified(classified.route, access)
        held = self._choose_account(exchange, grant, access, held)
        if held.account.revoked is not None and not self._would_be_anonymous(exchange, grant, access):
            return self._refuse(exchange, Deny(Refusal.ACCOUNT, held.account.revoked))
        exchange.at = now()
        decision = self._grants.broker.authorize(grant, access, exchange.at, exchange.matching_trees)
        if isinstance(decision, Deny):
            return self._refuse(exchange, decision)
        connection = self._grants.connections.add(grant.id, exchange.request.transport)
        try:
            await self._grants.persist_use(grant)
            await self._recorder.decided(exchange, decision)
            return await self._forward.forward(exchange, decision, held)
        finally:
            self._grants.mark_dirty(grant)
            self._grants.connections.remove(grant.id, connection)

    async def _find_inside(self, exchange: Exchange, grant: Grant) -> None:
        if exchange.peer is not None:
            exchange.matching_trees = await self._grants.matching_trees(grant, exchange.peer.inode)

    def _choose_account(self, exchange: Exchange, grant: Grant, access: Access, own: AccountToken) -> AccountToken:
        """Whose token is put on it: the account that was asked for, else the least powerful that can do it."""
        if grant.terms.named:
            return own
        uid = grant.terms.uid
        name = account_choice.choose(access, grant.terms.account, self._accounts.usable(uid), self._rules)
        held = own if name == own.account.name else self._accounts.get(AccountKey(uid, name)) or own
        exchange.token_account = held.account.name
        return held

    def _access(self, classified: Classified, held: AccountToken) -> Access | Deny:
        """What is attempted, by this account."""
        if classified.access is None:
            return Deny(Refusal.UNKNOWN_ROUTE, f"this operation has no meaning that a scope could allow{SEE_AUDIT}")
        return classified.access.resolved_for(held.account.user)

    async def _narrow_push(self, exchange: Exchange, pushed: PushBody, grant: Grant, access: Access) -> Access | Deny:
        """What a push attempts: it needs less where it can be proven to lose nothing.

        So it is looked into if that would allow it, and only then: with `delete` granted nothing is held back, but to
        learn what is needed.
        """
        if not pushed.unproven:
            return access
        if not grant.terms.learns and self._would_allow(exchange, grant, access):
            return access
        at_best = pushed.access(access, pushed.unproven)
        if not self._would_allow(exchange, grant, at_best):
            return access
        proven = await pushed.prove_fast_forward(self._state)
        return proven if isinstance(proven, Deny) else pushed.access(access, proven)

    def _would_allow(self, exchange: Exchange, grant: Grant, access: Access) -> bool:
        return not isinstance(self._grants.broker.evaluate(grant, access, now(), exchange.matching_trees), Deny)

    def _would_be_anonymous(self, exchange: Exchange, grant: Grant, access: Access) -> bool:
        """Whether this is a read that is forwarded without a token anyway."""
        decision = self._grants.broker.evaluate(grant, access, now(), exchange.matching_trees)
        return isinstance(decision, AllowAnonymous)

    def _usable_account(self, grant: Grant) -> AccountToken | Deny:
        """The grant's account, if its token may be used now."""
        held = self._accounts.get(AccountKey(grant.terms.uid, grant.terms.account))
        if self._accounts.locked_to(grant.terms.uid):
            return Deny(Refusal.LOCKED, VAULT_LOCKED)
        if held is None or held.account.login != grant.terms.login:
            return Deny(Refusal.ACCOUNT, f"account '{grant.terms.account}' was logged out; run: hf-proxy login")
        return held

    def _refuse(self, exchange: Exchange, deny: Deny) -> Deny:
        """Write a no down: as a line for a known grant, counted otherwise."""
        if exchange.grant is None:
            return self._recorder.count_unidentified(deny, exchange.uid)
        self._recorder.denied(exchange, deny)
        return deny

    def _redirect_to_hub(self, request: IncomingRequest) -> web.Response:
        page = request_target.parse(request.raw_path)
        if isinstance(page, Deny):
            return refusals.refusal_response(page)
        return web.Response(status=302, headers={"Location": self._urls.hub + page.raw})


# Who one is needs no scope; all else that can be objected to is.
WHOAMI_ACCESS = Access((Need(Action.READ, Target(None, None)),))
FOREIGN_PEER = Deny(
    Refusal.PEER, "this connection is not from a user this hf-proxy works for; start your own: hf-proxy daemon"
)
UNKNOWN_CONTAINER = Deny(
    Refusal.NO_CREDENTIAL,
    "no credential came with the request; run the container under: hf-proxy exec --container -- docker run IMAGE",
)
ONLY_CONTAINERS = Deny(
    Refusal.HOLDER, "this credential is for containers only; get another one: hf-proxy exec -- CMD, without --container"
)
NOT_FOR_CONTAINERS = Deny(
    Refusal.HOLDER,
    "this credential is not for containers; get one that is: hf-proxy exec --container -- docker run IMAGE",
)
MINTING = Deny(
    Refusal.MINTING,
    "this address hands out or changes live tokens, which no scope can allow; do it at https://huggingface.co/settings",
)


def _for_scope_alone(deny: Deny) -> bool:
    refusals_of = {no.refusal for no in deny.objections}
    return bool(refusals_of) and refusals_of <= {Refusal.SCOPE, Refusal.STRICT}


async def _read(exchange: Exchange, found: NeedBody | NeedRefUpdates | Deny, holder: Grant | Deny) -> Classified | Deny:
    """Step 3, with the body where the body decides."""
    if isinstance(found, Deny):
        return found
    exchange.classified = Classified(found.route)
    if isinstance(holder, Deny):
        return holder
    match found:
        case NeedBody():
            return await _classify_body(exchange, found)
        case NeedRefUpdates():
            return await _classify_push(exchange, found)


async def _classify_body(exchange: Exchange, need: NeedBody) -> Classified | Deny:
    body = await read_body(exchange.request, need.limit)
    if body is None:
        return Deny(Refusal.BAD_BODY, f"this request's body is longer than {need.limit} bytes{SEE_AUDIT}")
    exchange.body = body
    fields = exchange.request.headers
    content_type, encoding = fields.one("content-type"), fields.one("content-encoding")
    return classify.classify_body(need, body, content_type, encoding, fields.bill_to)


async def _classify_push(exchange: Exchange, need: NeedRefUpdates) -> Classified | Deny:
    if exchange.request.headers.one("content-encoding"):
        return Deny(Refusal.BAD_BODY, f"this push is refused: it must not be compressed as a whole{SEE_AUDIT}")
    read = await push.read(exchange.request.body(), need.target)
    if isinstance(read, Deny):
        return read
    exchange.push = read
    return read.deny or classify.classified(need.route, read.needs(), exchange.request.headers.bill_to)
