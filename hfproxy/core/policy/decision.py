"""Decisions on a request: allowed, forwarded without the token, or denied, with the reasons."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Why not, for machines: a closed list (`X-HF-Proxy-Refusal`, the journal's `refusal`)."""

    __hash__ = str.__hash__

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
    """One caveat's no to one need, with the reason in words. `passes_in` seconds it will be gone by itself, if ever."""

    refusal: Refusal
    why: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Allow:
    """Yes: the request goes upstream with the token."""


@dataclass(frozen=True, slots=True)
class AllowAnonymous:
    """The scope says no, but the request only reads: it goes upstream without the token.

    `why` is one line for a person, for where the Hub then says no.
    """

    objections: tuple[Objection, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """No. `why` is one line for a person and names the command that would allow it, if there is one."""

    refusal: Refusal
    why: str
    objections: tuple[Objection, ...] = ()

    @property
    def retry_after_s(self) -> int | None:
        """Seconds after which the same request may be allowed; None: it will not be."""
        waits = [no.retry_after_s for no in self.objections]
        return max((wait for wait in waits if wait is not None), default=None) if None not in waits else None


Decision = Allow | AllowAnonymous | Deny


def join_reasons(parts: Iterable[str]) -> str:
    """Join reasons without repeating any."""
    return "; ".join(dict.fromkeys(parts))
