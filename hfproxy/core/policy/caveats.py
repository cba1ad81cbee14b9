"""Caveats: the restrictions of a grant. Each is a frozen value that can only object.

An access is allowed if no caveat of the grant and of its ancestors objects. So adding a caveat never allows more, which
makes narrowing safe. `prohibits(access, usage)` returns one objection for each need that it does not cover; an empty
tuple is no objection. An access has at least one need, so that is never said of nothing.

The names of the classes' fields are persisted (`grant_codec`).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from hfproxy.core.policy.access import Access, Action, Need
from hfproxy.core.policy.decision import Objection, Refusal
from hfproxy.core.policy.scope import Scope, scope_for

MINUTE_S = 60


class Usage(NamedTuple):
    """The moment of an access, and what the grant was used for before it; a child's uses count for its ancestors, too.

    Attributes:
        at: Seconds since the epoch.
        uses: Requests allowed before this one.
        last_minute: Those of them in the last 60 seconds; counted only if the grant is rate limited.
        bytes_up: Bytes of bodies sent to the Hub, running transfers included.
        bytes_down: Bytes of bodies received from it, running transfers included.
        in_tree: The connection belongs to a process of the tree that the grant is bound to.
    """

    at: int
    uses: int = 0
    last_minute: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    in_tree: bool = False


@dataclass(frozen=True, slots=True)
class InScopes:
    """The scopes of one mint: a need is covered if any of them admits it.

    With `strict` an uncovered read is denied, and not forwarded without the token.
    """

    scopes: tuple[Scope, ...]
    strict: bool = False
    objection_text: ClassVar[str] = "is not in the credential's scope"

    def prohibits(self, access: Access, usage: Usage) -> tuple[Objection, ...]:
        objections: tuple[Objection, ...] = ()
        for need in access.needs:
            for scope in self.scopes:
                if scope.admits(need):
                    break
            else:
                objections += (self._objection(need),)
        return objections

    def _objection(self, need: Need) -> Objection:
        reads_strictly = self.strict and need.action is Action.READ
        refusal = Refusal.STRICT if reads_strictly else Refusal.SCOPE
        return Objection(refusal, f"'{scope_for(need)}' {self.objection_text}")


@dataclass(frozen=True, slots=True)
class Ceiling(InScopes):
    """The scopes of `[grants] ceiling` in config.toml, which no grant may exceed."""

    objection_text: ClassVar[str] = "is above the [grants] ceiling of config.toml"


@dataclass(frozen=True, slots=True)
class Expires:
    """The grant has expired from this second on (seconds since the epoch)."""

    at: int

    def prohibits(self, access: Access, usage: Usage) -> tuple[Objection, ...]:
        if usage.at < self.at:
            return ()
        return (Objection(Refusal.EXPIRED, "the credential has expired"),)


@dataclass(frozen=True, slots=True)
class InTree:
    """Only processes of the tree that the grant is bound to may use it."""

    def prohibits(self, access: Access, usage: Usage) -> tuple[Objection, ...]:
        if usage.in_tree:
            return ()
        return (Objection(Refusal.HOLDER, "the credential is for the processes of another command only"),)


@dataclass(frozen=True, slots=True)
class MaxUses:
    """At most so many allowed requests."""

    uses: int

    def prohibits(self, access: Access, usage: Usage) -> tuple[Objection, ...]:
        if usage.uses < self.uses:
            return ()
        return (Objection(Refusal.LIMIT, f"the credential's {self.uses} uses are used up"),)


@dataclass(frozen=True, slots=True)
class MaxRate:
    """At most so many allowed requests in any 60 seconds."""

    per_minute: int

    def prohibits(self, access: Access, usage: Usage) -> tuple[Objection, ...]:
        if usage.last_minute < self.per_minute:
            return ()
        return (Objection(Refusal.LIMIT, f"the credential allows {self.per_minute} requests a minute", MINUTE_S),)


@dataclass(frozen=True, slots=True)
class MaxBytes:
    """At most so many bytes of bodies up to the Hub and down from it; None: no limit that way.

    `prohibits` objects to a request if the limit is reached, so that not one byte of it could pass. While bodies are
    streamed, `admits` is asked before each part (`Broker.count_bytes`).
    """

    up: int | None = None
    down: int | None = None

    def prohibits(self, access: Access, usage: Usage) -> tuple[Objection, ...]:
        up = 0 if access.is_read_only else 1
        return () if self.admits(usage.bytes_up + up, usage.bytes_down + 1) else (self.objection,)

    def admits(self, up: int, down: int) -> bool:
        """Return whether so many bytes in total are within the limits."""
        return (self.up is None or up <= self.up) and (self.down is None or down <= self.down)

    @property
    def objection(self) -> Objection:
        """The objection when a limit is reached."""
        limits = (f"{limit} bytes {way}" for way, limit in (("up", self.up), ("down", self.down)) if limit is not None)
        return Objection(Refusal.LIMIT, f"the credential's limit of {' and '.join(limits)} is used up")


Caveat = InScopes | Ceiling | Expires | InTree | MaxUses | MaxRate | MaxBytes
