"""How a no sounds on the wire, so that each client prints our sentence
(docs/hub-protocol.md#refusals).

A plain 403 on a file's HEAD becomes "check your connection" in huggingface_hub, a 401 on an LFS transfer makes
git-lfs ask again without end: so the words are chosen by who is listening.
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
    """The HTTP status of a no, as most clients get it."""
    return TOO_MANY if deny.retry_after_s is not None else STATUS.get(deny.refusal, FORBIDDEN)


def refusal_response(deny: Deny, answer: ResponseKind = ResponseKind.API, *, reads: bool = False) -> web.Response:
    """The answer to a refused request.

    Args:
        deny: Why; its text becomes one ASCII line.
        answer: How the route's clients want to be spoken to.
        reads: Whether the request only reads a repository: a gated one is the one refusal
            whose words survive in every client.
    """
    why = deny.why.encode("ascii", "backslashreplace").decode().replace("\n", " ").replace("\r", " ")
    status = status_of(deny)
    headers = {"X-HF-Proxy-Refusal": deny.refusal.value, "X-Error-Message": why}
    if deny.retry_after_s is not None:
        headers["Retry-After"] = str(deny.retry_after_s)
    if reads and status == FORBIDDEN:
        headers["X-Error-Code"] = "GatedRepo"
        headers["X-HF-Warning"] = warning(deny.objections, why)
    challenges = deny.refusal is Refusal.NO_CREDENTIAL
    if challenges:
        headers["LFS-Authenticate" if answer is ResponseKind.LFS else "WWW-Authenticate"] = 'Basic realm="hf-proxy"'
    elif status == UNAUTHORIZED and answer in {ResponseKind.LFS, ResponseKind.GIT}:
        status = FORBIDDEN  # a 401 makes git ask a person, and git-lfs ask again without end
    return _render(status, headers, why, deny.refusal, answer)


def warning(objections: tuple[Objection, ...], why: str) -> str:
    """A header that `huggingface_hub` prints, for the programs on top of it that have words of their own for every no.

    It prints one of each topic, which ends at the first semicolon: what is objected to is the topic.
    """
    return f"{objections[0].why if objections else 'hf-proxy'}; {why}"


def _render(status: int, headers: dict[str, str], why: str, refusal: Refusal, answer: ResponseKind) -> web.Response:
    if answer is ResponseKind.GIT:
        return web.Response(status=status, headers=headers, text=f"{why}\n", content_type="text/plain")
    body = {"error": why, "refusal": refusal.value}
    if answer is ResponseKind.LFS:
        text = json.dumps({"message": why, **body})
        return web.Response(status=status, headers=headers, text=text, content_type=LFS_JSON)
    return web.Response(status=status, headers=headers, text=json.dumps(body), content_type="application/json")


def with_explanation(body: bytes, sentence: str) -> bytes:
    """A JSON error of the Hub with our sentence added to its `error`; any other body as it is."""
    try:
        decoded = json.loads(body)
        decoded["error"] = f"{decoded['error']} ({sentence})"
    except (ValueError, KeyError, TypeError):
        return body
    return json.dumps(decoded).encode()
