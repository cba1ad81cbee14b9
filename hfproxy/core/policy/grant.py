"""Grants: the terms on which one is issued, and its state while it is alive."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from hfproxy.core.policy.caveats import MINUTE, Caveat, MaxBytes, MaxRate, MaxUses, Usage
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.scope import Scope
from hfproxy.core.policy.unloaded_grants import GrantSummary

MatchingTrees = frozenset[str]

WARN_BEFORE_S = 600

COUNTING = (MaxUses, MaxRate, MaxBytes)

# No user has this uid (credentials(7)): a grant of nobody's can be used by nobody.
NO_UID = -1


class Bind(StrEnum):
    """What a grant's life is tied to, besides its time."""

    NONE = "none"
    PID = "pid"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """What is asked of `mint`. `ttl` in seconds; `program` is a base name, never a command line.

    `pid` and `start` name the process it is bound to; with `ambient` the tree of that process needs no credential, and
    with `renews` its end moves away as long as the process lives. `login` tells one login of the account from another;
    `named`: the account was asked for, so no other's token is spent (`core.spending`). `learns`: what it is used for is
    to be known exactly, so what could be proven to need less is looked into although it may do all of it. `container`:
    it is good on the listener for containers, and there only. `uid`: whose grant it will be.
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
    """What is known of one credential. Times in seconds since the epoch."""

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
    """Whether it is asked how often it was used lately."""
    ancestors: "tuple[Grant, ...]" = field(init=False, default=(), compare=False, repr=False)
    """What it was minted from, what that was minted from, and so on."""
    trees: tuple[str, ...] = field(init=False, compare=False)
    """The ids of those of all these that are bound to a tree of processes."""
    is_limited: bool = field(init=False, compare=False)
    """Whether something of any of them can be used up."""
    _recent: deque[int] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.is_rate_limited = any(isinstance(caveat, MaxRate) for caveat in self.caveats)
        self.trees = (self.id,) if self.terms.bind is Bind.TREE else ()
        self.is_limited = any(isinstance(caveat, COUNTING) for caveat in self.caveats)

    def set_parent(self, parent: "Grant") -> None:
        """Say once what it was minted from."""
        self.ancestors = (parent, *parent.ancestors)
        self.trees += parent.trees
        self.is_limited = self.is_limited or parent.is_limited

    def usage_at(self, at: int, *, inside: bool) -> Usage:
        """What its caveats are asked about."""
        while self._recent and self._recent[0] <= at - MINUTE:
            self._recent.popleft()
        return Usage(at, self.uses, len(self._recent), self.bytes_up, self.bytes_down, inside)

    @property
    def brief(self) -> GrantSummary:
        """What is known of it while it is asleep."""
        return GrantSummary(self.id, self.expires_at, self.terms.parent, self.terms.uid, self.terms.pid)

    def refusal_for(self, uid: int) -> Deny | None:
        """Why a user may not use it, however they came by its credential; None for its owner."""
        return None if uid == self.terms.uid else NOT_YOURS

    @property
    def recent_uses(self) -> list[tuple[int, int]]:
        """When it was used in the last minute, and how often in each second; empty where nothing asks for it."""
        return list(Counter(self._recent).items())

    def recent_use_count(self, seconds: Sequence[tuple[int, int]]) -> None:
        """Take over what an earlier daemon counted.

        Raises:
            ValueError: it is more than the uses there were.
        """
        if sum(count for _, count in seconds) > self.uses:
            msg = "more uses in a minute than in all"
            raise ValueError(msg)
        self._recent.extend(at for at, count in seconds for _ in range(count))

    def warning(self, at: int) -> str | None:
        """What its holder should know in the last tenth of its life, ten minutes at most; None before."""
        left = self.expires_at - at
        if left > min(WARN_BEFORE_S, (self.expires_at - self.minted_at) // 10):
            return None
        how = f"let it live on: hf-proxy renew {self.id} --ttl 1h"
        return f"this hf-proxy credential ends in {max(left, 0)} seconds; {how}"

    def use(self, at: int) -> None:
        """Count an allowed request. When it was is kept only where a caveat asks for it."""
        self.uses += 1
        if self.is_rate_limited:
            self._recent.append(at)


NOT_YOURS = Deny(
    Refusal.PEER, "this hf-proxy credential is another user's of this machine; get your own: hf-proxy exec -- CMD"
)


def id_of(digest: bytes) -> str:
    """What a grant is called: the beginning of its credential's digest."""
    return digest.hex()[:16]
