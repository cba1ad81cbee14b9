"""Grants: the terms on which one is minted, and its state while it lives."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hfproxy.core.policy.caveats import MINUTE_S, Caveat, MaxBytes, MaxRate, MaxUses, Usage
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.scope import Scope
from hfproxy.core.policy.unloaded_grants import GrantSummary

# The ids of the tree-bound grants that have a process in their tree which owns the connection at hand.
MatchingTrees = frozenset[str]

# A holder is warned in the last tenth of the grant's life, and so many seconds before its end at the earliest.
WARN_BEFORE_S = 600

# Caveats on something that can be used up: their counters are on disk before a request goes on.
USAGE_CAVEATS = (MaxUses, MaxRate, MaxBytes)

# No user has this uid (setreuid(2) takes -1 for "unchanged"), so a grant without an owner cannot be used.
NO_UID = -1


class Bind(StrEnum):
    """A grant's life is tied to nothing but its time, to a process, or to a process and its descendants."""

    NONE = "none"
    PID = "pid"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """The terms on which a grant is minted. The names of the fields are those of the grant store.

    Attributes:
        account: The name of the account that the token is taken from.
        scopes: At least one; the grant covers their union.
        ttl: Seconds the grant lives, if it is not renewed.
        caveats: Restrictions beside the expiry and the scopes.
        parent: The id of the grant it is minted from; None: of none.
        label: A name for lists, chosen by the user.
        bind: The tie of its life.
        pid: The process that it is bound to.
        program: The base name of the program it is minted for, never a command line.
        strict: Out-of-scope reads are denied, and not forwarded without the token.
        start: When the process `pid` started, in clock ticks since the machine's start: tells it from a later process
            with that number.
        ambient: The process tree needs no credential (with `Bind.TREE`).
        renews: The expiry is moved on for as long as the process lives.
        login: Identifies one login of the account: a grant does not outlive a logout.
        named: The user named the account, so no other account's token is used (`account_choice`).
        learns: The needs of its requests are to be known exactly, so a push is inspected even if all of it is allowed.
        uid: The user who owns the grant.
        container: It is good on the container listener, and there only.
    """

    account: str
    scopes: tuple[Scope, ...]
    ttl: int
    caveats: tuple[Caveat, ...] = ()
    parent: str | None = None
    label: str | None = None
    bind: Bind = Bind.NONE
    pid: int | None = None
    program: str | None = None
    strict: bool = False
    start: int | None = None
    ambient: bool = False
    renews: bool = False
    login: str = ""
    named: bool = False
    learns: bool = False
    uid: int = NO_UID
    container: bool = False


@dataclass(slots=True)
class Grant:
    """A credential's permission: its terms, its caveats and its use so far. Times in seconds since the epoch.

    A child's uses and bytes count for its ancestors, too.
    """

    id: str
    digest: bytes
    terms: GrantTerms
    caveats: tuple[Caveat, ...]
    minted_at: int
    expires_at: int
    uses: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    is_rate_limited: bool = field(init=False)
    """Whether a caveat of this grant limits requests a minute, so that the times of recent uses are kept."""
    ancestors: "tuple[Grant, ...]" = field(init=False, default=(), compare=False, repr=False)
    """The grant's parent, that one's parent, and so on up."""
    trees: tuple[str, ...] = field(init=False, compare=False)
    """The ids of the tree-bound grants among this one and its ancestors, innermost first."""
    is_limited: bool = field(init=False, compare=False)
    """Whether this grant or an ancestor has a caveat that can be used up (`COUNTING`)."""
    _recent: deque[int] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.is_rate_limited = any(isinstance(caveat, MaxRate) for caveat in self.caveats)
        self.trees = (self.id,) if self.terms.bind is Bind.TREE else ()
        self.is_limited = any(isinstance(caveat, USAGE_CAVEATS) for caveat in self.caveats)

    def set_parent(self, parent: "Grant") -> None:
        """Link the grant to the living grant it was minted from. Called once, before its first use."""
        self.ancestors = (parent, *parent.ancestors)
        self.trees += parent.trees
        self.is_limited = self.is_limited or parent.is_limited

    def usage_at(self, at: int, *, inside: bool) -> Usage:
        """Return the usage that the caveats decide on; `inside`: the connection is of this grant's process tree."""
        while self._recent and self._recent[0] <= at - MINUTE_S:
            self._recent.popleft()
        return Usage(at, self.uses, len(self._recent), self.bytes_up, self.bytes_down, inside)

    @property
    def summary(self) -> GrantSummary:
        """The fields that a daemon knows before it loads the grant."""
        return GrantSummary(self.id, self.expires_at, self.terms.parent, self.terms.uid, self.terms.pid)

    def refusal_for(self, uid: int) -> Deny | None:
        """Return why a user may not use this grant, even with its credential; None for its owner."""
        return None if uid == self.terms.uid else NOT_YOURS

    @property
    def recent_uses(self) -> list[tuple[int, int]]:
        """(second, uses in it) for the uses of the last minute; empty unless the grant is rate limited."""
        return list(Counter(self._recent).items())

    def restore_recent_uses(self, seconds: Sequence[tuple[int, int]]) -> None:
        """Take over the `recent_uses` that an earlier daemon persisted.

        Raises:
            ValueError: there are more of them than uses in all.
        """
        if sum(count for _, count in seconds) > self.uses:
            msg = "more uses in a minute than in all"
            raise ValueError(msg)
        self._recent.extend(at for at, count in seconds for _ in range(count))

    def warning(self, at: int) -> str | None:
        """Return the warning for the holder of a grant that is about to expire (`WARN_BEFORE_S`); None before that."""
        remaining = self.expires_at - at
        if remaining > min(WARN_BEFORE_S, (self.expires_at - self.minted_at) // 10):
            return None
        advice = f"let it live on: hf-proxy renew {self.id} --ttl 1h"
        return f"this hf-proxy credential ends in {max(remaining, 0)} seconds; {advice}"

    def use(self, at: int) -> None:
        """Count an allowed request; its time is kept only if the grant is rate limited."""
        self.uses += 1
        if self.is_rate_limited:
            self._recent.append(at)


NOT_YOURS = Deny(
    Refusal.PEER, "this hf-proxy credential is another user's of this machine; get your own: hf-proxy exec -- CMD"
)


def id_of(digest: bytes) -> str:
    """Return the id of the grant with this credential digest: the digest's first 8 bytes in hexadecimal."""
    return digest.hex()[:16]
