"""The path of a request, in one module: from raw bytes to a decision, and on to the response.

`ProxyHandler.handle` names the steps of docs/architecture.md in their order. Each step is one function here, with its
number; it takes the values of the steps before it and returns a value of its own (`daemon.proxy.exchange`) or a
`Refused`. The first `Refused` is the answer. Whether a grant allows a request is said in one function, `_authorize`.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from msgspec.structs import replace

from hfproxy.core.hub import classify, request_target, whoami
from hfproxy.core.hub.classify import BodyRequired, Classification, Classified, RefUpdatesRequired
from hfproxy.core.hub.rewrite import UrlMap
from hfproxy.core.hub.route_table import SpecialRoute
from hfproxy.core.policy import account_choice, admission
from hfproxy.core.policy.access import SEE_AUDIT, Access, Action, Need, Target
from hfproxy.core.policy.admission import Listener
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny, Refusal
from hfproxy.core.policy.grant import NO_UID, Grant, MatchingTrees
from hfproxy.daemon.accounts.cache import AccountCache
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.listen.interface import IncomingRequest, OutgoingResponse, read_body
from hfproxy.daemon.proxy import push, refusals
from hfproxy.daemon.proxy.exchange import (
    Admitted,
    Decided,
    Identified,
    Operation,
    Prepared,
    Refused,
    Unidentified,
    facts_of,
    operation_of,
    refuse,
)
from hfproxy.daemon.proxy.forward import Forwarder
from hfproxy.daemon.proxy.push import PushBody
from hfproxy.daemon.proxy.recorder import RequestRecorder
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import VAULT_LOCKED, JournalError, StoreError

Response = OutgoingResponse | web.Response


class ProxyHandler:
    """Answers the requests of one listener: the loopback port, or the bridge of containers."""

    def __init__(
        self,
        listener: Listener,
        state: Path,
        upstream: UpstreamClient,
        accounts: AccountCache,
        grants: GrantRegistry,
        recorder: RequestRecorder,
        health: TokenHealth,
        account_by_namespace: Mapping[str, str],
    ) -> None:
        """Serve a listener.

        Args:
            listener: Its `Host` values, and whether it is the one for containers.
            state: The directory for spooled pushes.
            upstream: The Hub.
            accounts: Where tokens come from.
            grants: Where credentials are verified.
            recorder: The journal of requests.
            health: Told of every token that the Hub rejects.
            account_by_namespace: `[accounts]` of the config: namespace in lower case → account.
        """
        self._listener, self._state, self._account_by_namespace = listener, state, account_by_namespace
        self._accounts, self._grants, self._recorder = accounts, grants, recorder
        self._urls = UrlMap(upstream.origin.url, listener.endpoint)
        self._forwarder = Forwarder(upstream, self._urls, grants.broker, recorder, health)

    async def handle(self, request: IncomingRequest) -> Response:
        """Answer one request.

        1. peer, 2. admit → `Admitted`: a served user or a container, our own `Host`, no web page.
        3. identify → `Identified`: which grant the credential stands for; or `Unidentified`.
        4. classify → `Operation`: which route, which needs; the body is read where it decides.
        5. account → `Prepared`: the grant's account is usable, and what the needs are for its user.
        6. authorize → `Decided`: every caveat may object. Yes or no.
        7. record: on disk before the first byte goes upstream, unless it only reads.
        8. forward, 9. relay, 10. complete: `daemon.proxy.forward`.
        """
        admitted = self._admit(request)
        if isinstance(admitted, Refused):
            return await self._refuse(admitted)
        # Pure, and from the head alone. Before step 3, because some routes need no credential, not even an ambient one.
        classification = classify.classify(request.method, request.raw_path, request.headers.bill_to)
        identified = await self._identify(admitted, classification)
        if isinstance(identified, Refused):
            return await self._refuse(identified)
        if isinstance(identified, Unidentified):
            return await self._serve_unidentified(identified, classification)
        if isinstance(classification, Classified):  # nearly every request
            return await self._serve(identified, Operation(classification.route, classification.access))
        operation = await self._read_operation(identified, classification)
        try:
            if isinstance(operation, Refused):
                return await self._refuse(operation)
            return await self._serve(identified, operation)
        finally:
            if operation.push is not None:
                operation.push.close()

    async def _serve(self, identified: Identified, operation: Operation) -> Response:
        """Steps 5 to 10 of a request with a grant, or what takes their place on a special route."""
        special = operation.route.derives
        if isinstance(special, SpecialRoute) and special is not SpecialRoute.WHOAMI:
            return await self._serve_special(special, identified, operation)
        grant, peer = identified.grant, identified.admitted.peer
        trees = NO_TREES
        if grant.trees and peer is not None:
            trees = await self._grants.membership.matching_trees(grant, peer.inode)
        prepared = self._prepare(identified, operation, trees)
        if operation.push is not None and isinstance(prepared, Prepared):
            prepared = await self._narrow_push(identified, operation, operation.push, prepared)
        if isinstance(prepared, Refused):
            return await self._refuse(prepared)
        if special is SpecialRoute.WHOAMI:
            decided = self._authorize_whoami(identified, operation, prepared)
        else:
            decided = self._authorize(identified, operation, prepared)
        if isinstance(decided, Refused):
            return await self._refuse(decided)
        return await self._carry_out(decided)

    async def _serve_special(
        self, special: SpecialRoute, identified: Identified | Unidentified, operation: Operation
    ) -> Response:
        """Answer on a route that no grant can allow, and that may need none."""
        if special is SpecialRoute.TELEMETRY:  # dropped, and not recorded
            return web.Response()
        if special is SpecialRoute.UNAUTHENTICATED:  # forwarded as for everybody, without a token
            at = identified.admitted.received_at
            return await self._carry_out(Decided(identified, operation, None, None, AllowAnonymous(()), at))
        return await self._refuse(refuse(identified, MINTING, operation))

    async def _serve_unidentified(self, identified: Unidentified, classification: Classification) -> Response:
        """Answer a request that no grant stands behind: a few routes need none; the rest is refused."""
        deny, request, operation = identified.deny, identified.admitted.request, operation_of(classification)
        if self._listener.container:  # over the bridge, a credential is the only proof of who asks: nothing without it
            return await self._refuse(refuse(identified, deny, None if isinstance(operation, Deny) else operation))
        is_anonymous = deny.refusal is Refusal.NO_CREDENTIAL  # as against a credential that is not good
        if is_anonymous and admission.is_navigation(request.method, request.headers):
            return self._redirect_to_hub(request)
        if isinstance(operation, Deny):
            return await self._refuse(refuse(identified, operation, None))
        special = operation.route.derives
        if special is SpecialRoute.UNAUTHENTICATED and not is_anonymous:
            return await self._refuse(refuse(identified, deny, operation))
        if isinstance(special, SpecialRoute) and special is not SpecialRoute.WHOAMI:
            return await self._serve_special(special, identified, operation)
        return await self._refuse(refuse(identified, deny, operation))

    def _admit(self, request: IncomingRequest) -> Admitted | Refused:
        """Steps 1 and 2: whose connection it is, and whether a browser or another host name brought it here."""
        connection = request.connection
        if connection is None:
            return Refused(FOREIGN_PEER)
        connection.head_received()
        if not connection.is_admitted:
            return Refused(FOREIGN_PEER)
        peer = connection.peer
        deny = admission.admit(request.headers, self._listener)
        if deny is not None:
            return Refused(deny, None if peer is None else peer.uid)
        return Admitted(request, peer, now(), time.monotonic())

    async def _identify(
        self, admitted: Admitted, classification: Classification
    ) -> Identified | Unidentified | Refused:
        """Step 3: the grant of the credential, or of the process tree. Before step 4 reads the body of a stranger."""
        presented, peer = admitted.request.headers.credential, admitted.peer
        try:
            if isinstance(presented, str):
                return self._check_holder(
                    admitted, presented, await self._grants.verify(presented, admitted.received_at)
                )
            if presented is None and not self._listener.container:
                return await self._find_ambient(admitted, classification)
        except (JournalError, StoreError) as error:
            return Refused(Deny(Refusal.JOURNAL, str(error)))
        return Unidentified(admitted, None if peer is None else peer.uid, presented or UNKNOWN_CONTAINER)

    def _check_holder(self, admitted: Admitted, presented: str, grant: Grant | Deny) -> Identified | Unidentified:
        """Step 3, with a credential: whether it is presented by its owner, and on the listener that it is made for."""
        peer, on_bridge = admitted.peer, self._listener.container
        if isinstance(grant, Deny):
            return Unidentified(admitted, None if peer is None else peer.uid, grant)
        uid = grant.terms.uid
        # The kernel cannot tell the user behind a bridge, so there the credential alone counts, if it is made for it.
        if not on_bridge:
            wrong_owner = grant.refusal_for(NO_UID if peer is None else peer.uid)
            if wrong_owner is not None:
                return Unidentified(admitted, uid, wrong_owner)
        if grant.terms.container is not on_bridge:
            wrong_listener = ONLY_CONTAINERS if grant.terms.container else NOT_FOR_CONTAINERS
            return Unidentified(admitted, uid, wrong_listener, grant, presented)
        return Identified(admitted, uid, grant, presented)

    async def _find_ambient(self, admitted: Admitted, classification: Classification) -> Identified | Unidentified:
        """Step 3, without a credential: the ambient grant of the peer's process tree, never for a browser."""
        peer = admitted.peer
        route = classification.route.derives if isinstance(classification, Classified) else None
        grant = None
        if peer is not None and route not in WITHOUT_CREDENTIAL and not admitted.request.headers.has_browser_headers:
            grant = await self._grants.membership.ambient_grant(peer.inode)
        uid = None if peer is None else peer.uid
        if grant is None:
            return Unidentified(admitted, uid, refusals.NO_CREDENTIAL)
        return Identified(admitted, uid, grant, "")

    async def _read_operation(
        self, identified: Identified, classification: BodyRequired | RefUpdatesRequired | Deny
    ) -> Operation | Refused:
        """Step 4, where the head of the request does not tell the needs."""
        if isinstance(classification, Deny):
            return refuse(identified, classification, None)
        if isinstance(classification, BodyRequired):
            return await self._classify_body(identified, classification)
        return await self._classify_push(identified, classification)

    async def _classify_body(self, identified: Identified, need: BodyRequired) -> Operation | Refused:
        """Step 4, where the needs are in a JSON body, which is forwarded as its original bytes."""
        request = identified.admitted.request
        body = await read_body(request, need.limit)
        if body is None:
            too_long = Deny(Refusal.BAD_BODY, f"this request's body is longer than {need.limit} bytes{SEE_AUDIT}")
            return refuse(identified, too_long, Operation(need.route))
        fields = request.headers
        content_type, encoding = fields.one("content-type"), fields.one("content-encoding")
        classified = classify.classify_body(need, body, content_type, encoding, fields.bill_to)
        if isinstance(classified, Deny):
            return refuse(identified, classified, Operation(need.route))
        return Operation(classified.route, classified.access, body)

    async def _classify_push(self, identified: Identified, need: RefUpdatesRequired) -> Operation | Refused:
        """Step 4, where the needs are in the ref updates at the head of a git push."""
        request = identified.admitted.request
        if request.headers.one("content-encoding"):
            return refuse(identified, COMPRESSED_PUSH, Operation(need.route))
        pushed = await push.read(request.body(), need.target)
        if isinstance(pushed, Deny):
            return refuse(identified, pushed, Operation(need.route))
        classified = pushed.deny or classify.classified(need.route, pushed.needs(), request.headers.bill_to)
        if isinstance(classified, Deny):
            return refuse(identified, classified, Operation(need.route, push=pushed))
        return Operation(classified.route, classified.access, push=pushed)

    def _prepare(self, identified: Identified, operation: Operation, trees: MatchingTrees) -> Prepared | Refused:
        """Step 5: the grant's account, if its token may be used now, and the access that it would make."""
        terms = identified.grant.terms
        account = self._accounts.get(AccountKey(terms.uid, terms.account))
        if self._accounts.locked_to(terms.uid):
            return refuse(identified, LOCKED, operation)
        if account is None or account.account.login != terms.login:
            return refuse(identified, _logged_out(terms.account, again=account is not None), operation)
        if operation.access is not None:
            return Prepared(account, operation.access.resolved_for(account.account.user), trees)
        if operation.route.derives is SpecialRoute.WHOAMI:
            return Prepared(account, WHOAMI_ACCESS, trees)
        # No row of the table is like this today; if one were added, it is refused.
        return refuse(identified, MEANINGLESS, operation)

    async def _narrow_push(
        self, identified: Identified, operation: Operation, pushed: PushBody, prepared: Prepared
    ) -> Prepared | Refused:
        """Step 5 of a push that may lose history: the access that is left once its pack has proven what it can.

        Reading a pack means to spool up to 8 GiB, so it is done only if it can change the answer. Hence a push is
        evaluated up to three times: as it stands (allowed: nothing has to be proven, unless the grant learns what it is
        used for), as if all were proven (refused: so is the push), and in step 6, of what was proven, minutes later.
        """
        grant, at, evaluate = identified.grant, now(), self._grants.broker.evaluate
        if not pushed.unproven:
            return prepared
        if not grant.terms.learns and not isinstance(evaluate(grant, prepared.access, at, prepared.trees), Deny):
            return prepared
        at_best = pushed.access(prepared.access, pushed.unproven)
        if isinstance(evaluate(grant, at_best, at, prepared.trees), Deny):
            return prepared
        proven = await pushed.prove_fast_forward(self._state)
        if isinstance(proven, Deny):
            return refuse(identified, proven, operation)
        return Prepared(prepared.account, pushed.access(prepared.access, proven), prepared.trees)

    def _authorize(self, identified: Identified, operation: Operation, prepared: Prepared) -> Decided | Refused:
        """Step 6: yes, yes without the token, or no. This is the function that says it.

        The clock is read once, the caveats are evaluated once, and the use is counted as of the same moment. It is no
        coroutine, so nothing happens in between.
        """
        grant, access, decided_at = identified.grant, prepared.access, now()
        decision = self._grants.broker.evaluate(grant, access, decided_at, prepared.trees)
        account = self._choose_account(grant, access, prepared.account)
        if account.account.revoked_at is not None and not isinstance(decision, AllowAnonymous):
            decision = Deny(Refusal.ACCOUNT, account.account.revoked or "")
        if isinstance(decision, Deny):
            return refuse(identified, decision, operation, access, account.account.name)
        self._grants.broker.count_use(grant, decided_at)
        return Decided(identified, operation, access, account, decision, decided_at)

    def _authorize_whoami(self, identified: Identified, operation: Operation, prepared: Prepared) -> Decided | Refused:
        """Step 6 of whoami: it needs no scope, but every other caveat may object. No use is counted."""
        grant, account, decided_at = identified.grant, prepared.account.account, now()
        decision = self._grants.broker.evaluate(grant, prepared.access, decided_at, prepared.trees)
        if isinstance(decision, Deny) and not _objects_to_scope_only(decision):
            return refuse(identified, decision, operation)
        if account.revoked is not None:
            return refuse(identified, Deny(Refusal.ACCOUNT, account.revoked), operation)
        reply = web.json_response(whoami.whoami_json(account.identity, grant))
        return Decided(identified, operation, None, None, Allow(), decided_at, reply)

    def _choose_account(self, grant: Grant, access: Access, default: AccountToken) -> AccountToken:
        """Return the account whose token is attached: the named one, else the least powerful that suffices."""
        if grant.terms.named:
            return default
        uid = grant.terms.uid
        usable = self._accounts.usable(uid)
        name = account_choice.choose(access, grant.terms.account, usable, self._account_by_namespace)
        if name == default.account.name:
            return default
        return self._accounts.get(AccountKey(uid, name)) or default

    async def _carry_out(self, decided: Decided) -> Response:
        """Steps 7 to 10 of an allowed request."""
        try:
            outcome = await self._record_and_forward(decided)
            if isinstance(outcome, Deny) and outcome.refusal is Refusal.EXPIRED:
                await self._grants.expire_due()
        except (JournalError, StoreError) as error:
            outcome = Deny(Refusal.JOURNAL, str(error))
        if not isinstance(outcome, Deny):
            return outcome
        operation, access = decided.operation, decided.access
        reads = access is not None and access.is_read_only
        return await _respond(Refused(outcome, None, None, operation.route.response_kind, reads, operation.push))

    async def _record_and_forward(self, decided: Decided) -> Response | Deny:
        """Step 7: on disk before the first byte goes upstream. Then 8 to 10, unless the response is made here.

        The connection is registered before anything is awaited: if the grant ends from here on, it is aborted.
        """
        identified, access, token = decided.identified, decided.access, decided.account
        admitted = identified.admitted
        grant = None if access is None else identified.grant  # a special route is no use of a grant
        transport = None if grant is None else self._grants.connections.add(grant.id, admitted.request.transport)
        try:
            if grant is not None:
                await self._grants.persist_use(grant)
            facts = facts_of(identified, access, None if token is None else token.account.name)
            recorded = await self._recorder.decided(facts, decided.decision, admitted.started)
            return await self._forwarder.forward(decided, recorded) if decided.reply is None else decided.reply
        finally:
            if grant is not None and transport is not None:
                self._grants.mark_dirty(grant)
                self._grants.connections.remove(grant.id, transport)

    async def _refuse(self, refused: Refused) -> web.Response:
        """Step 7 of a refusal: a line in the journal for a known grant, a count otherwise. Then the response."""
        deny = refused.deny
        try:
            if refused.facts is not None:
                self._recorder.denied(refused.facts, deny)
            elif deny.refusal is not Refusal.JOURNAL:  # of which nothing can be recorded
                self._recorder.count_unidentified(deny, refused.uid)
            if deny.refusal is Refusal.EXPIRED:
                await self._grants.expire_due()
        except (JournalError, StoreError) as error:
            refused = replace(refused, deny=Deny(Refusal.JOURNAL, str(error)))
        return await _respond(refused)

    def _redirect_to_hub(self, request: IncomingRequest) -> web.Response:
        """Send a person's browser to the same page of the Hub."""
        page = request_target.parse(request.raw_path)
        if isinstance(page, Deny):
            return refusals.refusal_response(page)
        return web.Response(status=302, headers={"Location": self._urls.hub + page.raw})


NO_TREES: MatchingTrees = frozenset()
# Of whoami, any scope's objection is dropped; the need is there for the caveats that object to every request.
WHOAMI_ACCESS = Access((Need(Action.READ, Target(None, None)),))
# Clients call them without a credential, so none is looked for in the process tree.
WITHOUT_CREDENTIAL = frozenset({SpecialRoute.UNAUTHENTICATED, SpecialRoute.TELEMETRY})
COMPRESSED_PUSH = Deny(Refusal.BAD_BODY, f"this push is refused: it must not be compressed as a whole{SEE_AUDIT}")
LOCKED = Deny(Refusal.LOCKED, VAULT_LOCKED)
MEANINGLESS = Deny(Refusal.UNKNOWN_ROUTE, f"this operation has no meaning that a scope could allow{SEE_AUDIT}")
FOREIGN_PEER = Deny(Refusal.PEER, "this hf-proxy does not serve your user; start your own: hf-proxy daemon")
UNKNOWN_CONTAINER = Deny(
    Refusal.NO_CREDENTIAL,
    "no credential came with the request; run the container under: hf-proxy exec --container -- docker run IMAGE",
)
ONLY_CONTAINERS = Deny(
    Refusal.HOLDER, "this credential is for containers only; get one for this machine: hf-proxy exec -- CMD"
)
NOT_FOR_CONTAINERS = Deny(
    Refusal.HOLDER,
    "this credential is not for containers; get one that is: hf-proxy exec --container -- docker run IMAGE",
)
MINTING = Deny(
    Refusal.MINTING,
    "this address hands out or changes live tokens, which no scope can allow; do it at https://huggingface.co/settings",
)


def _logged_out(account: str, *, again: bool) -> Deny:
    """Return the refusal of a grant from before a logout. `again`: the account was logged in again since then."""
    if again:
        text = f"account '{account}' was logged in again; start the command again: hf-proxy exec -- CMD"
    else:
        text = f"account '{account}' was logged out; run: hf-proxy login"
    return Deny(Refusal.ACCOUNT, text)


def _objects_to_scope_only(deny: Deny) -> bool:
    refused = {objection.refusal for objection in deny.objections}
    return bool(refused) and refused <= {Refusal.SCOPE, Refusal.STRICT}


async def _respond(refused: Refused) -> web.Response:
    """Word a refusal for the client that will print it."""
    report = None if refused.push is None else await refused.push.refusal_response(refused.deny)
    if report is not None:
        return report
    return refusals.refusal_response(refused.deny, refused.response_kind, reads=refused.reads)
