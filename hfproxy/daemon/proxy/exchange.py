"""One request on its way through the data plane: what is known of it so far, and what it looks like to us.

A request comes by one of two ways (`daemon.visitor`): read by ourselves where it is plain, by aiohttp's server else.
From here on nobody can tell them apart, so that there is one policy for both.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfproxy.core.hub.classify import Classified
from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.grant import Grant, MatchingTrees
from hfproxy.daemon.listen.messages import IncomingRequest
from hfproxy.daemon.proxy.push import PushBody
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.peer_uid import Peer

if TYPE_CHECKING:
    pass


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
