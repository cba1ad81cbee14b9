"""The broker: finds the grant that a credential stands for, and decides whether the grant allows an access.

Kept in memory: the loaded grants, summaries of those that an earlier daemon persisted and nothing has asked for yet
(`unloaded_grants`), and the digests of the last `MAX_ENDED` ended credentials. Every method takes values and a moment,
and returns values.

Rules:

* Only the digest of a credential is stored. `mint` returns the string once.
* `verify` identifies the grant; `evaluate` lets every caveat of the grant *and of its ancestors* object.
* A child has caveats of its own beside its parent's and ends with it: minting from a grant never allows more.
* A grant and its descendants belong to one user of this machine. Presented by another user, its credential is refused.
* An allowed request counts as a use of the grant and of all its ancestors.
* An ended grant never lives again, and its credential is refused in other words than one never seen.
* An unloaded grant cannot be used, renewed or ended. `verify` answers `GrantNotLoaded`, every other method that is
  given its id raises LookupError, and so no caller mistakes it for a grant that does not exist. The caller reads the
  grants that `unloaded_lineage` names and hands them over, in that order, with `load`; before an end it does so for
  each grant that `unloaded_descendants` or `unloaded_due` names. A loaded grant cannot be told from one that
  was minted here.

Left to others: the clock, random bytes, processes, the store and its failures, the journal and the network.
"""

import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from hfproxy.core.policy import credential
from hfproxy.core.policy.access import Access
from hfproxy.core.policy.caveats import Expires, InScopes, MaxBytes
from hfproxy.core.policy.decision import RUN_AGAIN, Decision, Deny, Objection, Refusal, decide
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms, MatchingTrees, id_of
from hfproxy.core.policy.unloaded_grants import GrantSummary, UnloadedGrants
from hfproxy.errors import RefusedError

# How many ended credentials are told apart from unknown ones; the oldest are forgotten first.
MAX_ENDED = 10_000


@dataclass(frozen=True, slots=True)
class GrantNotLoaded:
    """`verify` cannot say before this grant and its unloaded ancestors are loaded."""

    grant_id: str


@dataclass(slots=True)
class Broker:
    """All living grants, and the digests of the credentials that ended last."""

    _grants: dict[str, Grant] = field(default_factory=dict)
    _by_digest: dict[bytes, Grant] = field(default_factory=dict)
    _children: dict[str, dict[str, None]] = field(default_factory=dict)
    _ended: OrderedDict[bytes, Refusal] = field(default_factory=OrderedDict)
    _unloaded: UnloadedGrants = field(default_factory=UnloadedGrants)

    # --- from an earlier daemon ---------------------------------------------------------------------------------------

    def restore(self, summaries: Iterable[GrantSummary]) -> None:
        """Take over the living grants of an earlier daemon, oldest first. None is loaded by that."""
        self._unloaded = UnloadedGrants(summaries)

    def remember_ended(self, digest: bytes, how: Refusal) -> None:
        """Take over a credential that ended under an earlier daemon; `how` is EXPIRED or REVOKED."""
        self._ended[digest] = how

    def load(self, grant_id: str, grant: Grant | None) -> None:
        """Take in an unloaded grant, after its ancestors. None: its record was damaged.

        If the record is damaged, differs from the summary, or names a parent that does not live, there is no such
        grant, and none of its descendants: once this returns, its credential is unknown. An id that is not unloaded is
        ignored, so that no grant is loaded twice and none that ended lives again.
        """
        summary = self._unloaded.pop(grant_id)
        if summary is None or grant is None or grant.summary != summary:
            return
        if summary.parent is None or summary.parent in self._grants:
            self._add(grant)

    def unloaded(self) -> tuple[str, ...]:
        """Return the ids of all unloaded grants, oldest first."""
        return self._unloaded.ids()

    def unloaded_lineage(self, grant_id: str) -> tuple[str, ...]:
        """Return the ids to load before a grant is asked for: its unloaded ancestors, topmost first, then itself.

        Empty for a loaded grant and for an unknown id.
        """
        return self._unloaded.lineage(grant_id)

    def unloaded_descendants(self, grant_id: str) -> tuple[str, ...]:
        """Return the ids of the unloaded grants that end with a loaded one, parents before their children."""
        return self._unloaded_below([grant_id])

    def unloaded_due(self, at: int) -> tuple[str, ...]:
        """Return the ids of the unloaded grants that end with `expire(at)`: due ones, and descendants of due ones."""
        if not self._unloaded:
            return ()
        return self._unloaded_below([*self._unloaded.due(at), *self._loaded_due(at)])

    def _unloaded_below(self, tops: Iterable[str]) -> tuple[str, ...]:
        """The unloaded ones among these grants and their descendants. Visits every grant once, however they nest."""
        seen = dict.fromkeys(tops)
        pending = list(seen)
        for parent in pending:  # grows while it is walked
            children = [*self._children.get(parent, ()), *self._unloaded.children(parent)]
            pending += [child for child in children if child not in seen]
            seen.update(dict.fromkeys(children))
        return tuple(grant_id for grant_id in pending if grant_id in self._unloaded)

    # --- minting and renewing -----------------------------------------------------------------------------------------

    def mint(self, terms: GrantTerms, entropy: bytes, at: int) -> tuple[Grant, str]:
        """Issue a grant on these terms; returns it with the credential that stands for it.

        Args:
            terms: With a parent, the grant expires when the parent does at the latest.
            entropy: `credential.ENTROPY_BYTES` random bytes.
            at: Seconds since the epoch.

        Raises:
            RefusedError: the parent does not live, or it is another user's.
            ValueError: no scopes, no lifetime, or entropy of the wrong size.
        """
        if not terms.scopes or terms.ttl <= 0:
            msg = "a grant has at least one scope and a positive lifetime"
            raise ValueError(msg)
        expires_at = at + terms.ttl
        if terms.parent is not None:
            parent = self.grant(terms.parent)
            if parent.refusal_for(terms.uid):
                raise no_such_grant(terms.parent)
            expires_at = min(expires_at, parent.expires_at)
        bearer = credential.encode(entropy)
        digest = credential.digest(bearer)
        caveats = (Expires(expires_at), InScopes(terms.scopes, terms.strict), *terms.caveats)
        grant = Grant(id_of(digest), digest, terms, caveats, at, expires_at)
        self._add(grant)
        return grant, bearer

    def renew(self, grant_id: str, expires_at: int, at: int) -> Grant:
        """Move a grant's expiry, to its parent's at the latest. Its credential stays valid.

        A grant that renews itself while its process lives may be overdue: the machine slept, and the process lives on.

        Raises:
            RefusedError: no such grant lives, or it has expired.
        """
        grant = self.grant(grant_id)
        if at >= grant.expires_at and not grant.terms.renews:
            raise RefusedError(f"grant '{grant_id[:64]}' has expired; get a new one: hf-proxy exec -- CMD")
        if grant.terms.parent is not None:
            expires_at = min(expires_at, self.grant(grant.terms.parent).expires_at)
        grant.expires_at = expires_at
        grant.caveats = (Expires(expires_at), *grant.caveats[1:])
        return grant

    # --- looking up ---------------------------------------------------------------------------------------------------

    def find(self, grant_id: str) -> Grant | None:
        """Return the living grant of that id; None: there is none.

        Raises:
            LookupError: it is not loaded.
        """
        if grant_id in self._unloaded:
            msg = f"grant {grant_id} is not loaded"
            raise LookupError(msg)
        return self._grants.get(grant_id)

    def grant(self, grant_id: str) -> Grant:
        """Return the living grant of that id.

        Raises:
            RefusedError: there is none.
            LookupError: it is not loaded.
        """
        grant = self.find(grant_id)
        if grant is None:
            raise no_such_grant(grant_id)
        return grant

    def is_alive(self, grant: Grant) -> bool:
        """Return whether a grant has not ended. While it has not, all its ancestors live, too."""
        return self._by_digest.get(grant.digest) is grant

    def grants(self) -> tuple[Grant, ...]:
        """Return the loaded living grants, oldest first; those of one second in any order."""
        return tuple(sorted(self._grants.values(), key=attrgetter("minted_at")))

    def subtree(self, grant_id: str) -> tuple[Grant, ...]:
        """Return a grant and its loaded descendants, parents first; empty if it has ended.

        Raises:
            LookupError: the grant itself is not loaded.
        """
        top = self.find(grant_id)
        tree = [] if top is None else [top]
        for grant in tree:  # grows while it is walked
            tree += [self._grants[child] for child in self._children.get(grant.id, ())]
        return tuple(tree)

    def lineage(self, grant: Grant) -> tuple[Grant, ...]:
        """Return the grant, its parent, and so on up. Ancestors live as long as their descendants (`revoke`)."""
        return (grant, *grant.ancestors)

    def count(self, uid: int | None = None) -> int:
        """Return how many grants live, loaded or not: a user's, or all for None."""
        loaded = len(self._grants) if uid is None else sum(one.terms.uid == uid for one in self._grants.values())
        return loaded + self._unloaded.count(uid)

    # --- deciding -----------------------------------------------------------------------------------------------------

    def verify(self, bearer: str, at: int) -> Grant | Deny | GrantNotLoaded:
        """Return the grant that a credential stands for, or why there is none.

        The look-up is by SHA-256 digest, so its duration says nothing about the credential.
        """
        digest = credential.digest(bearer)
        grant = self._by_digest.get(digest)
        if grant is None or not hmac.compare_digest(grant.digest, digest):
            grant_id = id_of(digest)
            if grant_id in self._unloaded:
                return GrantNotLoaded(grant_id)
            return _ended_refusal(self._ended.get(digest, Refusal.UNKNOWN_CREDENTIAL))
        if at >= grant.expires_at:
            return _ended_refusal(Refusal.EXPIRED)
        return grant

    def count_use(self, grant: Grant, at: int) -> None:
        """Count an allowed request as a use of the grant and of all its ancestors."""
        for ancestor in (grant, *grant.ancestors):
            ancestor.use(at)

    def evaluate(self, grant: Grant, access: Access, at: int, inside: MatchingTrees = frozenset()) -> Decision:
        """Decide on an access: collect every objection of every caveat to every need. Counts nothing.

        Args:
            grant: The grant that `verify` returned; it may have ended since.
            access: The needs of the request.
            at: Seconds since the epoch.
            inside: Ids of tree-bound grants, among this one and its ancestors: those with a process in their tree that
                owns the request's connection.
        """
        if not self.is_alive(grant):
            return _ended_refusal(self._ended.get(grant.digest, Refusal.UNKNOWN_CREDENTIAL))
        objections: list[Objection] = []
        for ancestor in (grant, *grant.ancestors):
            usage = ancestor.usage_at(at, inside=ancestor.id in inside)
            for caveat in ancestor.caveats:
                objections += caveat.prohibits(access, usage)
        return decide(access, tuple(objections), bound=grant.terms.bind is not Bind.NONE)

    def count_bytes(self, grant: Grant, *, up: int = 0, down: int = 0) -> Deny | None:
        """Count bytes that are about to pass, for the grant and its ancestors; if denied, count none."""
        deny = self.check_bytes(grant, up=up, down=down)
        if deny is None:
            for ancestor in (grant, *grant.ancestors):
                ancestor.bytes_up += up
                ancestor.bytes_down += down
        return deny

    def check_bytes(self, grant: Grant, *, up: int = 0, down: int = 0) -> Deny | None:
        """Return why so many more bytes may not pass: a limit, or the grant has ended; None: they may."""
        if not self.is_alive(grant):
            return _ended_refusal(self._ended.get(grant.digest, Refusal.UNKNOWN_CREDENTIAL))
        for ancestor in (grant, *grant.ancestors) if grant.is_limited else ():
            for caveat in ancestor.caveats:
                if isinstance(caveat, MaxBytes) and not caveat.admits(
                    ancestor.bytes_up + up, ancestor.bytes_down + down
                ):
                    return Deny(Refusal.LIMIT, caveat.objection.why + RUN_AGAIN, (caveat.objection,))
        return None

    # --- ending -------------------------------------------------------------------------------------------------------

    def revoke(self, grant_id: str) -> tuple[Grant, ...]:
        """End a grant and its loaded descendants before their time; returns those that ended, children first.

        Empty if the grant had ended already.

        Raises:
            LookupError: the grant itself is not loaded.
        """
        return self._end(grant_id, Refusal.REVOKED)

    def expire(self, at: int) -> tuple[Grant, ...]:
        """End the loaded grants that have expired by this second, and their descendants; returns those that ended."""
        return tuple(ended for grant_id in self._loaded_due(at) for ended in self._end(grant_id, Refusal.EXPIRED))

    def _loaded_due(self, at: int) -> list[str]:
        return [grant.id for grant in self._grants.values() if at >= grant.expires_at]

    def _add(self, grant: Grant) -> None:
        self._grants[grant.id] = grant
        self._by_digest[grant.digest] = grant
        if grant.terms.parent is not None:
            self._children.setdefault(grant.terms.parent, {})[grant.id] = None
            grant.set_parent(self._grants[grant.terms.parent])

    def _end(self, grant_id: str, how: Refusal) -> tuple[Grant, ...]:
        return tuple(self._remove(grant.id, how) for grant in reversed(self.subtree(grant_id)))

    def _remove(self, grant_id: str, how: Refusal) -> Grant:
        grant = self._grants.pop(grant_id)
        del self._by_digest[grant.digest]
        self._children.pop(grant_id, None)
        self._children.get(grant.terms.parent or "", {}).pop(grant_id, None)
        self._ended[grant.digest] = how
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        return grant


def no_such_grant(grant_id: str) -> RefusedError:
    """Worded alike for a grant that does not exist and one of another user: ids cannot be probed."""
    return RefusedError(f"no living grant '{grant_id[:64]}'; see: hf-proxy grants")


def _ended_refusal(refusal: Refusal) -> Deny:
    why = {
        Refusal.EXPIRED: "this hf-proxy credential has expired; get a new one: hf-proxy exec -- CMD",
        Refusal.REVOKED: "this hf-proxy credential was revoked; get a new one: hf-proxy exec -- CMD",
        Refusal.UNKNOWN_CREDENTIAL: "not a credential of this hf-proxy (a real token is not accepted here);"
        " get one: hf-proxy exec -- CMD, or: hf-proxy mint",
    }
    return Deny(refusal, why[refusal])
