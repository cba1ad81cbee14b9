"""Decisions on an access: allowed, forwarded without the token, or denied, with the command that would allow it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from hfproxy.core.policy.access import Access
from hfproxy.core.policy.scope import scope_for

RETRY_LATER = "; wait a minute, or ask for more: hf-proxy exec --max-rate N"
RUN_AGAIN = "; run the command again under: hf-proxy exec"


class Refusal(StrEnum):
    """The machine-readable reason of a denial (`X-HF-Proxy-Refusal`, the journal's `refusal`). A closed list."""

    __hash__ = str.__hash__  # Enum.__hash__ is a Python function, which every dictionary look-up would call

    HOST = "host"
    ORIGIN = "origin"
    PEER = "peer"
    NO_CREDENTIAL = "no_credential"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    EXPIRED = "expired"
    REVOKED = "revoked"
    HOLDER = "holder"
    SCOPE = "scope"
    STRICT = "strict"
    MINTING = "minting"
    UNKNOWN_ROUTE = "unknown_route"
    BAD_TARGET = "bad_target"
    BAD_BODY = "bad_body"
    LIMIT = "limit"
    JOURNAL = "journal"
    LOCKED = "locked"
    ACCOUNT = "account"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class Objection:
    """One caveat's objection to one need, with the reason as a clause for a person.

    `retry_after_s`: seconds after which the caveat may no longer object; None: it will go on objecting.
    """

    refusal: Refusal
    why: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Allow:
    """The request is forwarded with the token."""


@dataclass(frozen=True, slots=True)
class AllowAnonymous:
    """A read outside the scopes: the request is forwarded without the token.

    `why` is one line for a person, used if the Hub then refuses.
    """

    objections: tuple[Objection, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """The request is refused. `why` is one line for a person, and names the command that would allow it, if any."""

    refusal: Refusal
    why: str
    objections: tuple[Objection, ...] = ()

    @property
    def retry_after_s(self) -> int | None:
        """Seconds after which the request may be allowed if it is repeated; None: waiting does not help."""
        waits = [no.retry_after_s for no in self.objections]
        return max((wait for wait in waits if wait is not None), default=None) if None not in waits else None


Decision = Allow | AllowAnonymous | Deny


def decide(access: Access, objections: tuple[Objection, ...], *, bound: bool = False) -> Decision:
    """Return the decision on an access: allowed, forwarded without the token, or denied.

    A read that only scopes (or the ceiling) object to is forwarded without the token, so that public models stay
    readable under a narrow grant. Any other objection denies.

    Args:
        access: The needs of the request.
        objections: All objections of all caveats.
        bound: Whether the grant is bound to a process: the advice then is for a shell outside of it.
    """
    if not objections:
        return Allow()
    others = [no.refusal for no in objections if no.refusal is not Refusal.SCOPE]
    # An objection that no scope would avoid is the refusal; `strict`, which a scope would, only if there is no other.
    others.sort(key=lambda refusal: refusal is Refusal.STRICT)
    deny = Deny(others[0] if others else Refusal.SCOPE, join_reasons(no.why for no in objections), objections)
    if not others and access.is_read_only:
        return AllowAnonymous(
            objections, f"{deny.why}, so hf-proxy asked without your token{advice(access, deny, bound=bound)}"
        )
    return replace(deny, why=deny.why + advice(access, deny, bound=bound))


def advice(access: Access, deny: Deny, *, bound: bool) -> str:
    """Return the command that would allow the access, as the end of a sentence.

    `bound`: a command inside of the grant's process can only ask for less, so the advice is to run it outside.
    """
    if deny.retry_after_s is not None:
        return RETRY_LATER
    if deny.refusal not in {Refusal.SCOPE, Refusal.STRICT}:
        return RUN_AGAIN
    scopes = dict.fromkeys(f"--scope {scope_for(need)}" for need in access.needs)
    invitation = "to allow it, run outside this command" if bound else "allow it with"
    return f"; {invitation}: hf-proxy exec {' '.join(scopes)} -- CMD"


def join_reasons(parts: Iterable[str]) -> str:
    """Return the reasons as one line, each once."""
    return "; ".join(dict.fromkeys(parts))
