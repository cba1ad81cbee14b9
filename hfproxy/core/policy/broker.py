"""The broker: which credential stands for which grant, and whether a grant allows an access.

The rules it keeps:

* Only the digest of a credential is known here. The string leaves `mint` once and is forgotten.
* `verify` answers whose it is; `authorize` lets every caveat of the grant *and of its ancestors* object.
* A child adds caveats to its parent's and dies with it: minting from a parent never allows more.
* A grant has an owner, a user of this machine, and so have all that were minted from it. With anybody else its
  credential is worth nothing.
* A use is counted for the grant and for all its ancestors, when it was allowed.
* A grant that ended never comes back, and its credential is told apart from one never seen.
* A grant of an earlier daemon may be asleep (`core.asleep`). It is read when it is first asked for, after all above it;
  nothing can tell the difference.

Left to others: what time it is, random bytes, processes, the journal and the network.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter

from hfproxy.core.policy import credential
from hfproxy.core.policy.access import Access
from hfproxy.core.policy.caveats import Expires, InScopes, MaxBytes
from hfproxy.core.policy.decide import RUN_AGAIN, decide
from hfproxy.core.policy.decision import Decision, Deny, Objection, Refusal
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms, MatchingTrees, id_of
from hfproxy.core.policy.unloaded_grants import GrantSummary, UnloadedGrants
from hfproxy.errors import RefusedError, StoreError

# Ended credentials that are still told apart from unknown ones; the oldest are forgotten first.
MAX_ENDED = 10_000


@dataclass(slots=True)
class Broker:
    """All living grants, and the digests of lately ended ones."""

    _grants: dict[str, Grant] = field(default_factory=dict)
    _by_digest: dict[bytes, Grant] = field(default_factory=dict)
    _children: dict[str, dict[str, None]] = field(default_factory=dict)
    _ended: OrderedDict[bytes, Refusal] = field(default_factory=OrderedDict)
    _asleep: UnloadedGrants = field(default_factory=UnloadedGrants)
    _read: Callable[[str], Grant | None] = field(default=lambda _: None)

    def mint(self, order: GrantTerms, entropy: bytes, at: int) -> tuple[Grant, str]:
        """Make a grant and the credential that stands for it.

        Raises:
            RefusedError: there is no such parent, or it is another user's.
            ValueError: no scopes, no lifetime, or entropy of the wrong size.
        """
        if not order.scopes or order.ttl <= 0:
            msg = "a grant has at least one scope and a positive lifetime"
            raise ValueError(msg)
        expires_at = at + order.ttl
        if order.parent is not None:
            parent = self.grant(order.parent)
            if parent.refusal_for(order.uid):
                raise no_such_grant(order.parent)
            expires_at = min(expires_at, parent.expires_at)
        bearer = credential.encode(entropy)
        digest = credential.digest(bearer)
        caveats = (Expires(expires_at), InScopes(order.scopes, order.strict), *order.caveats)
        grant = Grant(id_of(digest), digest, order, caveats, at, expires_at)
        self._add(grant)
        return grant, bearer

    def restore(self, briefs: Iterable[GrantSummary], read: Callable[[str], Grant | None]) -> None:
        """Know what an earlier daemon minted, the oldest first. `read` gives the grant of an id as it was then, when it
        is first asked for; None: it is not to be understood, and so neither it nor what was minted from it is a grant.
        What `read` raises, whoever asked gets, and may ask again.
        """
        self._asleep, self._read = UnloadedGrants(briefs), read

    def remember_ended(self, digest: bytes, how: Refusal) -> None:
        """Tell a credential that ended before apart from one never seen."""
        self._ended[digest] = how

    def renew(self, grant_id: str, expires_at: int, at: int) -> Grant:
        """Move a grant's end, which is never after its parent's. Its credential stays what it is.

        One that is to be renewed as long as its process lives may be overdue: the machine slept, and the process lives.

        Raises:
            RefusedError: there is no such grant, or it is over already.
        """
        grant = self.grant(grant_id)
        if at >= grant.expires_at and not grant.terms.renews:
            raise RefusedError(f"grant '{grant_id[:64]}' has expired; get a new one: hf-proxy exec -- CMD")
        if grant.terms.parent is not None:
            expires_at = min(expires_at, self.grant(grant.terms.parent).expires_at)
        grant.expires_at = expires_at
        grant.caveats = (Expires(expires_at), *grant.caveats[1:])
        return grant

    def subtree(self, grant_id: str) -> tuple[Grant, ...]:
        """A grant and all that were minted from it, parents first; nothing if it has ended."""
        top = self.find(grant_id)
        found = [] if top is None else [top]
        for one in found:  # grows while it is walked
            self._load_to_end(self._asleep.children(one.id))
            found += [self._grants[child] for child in self._children.get(one.id, ())]
        return tuple(found)

    def find(self, grant_id: str) -> Grant | None:
        """The living grant of that id; None: there is none."""
        self._load([grant_id])
        return self._grants.get(grant_id)

    def grant(self, grant_id: str) -> Grant:
        """The living grant of that id.

        Raises:
            RefusedError: there is none.
        """
        grant = self.find(grant_id)
        if grant is None:
            raise no_such_grant(grant_id)
        return grant

    def is_alive(self, grant: Grant) -> bool:
        """Whether it has not ended; only then all above it are there."""
        return self._by_digest.get(grant.digest) is grant

    def grants(self) -> tuple[Grant, ...]:
        """All living grants, the oldest first; those of one second in any order."""
        self._load(self._asleep.ids())
        return tuple(sorted(self._grants.values(), key=attrgetter("minted_at")))

    def loaded(self) -> tuple[Grant, ...]:
        """Those that somebody has asked for: only they are used, and only under them anything runs."""
        return tuple(self._grants.values())

    def count(self, uid: int | None = None) -> int:
        """How many are alive, a user's or all; none is read for that."""
        awake = len(self._grants) if uid is None else sum(one.terms.uid == uid for one in self._grants.values())
        return awake + self._asleep.count(uid)

    def verify(self, bearer: str, at: int) -> Grant | Deny:
        """Whose credential is this? The look-up is by digest, so its time says nothing about the string."""
        digest = credential.digest(bearer)
        grant = self._by_digest.get(digest)
        if grant is None:
            self._load([id_of(digest)])
            grant = self._by_digest.get(digest)
        if grant is None or not hmac.compare_digest(grant.digest, digest):
            return _ended_refusal(self._ended.get(digest, Refusal.UNKNOWN_CREDENTIAL))
        if at >= grant.expires_at:
            return _ended_refusal(Refusal.EXPIRED)
        return grant

    def authorize(self, grant: Grant, access: Access, at: int, inside: MatchingTrees = frozenset()) -> Decision:
        """The decision, and where it is not a no, the use is counted."""
        decision = self.evaluate(grant, access, at, inside)
        if not isinstance(decision, Deny):
            for ancestor in (grant, *grant.ancestors):
                ancestor.use(at)
        return decision

    def evaluate(self, grant: Grant, access: Access, at: int, inside: MatchingTrees = frozenset()) -> Decision:
        """Collect every objection to every need; none means yes. Nothing is counted.

        `inside`: the ids of those grants bound to a tree of processes that the request comes from.
        """
        if not self.is_alive(grant):
            return _ended_refusal(self._ended.get(grant.digest, Refusal.UNKNOWN_CREDENTIAL))
        objections: list[Objection] = []
        for ancestor in (grant, *grant.ancestors):
            moment = ancestor.usage_at(at, inside=ancestor.id in inside)
            for caveat in ancestor.caveats:
                objections += caveat.prohibits(access, moment)
        return decide(access, tuple(objections), bound=grant.terms.bind is not Bind.NONE)

    def count_bytes(self, grant: Grant, *, up: int = 0, down: int = 0) -> Deny | None:
        """Count bytes that are about to pass, for the grant and all above; if they may not, none is counted."""
        deny = self.check_bytes(grant, up=up, down=down)
        if deny is None:
            for ancestor in (grant, *grant.ancestors):
                ancestor.bytes_up += up
                ancestor.bytes_down += down
        return deny

    def check_bytes(self, grant: Grant, *, up: int = 0, down: int = 0) -> Deny | None:
        """Whether so many bytes more would be within every limit, and the grant still lives."""
        if not self.is_alive(grant):
            return _ended_refusal(self._ended.get(grant.digest, Refusal.UNKNOWN_CREDENTIAL))
        for ancestor in (grant, *grant.ancestors) if grant.is_limited else ():
            for caveat in ancestor.caveats:
                if isinstance(caveat, MaxBytes) and not caveat.admits(
                    ancestor.bytes_up + up, ancestor.bytes_down + down
                ):
                    return Deny(Refusal.LIMIT, caveat.objection.why + RUN_AGAIN, (caveat.objection,))
        return None

    def lineage(self, grant: Grant) -> tuple[Grant, ...]:
        """The grant, its parent, and so on up. A parent lives as long as its children: `revoke`."""
        return (grant, *grant.ancestors)

    def revoke(self, grant_id: str) -> tuple[Grant, ...]:
        """End a grant and all that were minted from it. Returns those that ended; none if it had already."""
        return self._end(grant_id, Refusal.REVOKED)

    def expire(self, at: int) -> tuple[Grant, ...]:
        """End what is over at this second. Returns those that ended."""
        self._load_to_end(self._asleep.due(at))
        over = [grant.id for grant in self._grants.values() if at >= grant.expires_at]
        return tuple(ended for grant_id in over for ended in self._end(grant_id, Refusal.EXPIRED))

    def _load(self, grant_ids: Iterable[str]) -> None:
        """Read those that are asleep, each after what it was minted from."""
        for grant_id in grant_ids:
            for brief in reversed(self._asleep.ancestors(grant_id)):
                grant = self._read(brief.id)
                self._asleep.remove(brief.id)
                is_rooted = brief.parent is None or brief.parent in self._grants
                if grant is not None and grant.brief == brief and is_rooted:
                    self._add(grant)

    def _load_to_end(self, grant_ids: Iterable[str]) -> None:
        """The same for what ends. What cannot be read holds up no end: it cannot be used either, and once what it was
        minted from is gone, never."""
        for grant_id in grant_ids:
            with suppress(StoreError):
                self._load([grant_id])

    def _add(self, grant: Grant) -> None:
        self._grants[grant.id] = grant
        self._by_digest[grant.digest] = grant
        if grant.terms.parent is not None:
            self._children.setdefault(grant.terms.parent, {})[grant.id] = None
            grant.set_parent(self._grants[grant.terms.parent])

    def _end(self, grant_id: str, how: Refusal) -> tuple[Grant, ...]:
        return tuple(self._forget(grant.id, how) for grant in reversed(self.subtree(grant_id)))

    def _forget(self, grant_id: str, how: Refusal) -> Grant:
        grant = self._grants.pop(grant_id)
        del self._by_digest[grant.digest]
        self._children.pop(grant_id, None)
        self._children.get(grant.terms.parent or "", {}).pop(grant_id, None)
        self._ended[grant.digest] = how
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        return grant


def no_such_grant(grant_id: str) -> RefusedError:
    """Return the refusal for a grant that does not exist, has ended, or is not visible to the caller."""
    return RefusedError(f"no living grant '{grant_id[:64]}'; see: hf-proxy grants")


def _ended_refusal(refusal: Refusal) -> Deny:
    why = {
        Refusal.EXPIRED: "this hf-proxy credential has expired; get a new one: hf-proxy exec -- CMD",
        Refusal.REVOKED: "this hf-proxy credential was revoked; get a new one: hf-proxy exec -- CMD",
        Refusal.UNKNOWN_CREDENTIAL: "not a credential of this hf-proxy (a real token is not accepted here);"
        " get one: hf-proxy exec -- CMD, or: hf-proxy mint",
    }
    return Deny(refusal, why[refusal])
