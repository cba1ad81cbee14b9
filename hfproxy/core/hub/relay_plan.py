"""What becomes of a Hub response on its way to the client: a plan, made from the response's head alone.

Whether a body is read, rewritten, explained or streamed is decided here and nowhere else; `daemon.proxy.relay` carries
the plan out. API responses and errors are inspected where they are text: they may hold a URL of the Hub, an error code
that needs an explanation, or the token. File content and events are streamed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.decision import AllowAnonymous, Decision, Deny, Refusal

UNAUTHORIZED: Final = 401
FIRST_REDIRECT: Final = 300
FIRST_ERROR: Final = 400
# Statuses of responses that never have a body (RFC 9110 §15.3.5, RFC 9110 §15.4.5).
BODILESS_STATUSES: Final = frozenset({204, 304})
XET_INFO: Final = "application/vnd.xet-fileinfo+json"
TEXT_TYPES: Final = ("application/json", "text/", "application/vnd.git-lfs+json", XET_INFO)
# Codes of refusals that may only mean that the token was not sent.
EXPLAINED_CODES: Final = frozenset({"RepoNotFound", "GatedRepo"})
# How the Hub's `X-Error-Message` begins for a token that it no longer knows (docs/hub-protocol.md#errors).
INVALID_CREDENTIALS: Final = "Invalid credentials in Authorization header"


class BodyRewrite(Enum):
    """How a buffered body is changed."""

    NONE = auto()
    LFS_BATCH = auto()
    XET_FILE_INFO = auto()


@dataclass(frozen=True, slots=True)
class RefuseResponse:
    """Drop the response; the client gets this refusal."""

    deny: Deny


@dataclass(frozen=True, slots=True)
class SendHead:
    """Send a response without a body."""

    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class StreamBody:
    """Send the body as it arrives, unread."""

    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class BufferBody:
    """Read the body, search it for the token, rewrite it, and send it whole.

    Attributes:
        rewrite: The change; NONE where there is an explanation.
        explanation: One sentence, to be added to the headers and to the JSON error.
    """

    rewrite: BodyRewrite = BodyRewrite.NONE
    explanation: str | None = None


RelayPlan = RefuseResponse | SendHead | StreamBody | BufferBody
# The plans of nearly all responses, so that they are not made for each.
_HEAD, _STREAM, _BUFFER = SendHead(), StreamBody(), BufferBody()
_BUFFER_LFS, _BUFFER_XET = BufferBody(BodyRewrite.LFS_BATCH), BufferBody(BodyRewrite.XET_FILE_INFO)


def needs_identity_encoding(kind: ResponseKind, accept: str) -> bool:
    """Return whether the body will be rewritten, so that the Hub must not compress it.

    Args:
        kind: Of the request's route.
        accept: The request's `Accept`.
    """
    return kind is ResponseKind.LFS or XET_INFO in accept


def plan(
    method: str,
    kind: ResponseKind,
    accept: str,
    decision: Decision,
    account: str | None,
    status: int,
    fields: Mapping[str, str],
) -> RelayPlan:
    """Return what to do with a response.

    Args:
        method: Of the request.
        kind: Of the request's route.
        accept: The request's `Accept`.
        decision: Under which the request was sent: Allow with the token, AllowAnonymous without.
        account: The name of the account whose token was chosen; None: none was.
        status: Of the response.
        fields: The response's headers by lower-case name: content-type, x-error-code, x-error-message.
    """
    # git would ask a person for a password, and git-lfs ask again without end: they get a final refusal instead.
    if status == UNAUTHORIZED and (kind is ResponseKind.GIT or kind is ResponseKind.LFS):
        refusal = Refusal.SCOPE if isinstance(decision, AllowAnonymous) else Refusal.ACCOUNT
        return RefuseResponse(Deny(refusal, _reason(decision, account)))
    explanation = None if status < FIRST_ERROR else _explanation(decision, account, status, fields)
    if method == "HEAD" or status in BODILESS_STATUSES:
        return _HEAD if explanation is None else SendHead(explanation)
    streams = kind is ResponseKind.EVENTS or (kind is ResponseKind.FILE and XET_INFO not in accept)
    if (streams and status < FIRST_REDIRECT) or not _is_text(fields.get("content-type", "")):
        return _STREAM if explanation is None else StreamBody(explanation)
    if explanation is not None:
        return BufferBody(explanation=explanation)
    if kind is ResponseKind.LFS:
        return _BUFFER_LFS
    return _BUFFER_XET if XET_INFO in accept else _BUFFER


@lru_cache(maxsize=256)
def _is_text(content_type: str) -> bool:
    """Return whether a body of this type may hold text; one without a type may."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.startswith(TEXT_TYPES) or media_type.endswith("+json") or not media_type


def _explanation(decision: Decision, account: str | None, status: int, fields: Mapping[str, str]) -> str | None:
    """Return what the Hub's own error cannot tell: it was asked without the token, or rejects the token."""
    if isinstance(decision, AllowAnonymous):
        return decision.why if fields.get("x-error-code") in EXPLAINED_CODES and decision.why else None
    rejected = status == UNAUTHORIZED and fields.get("x-error-message", "").startswith(INVALID_CREDENTIALS)
    return _reason(decision, account) if rejected and account is not None else None


def _reason(decision: Decision, account: str | None) -> str:
    if isinstance(decision, AllowAnonymous):
        return decision.why
    return f"the Hub no longer accepts the token of account '{account or ''}'; run: hf-proxy login"
