"""Caveats: each is one restriction, and can only object.

A grant is a list of caveats; a request passes when none of them objects. So adding one can never
allow more, which is what makes narrowing safe. `prohibits` returns one objection for each need it
does not cover; an empty result means no objection, and is never asked of an empty access.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from hfproxy.core.policy.access import Access, Action, Need
from hfproxy.core.policy.decision import Objection, Refusal
from hfproxy.core.policy.scope import Scope, scope_for

MINUTE = 60


class Usage(NamedTuple):
    """When an access is attempted and what the grant has been used for so far.

    `at` in seconds since the epoch. The rest is of the grant whose caveat is asked (what a child does counts for its
    parents too): `uses` the requests allowed before this one, `lately` those of them in the last minute, `bytes_up` and
    `bytes_down` what has passed each way, running transfers included. `inside`: the connection is from a process of the
    tree that the grant is bound to.
    """

    at: int
    uses: int = 0
    last_minute: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    in_tree: bool = False


@dataclass(frozen=True, slots=True)
class InScopes:
    """The scopes of one mint: their union. With `strict`, not even public content is read outside it."""

    scopes: tuple[Scope, ...]
    strict: bool = False
    objection_text: ClassVar[str] = "is not in the credential's scope"

    def prohibits(self, access: Access, moment: Usage) -> tuple[Objection, ...]:
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
    """The scopes of the config's `[grants] ceiling`, which no grant may exceed."""

    objection_text: ClassVar[str] = "is above the [grants] ceiling of config.toml"


@dataclass(frozen=True, slots=True)
class Expires:
    """Over at this second."""

    at: int

    def prohibits(self, access: Access, moment: Usage) -> tuple[Objection, ...]:
        if moment.at < self.at:
            return ()
        return (Objection(Refusal.EXPIRED, "the credential has expired"),)


@dataclass(frozen=True, slots=True)
class InTree:
    """Only for processes that descend from the one the grant is bound to."""

    def prohibits(self, access: Access, moment: Usage) -> tuple[Objection, ...]:
        if moment.in_tree:
            return ()
        return (Objection(Refusal.HOLDER, "the credential is for the processes of another command only"),)


@dataclass(frozen=True, slots=True)
class MaxUses:
    """So many allowed requests, and no more."""

    uses: int

    def prohibits(self, access: Access, moment: Usage) -> tuple[Objection, ...]:
        if moment.uses < self.uses:
            return ()
        return (Objection(Refusal.LIMIT, f"the credential's {self.uses} uses are used up"),)


@dataclass(frozen=True, slots=True)
class MaxRate:
    """So many allowed requests in any minute."""

    per_minute: int

    def prohibits(self, access: Access, moment: Usage) -> tuple[Objection, ...]:
        if moment.last_minute < self.per_minute:
            return ()
        return (Objection(Refusal.LIMIT, f"the credential allows {self.per_minute} requests a minute", MINUTE),)


@dataclass(frozen=True, slots=True)
class MaxBytes:
    """So many bytes of bodies up to the Hub, and down from it; None: no limit that way.

    It objects to a request that could not pass a byte any more, and `admits` is asked again for all that passes.
    """

    up: int | None = None
    down: int | None = None

    def prohibits(self, access: Access, moment: Usage) -> tuple[Objection, ...]:
        up = 0 if access.is_read_only else 1
        return () if self.admits(moment.bytes_up + up, moment.bytes_down + 1) else (self.objection,)

    def admits(self, up: int, down: int) -> bool:
        """Whether so many bytes in all are within the limits."""
        return (self.up is None or up <= self.up) and (self.down is None or down <= self.down)

    @property
    def objection(self) -> Objection:
        """What there is to say when a limit is reached."""
        limits = (f"{limit} bytes {way}" for way, limit in (("up", self.up), ("down", self.down)) if limit is not None)
        return Objection(Refusal.LIMIT, f"the credential's limit of {' and '.join(limits)} is used up")


Caveat = InScopes | Ceiling | Expires | InTree | MaxUses | MaxRate | MaxBytes
