"""The values that one HTTP exchange produces, one for each step of `daemon.proxy.handler`.

Each is frozen and complete when it is made, and a later one holds the earlier ones. A step that needs a value takes it
as an argument, so no step can read what an earlier one did not set. They are msgspec structs because several are made
for every request: a frozen dataclass or a named tuple takes four times as long to make.
"""

from typing import Final

import msgspec
from aiohttp import web

from hfproxy.core.hub.classify import Classification, Classified
from hfproxy.core.hub.route_table import ResponseKind, Route
from hfproxy.core.policy.access import Access
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny
from hfproxy.core.policy.grant import Grant, MatchingTrees
from hfproxy.daemon.accounts.model import AccountToken
from hfproxy.daemon.listen.interface import IncomingRequest
from hfproxy.daemon.proxy.push import PushBody
from hfproxy.daemon.proxy.recorder import MAX_PATH, RequestFacts
from hfproxy.daemon.runtime.peer_uid import Peer

# Methods whose requests change nothing, where no needs tell it (RFC 9110 §9.2.1).
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class Admitted(msgspec.Struct, frozen=True):
    """Steps 1 and 2: a request from a user that this daemon serves, or from a container, and from no web page.

    Attributes:
        peer: The process at the other end; None on the listener for containers, where the kernel cannot tell.
        received_at: Seconds since the epoch. The credential is verified as of this moment.
        started: The monotonic clock, for the duration in the journal.
    """

    request: IncomingRequest
    peer: Peer | None
    received_at: int
    started: float


class Identified(msgspec.Struct, frozen=True):
    """Step 3: a request with a grant, by its credential or by its process tree.

    Attributes:
        uid: The user in the journal: the grant's owner, or the peer where no credential was presented.
        credential: The bearer string; empty for an ambient grant.
    """

    admitted: Admitted
    uid: int | None
    grant: Grant
    credential: str


class Unidentified(msgspec.Struct, frozen=True):
    """Step 3: a request without a grant that it may use.

    Attributes:
        uid: The user that the refusal is counted for: the credential's owner, else the peer.
        deny: Why there is no grant; NO_CREDENTIAL where none was presented.
        grant: The credential's grant, if it is only refused on this listener. The journal names it.
    """

    admitted: Admitted
    uid: int | None
    deny: Deny
    grant: Grant | None = None
    credential: str = ""


class Operation(msgspec.Struct, frozen=True):
    """Step 4: what the request attempts.

    Attributes:
        access: The needs as the request names them; None for a special route, and while its body is unread.
        body: The whole request body, where it had to be read for the needs.
        push: The ref updates of a git push, and its unread pack.
    """

    route: Route
    access: Access | None = None
    body: bytes | None = None
    push: PushBody | None = None


class Prepared(msgspec.Struct, frozen=True):
    """Step 5: the access as the grant's account would make it.

    Attributes:
        account: The grant's account; a less powerful one of the same user may stand in for it (step 6).
        access: The needs, with the account's user where the request names none.
        trees: The ids of those grants, of this one and its ancestors, whose process tree the request comes from.
    """

    account: AccountToken
    access: Access
    trees: MatchingTrees


class Decided(msgspec.Struct, frozen=True):
    """Step 6: a request that is allowed, with or without the token.

    Attributes:
        access: The needs that were allowed; None for a special route.
        account: The account whose token is sent if the decision is Allow, and must not come back in any case.
        decided_at: Seconds since the epoch. The caveats were evaluated, and the use is counted, as of this moment.
        reply: The response, if it is made here and nothing is forwarded.
    """

    identified: Identified | Unidentified
    operation: Operation
    access: Access | None
    account: AccountToken | None
    decision: Allow | AllowAnonymous
    decided_at: int
    reply: web.Response | None = None


class Refused(msgspec.Struct, frozen=True):
    """A refusal of steps 1 to 6, with what its record and the form of its response depend on.

    Attributes:
        uid: The user that it is counted for, if there are no facts.
        facts: What the journal says of the request; None without a known grant: it is counted only.
        response_kind: What the route's clients can read.
        reads: Whether every need of the request is `read`.
        push: The git push that is refused, as far as it was read.
    """

    deny: Deny
    uid: int | None = None
    facts: RequestFacts | None = None
    response_kind: ResponseKind = ResponseKind.API
    reads: bool = False
    push: PushBody | None = None


def refuse(
    identified: Identified | Unidentified,
    deny: Deny,
    operation: Operation | None,
    access: Access | None = None,
    account: str | None = None,
) -> Refused:
    """Make the refusal of a request.

    Args:
        identified: The value of step 3.
        deny: Why.
        operation: The value of step 4; None if no route is known.
        access: The needs as of step 5 or 6, where they are known better than in `operation`.
        account: The account that was chosen in step 6, if it is not the grant's.
    """
    if operation is None:
        facts = None if identified.grant is None else facts_of(identified, None, account)
        return Refused(deny, identified.uid, facts)
    known = access or operation.access
    facts = None if identified.grant is None else facts_of(identified, known, account)
    reads = known is not None and known.is_read_only
    return Refused(deny, identified.uid, facts, operation.route.response_kind, reads, operation.push)


def facts_of(identified: Identified | Unidentified, access: Access | None, account: str | None) -> RequestFacts:
    """Return what the journal says of a request; `account` None: the grant's."""
    request, grant, grant_id = identified.admitted.request, identified.grant, None
    if grant is not None:
        grant_id, account = grant.id, account or grant.terms.account
    method, path = request.method, request.raw_path.partition("?")[0][:MAX_PATH]
    if access is None:
        return RequestFacts(identified.uid, grant_id, account, method, path, (), method not in SAFE_METHODS)
    return RequestFacts(identified.uid, grant_id, account, method, path, access.needs, not access.is_read_only)


def operation_of(classification: Classification) -> Operation | Deny:
    """Return as much of an operation as the head of the request tells; Deny: it is on no route."""
    if isinstance(classification, Deny):
        return classification
    return Operation(classification.route, classification.access if isinstance(classification, Classified) else None)
