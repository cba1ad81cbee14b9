"""A repository's large files as such: list, purge, copy into another repository without moving bytes."""

from typing import Any

from aiohttp import web

from . import describe
from .auth import require_write
from .errors import Refusal
from .pages import answer, paged
from .repos import Repo
from .routing import Call, Routes

ROUTES = Routes()
_BASE = "/api/{T}/{R}/lfs-files"


@ROUTES.on("GET", _BASE)
async def listing(call: Call) -> web.Response:
    """List the large files of main."""
    repo = call.writable()
    head = repo.find("main")
    lines = [
        {
            "fileOid": entry.sha256,
            "filename": path,
            "oid": entry.sha256,
            "pushedAt": describe.moment(head.at),
            "ref": "refs/heads/main",
            "size": entry.size,
        }
        for path, entry in sorted(head.tree.items())
        if entry.lfs
    ]
    return paged(call, lines)


@ROUTES.on("POST", _BASE + "/batch")
async def purge(call: Call) -> web.Response:
    """Delete large files for good."""
    _purge(call, call.writable(), call.json().get("deletions", {}).get("sha", []))
    return answer(call, {})


@ROUTES.on("DELETE", _BASE + "/{sha}")
async def purge_one(call: Call) -> web.Response:
    """Delete one large file for good."""
    _purge(call, call.writable(), [call.param("sha")])
    return answer(call, {})


def _purge(call: Call, repo: Repo, doomed: list[str]) -> None:
    # The Hub rewrites history; here main gets one more commit, and the bytes are out of reach all the same.
    repo.uploaded -= set(doomed)
    head = repo.find("main")
    tree = {path: entry for path, entry in head.tree.items() if entry.sha256 not in doomed}
    repo.advance("main", repo.add_commit(tree, "Delete LFS files", author=call.who, parents=(head.id,)))


@ROUTES.on("POST", _BASE + "/duplicate")
async def duplicate(call: Call) -> web.Response:
    """Make large files of this repository known to the one the body names."""
    source, body = call.readable(), call.json()
    target = _target(call, body.get("target", {}))
    asked = [item.get("sha256", "") for item in body.get("files", [])]
    known = {sha for sha in asked if sha in source.uploaded}
    target.uploaded |= known
    failed = [{"sha256": sha, "error": "Object does not exist"} for sha in asked if sha not in known]
    return answer(call, {"success": sorted(known), "failed": failed})


def _target(call: Call, named: dict[str, Any]) -> Repo:
    repo = call.world.repos.get((named.get("type", "model"), named.get("name", "")))
    if repo is None:
        raise Refusal(404, "Repository not found", "RepoNotFound")
    require_write(call.token, repo)
    return repo
