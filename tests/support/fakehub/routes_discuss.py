"""Discussions and pull requests on the wire: who may open, comment, rename, close, pin, merge and delete."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import discussions
from .auth import WRITE, may, require_write
from .errors import Refusal
from .pages import answer
from .repos import Repo
from .routes_account import caller
from .routing import Call, Routes

ROUTES = Routes()
_BASE = "/api/{T}/{R}/discussions"
_ONE = _BASE + "/{num}"
_COMMENT = _ONE + "/comment/{id}"
MIN_TITLE, MAX_TITLE = 3, 200


def participant(call: Call) -> str:
    """Return the caller's name; reading tokens take no part."""
    token = caller(call)
    if token.role == "read":
        raise Refusal(403, "Forbidden: this token may only read")
    return token.user.name


def numbered(call: Call) -> tuple[Repo, dict[str, Any]]:
    """Return the discussion in the path."""
    repo, number = call.repo(), call.param("num")
    if not number.isdigit() or int(number) not in repo.discussions:
        raise Refusal(404, "Discussion not found")
    return repo, repo.discussions[int(number)]


def own(call: Call, repo: Repo, thing: dict[str, Any]) -> str:
    """Return the caller's name, if the thing is theirs or the repository is theirs to write."""
    who = participant(call)
    if thing["author"]["name"] != who and not may(call.token, WRITE, repo):
        raise Refusal(403, "Forbidden: only its author and the repository's owners may do this")
    return who


def titled(call: Call) -> str:
    """Return the title in the body."""
    title = call.json().get("title", "")
    if not isinstance(title, str) or not MIN_TITLE <= len(title.strip()) <= MAX_TITLE:
        raise Refusal(400, f"A title has {MIN_TITLE} to {MAX_TITLE} characters")
    return title.strip()


@ROUTES.on("GET", _BASE)
async def listing(call: Call) -> web.Response:
    """List discussions: page `p`, filtered by `type`, `status` and `author`."""
    repo, query = call.repo(), call.request.query
    lines = [discussions.details(repo, discussion) for discussion in repo.discussions.values()]
    kept = [line for line in lines if all(wanted(line) for wanted in _filters(query))]
    size = call.world.settings.page_size
    start = int(query.get("p", "0")) * size
    return answer(call, {"discussions": kept[start : start + size], "count": len(kept), "start": start})


def _filters(query: Any) -> list[Callable[[dict[str, Any]], bool]]:
    kind, status, author = query.get("type"), query.get("status"), query.get("author")
    return [
        lambda line: kind in (None, "all") or line["isPullRequest"] == (kind == "pull_request"),
        lambda line: status in (None, "all") or (line["status"] in ("open", "draft")) == (status == "open"),
        lambda line: author in (None, line["author"]["name"]),
    ]


@ROUTES.on("POST", _BASE)
async def create(call: Call) -> web.Response:
    """Open a discussion, or a draft of a pull request without changes yet."""
    repo, body = call.repo(), call.json()
    who, is_pull = participant(call), bool(body.get("pullRequest"))
    discussion = discussions.opened(repo, who, titled(call), status="draft" if is_pull else "open")
    discussion["events"].append(discussions.comment(who, body.get("description") or ""))
    if is_pull:
        repo.pulls[discussion["num"]] = repo.find("main").id
    return answer(call, {"num": discussion["num"], "pullRequest": is_pull})


@ROUTES.on("GET", _ONE)
async def details(call: Call) -> web.Response:
    """Return a discussion with its events."""
    return answer(call, discussions.details(*numbered(call)))


@ROUTES.on("DELETE", _ONE)
async def delete(call: Call) -> web.Response:
    """Delete a discussion; a pull request's ref goes with it."""
    repo, discussion = numbered(call)
    require_write(call.token, repo)
    del repo.discussions[discussion["num"]]
    repo.pulls.pop(discussion["num"], None)
    return answer(call, {})


@ROUTES.on("DELETE", _ONE + "/ref")
async def delete_ref(call: Call) -> web.Response:
    """Delete the ref of a pull request that is done with."""
    repo, discussion = numbered(call)
    require_write(call.token, repo)
    if discussion["status"] not in ("merged", "closed"):
        raise Refusal(403, "The pull request is still open")
    repo.pulls.pop(discussion["num"], None)
    return answer(call, {})


@ROUTES.on("POST", _ONE + "/comment")
async def comment(call: Call) -> web.Response:
    """Add a comment."""
    _, discussion = numbered(call)
    new = discussions.comment(participant(call), call.json().get("comment", ""))
    discussion["events"].append(new)
    return answer(call, {"newMessage": new})


def _commented(call: Call) -> dict[str, Any]:
    repo, discussion = numbered(call)
    for item in discussion["events"]:
        if item["id"] == call.param("id") and item["type"] == "comment":
            own(call, repo, item)
            return item
    raise Refusal(404, "Comment not found")


@ROUTES.on("POST", _COMMENT + "/edit")
async def edit(call: Call) -> web.Response:
    """Change a comment's text; what it was stays in its history."""
    item = _commented(call)
    data = item["data"]
    data["history"].append(data["latest"])
    data |= {"edited": True, "latest": discussions.latest(call.who, call.json().get("content", ""))}
    return answer(call, {"updatedComment": item})


@ROUTES.on("POST", _COMMENT + "/hide")
async def hide(call: Call) -> web.Response:
    """Hide a comment for good."""
    item = _commented(call)
    item["data"] |= {"hidden": True, "latest": discussions.latest(call.who, "This comment has been hidden")}
    return answer(call, {"updatedComment": item})


@ROUTES.on("POST", _ONE + "/title")
async def title(call: Call) -> web.Response:
    """Rename a discussion."""
    repo, discussion = numbered(call)
    who, new = own(call, repo, discussion), titled(call)
    change = discussions.event(who, "title-change", {"from": discussion["title"], "to": new})
    discussion["title"] = new
    discussion["events"].append(change)
    return answer(call, {"newTitle": change})


@ROUTES.on("POST", _ONE + "/status")
async def status(call: Call) -> web.Response:
    """Close or reopen; a draft of a pull request becomes open."""
    repo, discussion = numbered(call)
    who, new = own(call, repo, discussion), call.json().get("status")
    if new not in ("open", "closed") or discussion["status"] == "merged":
        raise Refusal(400, "A discussion is opened or closed, and a merged pull request neither")
    if text := call.json().get("comment"):
        discussion["events"].append(discussions.comment(who, text))
    change = discussions.event(who, "status-change", {"status": new})
    discussion["status"] = new
    discussion["events"].append(change)
    return answer(call, {"newStatus": change})


@ROUTES.on("POST", _ONE + "/pin")
async def pin(call: Call) -> web.Response:
    """Pin or unpin a discussion."""
    repo, discussion = numbered(call)
    require_write(call.token, repo)
    discussion["pinned"] = call.json().get("pinned", True) is True
    return answer(call, {"pinned": discussion["pinned"]})


@ROUTES.on("POST", _ONE + "/merge")
async def merge(call: Call) -> web.Response:
    """Put a pull request's changes on main."""
    repo, discussion = numbered(call)
    require_write(call.token, repo)
    commit = discussions.merge(repo, discussion, call.who)
    if text := call.json().get("comment"):
        discussion["events"].append(discussions.comment(call.who, text))
    return answer(call, {"mergeCommitId": commit.id})
