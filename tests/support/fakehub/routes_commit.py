"""Committing: `preupload` sorts files into regular and large, `commit` takes an NDJSON list of operations."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from . import discussions
from .auth import READ, may, require_write
from .errors import Refusal
from .pages import answer
from .repos import PR_PREFIX, Commit, Entry, Repo
from .routes_admin import web_url
from .routing import Call, Routes
from .world import World

ROUTES = Routes()


def admitted(call: Call) -> tuple[Repo, bool]:
    """Return the repository and whether a pull request is to be made; that needs reading only."""
    repo = call.repo()
    as_pull = call.request.query.get("create_pr") == "1"
    if not as_pull:
        require_write(call.token, repo)
    elif call.token is None or (repo.private and not may(call.token, READ, repo)):
        raise Refusal(401, "Invalid username or password.")
    return repo, as_pull


@ROUTES.on("POST", "/api/{T}/{R}/preupload/{rev}")
async def preupload(call: Call) -> web.Response:
    """Say for each file how it is to be uploaded, and which blob is there now."""
    repo, as_pull = admitted(call)
    commit = repo.find("main" if as_pull else call.param("rev"))
    files = [_advice(call.world, commit, item) for item in call.json().get("files", [])]
    return answer(call, {"commitOid": commit.id, "files": files})


def _advice(world: World, commit: Commit, item: dict[str, Any]) -> dict[str, Any]:
    current = commit.tree.get(item["path"])
    advice: dict[str, Any] = {
        "path": item["path"],
        "uploadMode": "lfs" if world.is_large(item["path"], item["size"]) else "regular",
        "shouldIgnore": False,
    }
    if current is not None:
        advice["oid"] = current.sha256 if current.lfs else current.oid
    return advice


@ROUTES.on("POST", "/api/{T}/{R}/commit/{rev}")
async def commit(call: Call) -> web.Response:
    """Apply a list of operations to a branch, a pull request ref, or a new pull request."""
    repo, as_pull = admitted(call)
    rev = "main" if as_pull else call.param("rev")
    parent = repo.find(rev)
    header, operations = _parse(call.body)
    if (expected := header.get("parentCommit")) and not parent.id.startswith(expected):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    tree = dict(parent.tree)
    for key, value in operations:
        _apply(call.world, repo, tree, key, value)
    new = repo.add_commit(
        tree,
        header.get("summary", ""),
        message=header.get("description", ""),
        author=call.who,
        parents=(parent.id,),
    )
    body = {"success": True, "commitOid": new.id, "commitUrl": f"{web_url(call, repo)}/commit/{new.id}"}
    if as_pull:
        body["pullRequestUrl"] = _open_pull(call, repo, new)
    else:
        _advance(repo, rev, new)
    return answer(call, {**body, "hookOutput": ""})


def _parse(body: bytes) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    lines = list(_lines(body))
    if not lines or lines[0][0] != "header":
        raise Refusal(400, "The first line of a commit must be its header")
    return lines[0][1], lines[1:]


def _lines(body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in io.BytesIO(body):
        if line.strip():
            try:
                item = json.loads(line)
                yield item["key"], item["value"]
            except (ValueError, KeyError, TypeError):
                raise Refusal(400, "Invalid NDJSON in commit") from None


def _apply(world: World, repo: Repo, tree: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
    path = value.get("path", "")
    if key == "file":
        tree[path] = world.keep(base64.b64decode(value.get("content", "")), lfs=False)
    elif key == "lfsFile":
        tree[path] = _large(world, repo, value)
    elif key == "deletedFile":
        if tree.pop(path, None) is None:
            raise Refusal(404, "Entry not found", "EntryNotFound")
    elif key == "deletedFolder":
        prefix = path.rstrip("/") + "/"
        for name in [name for name in tree if name.startswith(prefix)]:
            del tree[name]
    else:
        raise Refusal(400, f"Unknown operation: {key}")


def _large(world: World, repo: Repo, value: dict[str, Any]) -> Entry:
    """Return a large file's entry if its bytes have reached storage for this very repository."""
    oid = value.get("oid", "")
    if value.get("algo") != "sha256" or oid not in repo.uploaded or oid not in world.contents:
        raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {oid}")
    entry = world.large_entry(oid)
    if value.get("size", entry.size) != entry.size:
        raise Refusal(400, "LFS pointer has another size than the file")
    return entry


def _advance(repo: Repo, rev: str, new: Commit) -> None:
    repo.advance(rev, new)
    number = rev.removeprefix(PR_PREFIX)
    if number.isdigit() and int(number) in repo.discussions:
        discussions.note_commit(repo, int(number), new)


def _open_pull(call: Call, repo: Repo, new: Commit) -> str:
    number = repo.next_number()
    repo.pulls[number] = new.id
    discussions.opened(repo, call.who, new.title, number=number)
    discussions.note_commit(repo, number, new)
    return f"{web_url(call, repo)}/discussions/{number}"
