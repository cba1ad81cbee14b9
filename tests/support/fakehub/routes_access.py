"""Who likes a repository, and who asked to read a gated one."""

import secrets
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from . import describe
from .errors import Refusal
from .pages import answer, paged
from .repos import Repo
from .routes_account import caller, profile
from .routing import Call, Routes

ROUTES = Routes()
_LIKE = "/api/{T}/{R}/like"
_REQUESTS = "/api/{T}/{R}/user-access-request"
STATUSES = ("pending", "accepted", "rejected")


@ROUTES.on("POST DELETE", _LIKE)
async def like(call: Call) -> web.Response:
    """Like a repository, or no longer."""
    repo, token = call.repo(), caller(call)
    if token.role == "read":
        raise Refusal(403, "Forbidden: this token may only read")
    (repo.likers.add if call.request.method == "POST" else repo.likers.discard)(token.user.name)
    return answer(call, {"liked": token.user.name in repo.likers})


@ROUTES.on("GET", "/api/{T}/{R}/likers")
async def likers(call: Call) -> web.Response:
    """List who likes a repository."""
    users = [call.world.users[name] for name in sorted(call.repo().likers)]
    return paged(call, [{**profile(user), "user": user.name} for user in users])


@ROUTES.on("GET", "/api/users/{name}/likes")
async def likes(call: Call) -> web.Response:
    """List the public repositories somebody likes."""
    if call.param("name") not in call.world.users:
        raise Refusal(404, "This user does not exist")
    liked = [repo for repo in call.world.repos.values() if call.param("name") in repo.likers and not repo.private]
    now = describe.moment(datetime.now(UTC))
    return paged(call, [{"createdAt": now, "repo": {"name": repo.id, "type": repo.kind}} for repo in liked])


@ROUTES.on("POST", "/{P}{R}/ask-access")
async def ask_access(call: Call) -> web.Response:
    """Ask to read a gated repository."""
    repo, token = call.repo(), caller(call)
    if not repo.gated:
        raise Refusal(400, "This repository is not gated")
    repo.requests.setdefault(token.user.name, _request("pending"))
    return answer(call, {"status": repo.requests[token.user.name]["status"]})


def _request(status: str) -> dict[str, str]:
    return {"requestId": secrets.token_hex(12), "status": status, "timestamp": describe.moment(datetime.now(UTC))}


def _gated(call: Call) -> Repo:
    repo = call.writable()
    if not repo.gated:
        raise Refusal(400, "This repository is not gated")
    return repo


@ROUTES.on("GET", _REQUESTS + "/{status}")
async def requests(call: Call) -> web.Response:
    """List the requests of one status: personal data, for those who may write."""
    repo, status = _gated(call), call.param("status")
    if status not in STATUSES:
        raise Refusal(404, "No such list of requests")
    lines = [
        {**request, "user": {"user": name, "fullname": name.title(), "email": f"{name}@example.com"}}
        for name, request in sorted(repo.requests.items())
        if request["status"] == status
    ]
    return paged(call, lines)


@ROUTES.on("POST", _REQUESTS + "/handle")
async def handle(call: Call) -> web.Response:
    """Accept, reject or reopen one request, named by its user or its id."""
    repo, body = _gated(call), call.json()
    name, status = _asker(repo, body), body.get("status")
    if status not in STATUSES:
        raise Refusal(400, "A request is pending, accepted or rejected")
    _decide(repo, name, status)
    return answer(call, {"status": status})


def _asker(repo: Repo, body: dict[str, Any]) -> str:
    for name, request in repo.requests.items():
        if body.get("user") == name or body.get("requestId") == request["requestId"]:
            return name
    raise Refusal(404, "No such access request")


def _decide(repo: Repo, name: str, status: str) -> None:
    repo.requests[name] |= {"status": status}
    (repo.granted.add if status == "accepted" else repo.granted.discard)(name)


@ROUTES.on("POST", _REQUESTS + "/grant")
async def grant(call: Call) -> web.Response:
    """Let somebody read who has not asked."""
    repo, name = _gated(call), call.json().get("user", "")
    if name not in call.world.users:
        raise Refusal(404, "This user does not exist")
    if name in repo.granted:
        raise Refusal(400, "This user has access already")
    repo.requests[name] = _request("accepted")
    _decide(repo, name, "accepted")
    return answer(call, {"status": "accepted"})
