"""Decisions on a request: allowed, forwarded without the token, or denied, with the reasons."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


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


def join_reasons(parts: Iterable[str]) -> str:
    """Return the reasons as one line, each once."""
    return "; ".join(dict.fromkeys(parts))
