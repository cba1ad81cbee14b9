"""Refusals on the wire, worded so that each client prints our sentence (docs/hub-protocol.md#refusals).

The form depends on the client: huggingface_hub turns a plain 403 on a file's HEAD into "check your connection", and
git-lfs repeats a transfer without end after a 401.
"""

import json
from typing import Final

from aiohttp import web

from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.decision import Deny, Objection, Refusal

STATUS: Final = {
    Refusal.HOST: 421,
    Refusal.NO_CREDENTIAL: 401,
    Refusal.UNKNOWN_CREDENTIAL: 401,
    Refusal.EXPIRED: 401,
    Refusal.REVOKED: 401,
    Refusal.BAD_TARGET: 400,
    Refusal.BAD_BODY: 422,
    Refusal.UPSTREAM: 502,
}
FORBIDDEN: Final = 403
UNAUTHORIZED: Final = 401
TOO_MANY: Final = 429
LFS_JSON: Final = "application/vnd.git-lfs+json"
NO_CREDENTIAL: Final = Deny(
    Refusal.NO_CREDENTIAL, "no credential came with the request; run the command under: hf-proxy exec -- CMD"
)


def status_of(deny: Deny) -> int:
    """Return the HTTP status of a refusal, as most clients get it."""
    return TOO_MANY if deny.retry_after_s is not None else STATUS.get(deny.refusal, FORBIDDEN)


def refusal_response(deny: Deny, kind: ResponseKind = ResponseKind.API, *, reads: bool = False) -> web.Response:
    """Return the response to a refused request.

    Args:
        deny: Why; its text becomes one ASCII line.
        kind: What the route's clients can read.
        reads: Whether the request only reads a repository. Then a 403 takes the form of a gated repository, the one
            refusal whose message every client passes on.
    """
    why = deny.why.encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\r", " ")
    status = status_of(deny)
    headers = {"X-HF-Proxy-Refusal": deny.refusal.value, "X-Error-Message": why}
    if deny.retry_after_s is not None:
        headers["Retry-After"] = str(deny.retry_after_s)
    if reads and status == FORBIDDEN:
        headers["X-Error-Code"] = "GatedRepo"
        headers["X-HF-Warning"] = warning(deny.objections, why)
    if deny.refusal is Refusal.NO_CREDENTIAL:
        headers["LFS-Authenticate" if kind is ResponseKind.LFS else "WWW-Authenticate"] = 'Basic realm="hf-proxy"'
    elif status == UNAUTHORIZED and kind in {ResponseKind.LFS, ResponseKind.GIT}:
        status = FORBIDDEN  # after a 401, git prompts for a password, and git-lfs repeats the request without end
    return _render(status, headers, why, deny.refusal, kind)


def warning(objections: tuple[Objection, ...], why: str) -> str:
    """Return an `X-HF-Warning`, for programs on top of huggingface_hub that replace the message of every error.

    huggingface_hub prints one warning for each topic, and the topic ends at the first semicolon: so the topic is the
    first objection.
    """
    return f"{objections[0].why if objections else 'hf-proxy'}; {why}"


def _render(status: int, headers: dict[str, str], why: str, refusal: Refusal, kind: ResponseKind) -> web.Response:
    if kind is ResponseKind.GIT:
        return web.Response(status=status, headers=headers, text=f"{why}\n", content_type="text/plain")
    body = {"error": why, "refusal": refusal.value}
    if kind is ResponseKind.LFS:
        text = json.dumps({"message": why, **body})
        return web.Response(status=status, headers=headers, text=text, content_type=LFS_JSON)
    return web.Response(status=status, headers=headers, text=json.dumps(body), content_type="application/json")


def with_explanation(body: bytes, sentence: str) -> bytes:
    """Return a JSON error of the Hub with our sentence added to its `error`; any other body unchanged."""
    try:
        decoded = json.loads(body)
        decoded["error"] = f"{decoded['error']} ({sentence})"
    except (ValueError, KeyError, TypeError):
        return body
    return json.dumps(decoded).encode()
