"""Discussions and pull requests: opening, reading, commenting, closing, merging."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from . import describe
from .auth import require_write
from .errors import Refusal
from .pages import answer
from .repos import Repo
from .routes_account import caller
from .routing import Call, Routes

ROUTES = Routes()
_BASE = "/api/{T}/{R}/discussions"


def open_discussion(repo: Repo, author: str, title: str, *, number: int | None = None) -> int:
    """Add a discussion (the page of a pull request, if *number* is one) and return its number."""
    number = number or repo.next_number()
    repo.discussions[number] = {
        "num": number,
        "title": title,
        "author": {"name": author},
        "createdAt": describe.moment(datetime.now(UTC)),
        "status": "open",
        "events": [],
    }
    return number


def _event(author: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": describe.stable_id(f"{kind}{author}"),
        "type": kind,
        "createdAt": describe.moment(datetime.now(UTC)),
        "author": {"name": author},
        "data": data,
    }


def _comment(author: str, text: str) -> dict[str, Any]:
    return _event(author, "comment", {"edited": False, "hidden": False, "latest": {"raw": text}})


def _numbered(call: Call) -> tuple[Repo, dict[str, Any]]:
    repo, number = call.repo(), call.param("num")
    if not number.isdigit() or int(number) not in repo.discussions:
        raise Refusal(404, "Discussion not found")
    return repo, repo.discussions[int(number)]


def _details(repo: Repo, discussion: dict[str, Any]) -> dict[str, Any]:
    is_pull = discussion["num"] in repo.pulls
    changes = {"base": "refs/heads/main", "mergeCommitId": discussion.get("merge")} if is_pull else None
    return {
        **discussion,
        "isPullRequest": is_pull,
        "changes": changes,
        "filesWithConflicts": [],
        "repo": {"name": repo.id, "type": repo.kind},
    }


@ROUTES.on("GET", _BASE)
async def listing(call: Call) -> web.Response:
    """List all discussions on one page."""
    repo = call.repo()
    lines = [_details(repo, discussion) for discussion in repo.discussions.values()]
    return answer(call, {"discussions": lines, "count": len(lines), "start": 0})


@ROUTES.on("POST", _BASE)
async def create(call: Call) -> web.Response:
    """Open a discussion, or a pull request without changes yet."""
    repo, token, body = call.repo(), caller(call), call.json()
    number = open_discussion(repo, token.user.name, body.get("title", ""))
    repo.discussions[number]["events"].append(_comment(token.user.name, body.get("description") or ""))
    if body.get("pullRequest"):
        repo.pulls[number] = repo.find("main").id
    return answer(call, {"num": number, "pullRequest": bool(body.get("pullRequest"))})


@ROUTES.on("GET", _BASE + "/{num}")
async def details(call: Call) -> web.Response:
    """Return a discussion with its events."""
    return answer(call, _details(*_numbered(call)))


@ROUTES.on("POST", _BASE + "/{num}/comment")
async def comment(call: Call) -> web.Response:
    """Add a comment."""
    _, discussion = _numbered(call)
    new = _comment(caller(call).user.name, call.json().get("comment", ""))
    discussion["events"].append(new)
    return answer(call, {"newMessage": new})


@ROUTES.on("POST", _BASE + "/{num}/status")
async def status(call: Call) -> web.Response:
    """Close or reopen."""
    _, discussion = _numbered(call)
    caller(call)
    discussion["status"] = call.json().get("status", "open")
    return answer(call, {"newStatus": _event(call.who, "status-change", {"status": discussion["status"]})})


@ROUTES.on("POST", _BASE + "/{num}/merge")
async def merge(call: Call) -> web.Response:
    """Put a pull request's head on main; it must start from there."""
    repo, discussion = _numbered(call)
    require_write(call.token, repo)
    head = repo.commits[repo.pulls[discussion["num"]]]
    if repo.find("main") not in repo.history(head):
        raise Refusal(409, "This pull request has conflicts")
    repo.advance("main", head)
    discussion |= {"status": "merged", "merge": head.id}
    return answer(call, {})
