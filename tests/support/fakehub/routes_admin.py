"""Repositories as a whole: create, delete, move, settings, branches, tags, squash."""

from typing import Any

from aiohttp import web

from .auth import require_namespace, require_write
from .errors import Refusal, repo_not_found
from .pages import answer
from .repos import Repo
from .routing import Call, Routes

ROUTES = Routes()
_WEB_PREFIX = {"model": "", "dataset": "datasets/", "space": "spaces/"}


def web_url(call: Call, repo: Repo) -> str:
    """Return the address a browser would use, on the public host as the Hub writes it."""
    return f"{call.world.settings.web_url}/{_WEB_PREFIX[repo.kind]}{repo.id}"


def named(call: Call, body: dict[str, Any]) -> tuple[str, str]:
    """Return kind and id of the repository a body names; without an organization it is the caller's own."""
    owner = body.get("organization") or (call.token.user.name if call.token else "")
    return body.get("type") or "model", f"{owner}/{body.get('name', '')}"


@ROUTES.on("POST", "/api/repos/create")
async def create(call: Call) -> web.Response:
    """Create a repository; a Space may bring secrets, variables and hardware."""
    body = call.json()
    kind, repo_id = named(call, body)
    token = require_namespace(call.token, repo_id.partition("/")[0], kind)
    if (kind, repo_id) in call.world.repos:
        existing = call.world.repos[kind, repo_id]
        raise Refusal(409, f"You already created this {kind} repo", url=web_url(call, existing))
    private = body.get("visibility") == "private" or body.get("private") is True
    repo = call.world.create(kind, repo_id, token.user.name, private=private, sdk=body.get("sdk"))
    _furnish(repo, body)
    return answer(call, {"url": web_url(call, repo), "name": repo.id, "id": repo.id})


def _furnish(repo: Repo, body: dict[str, Any]) -> None:
    if repo.space is None:
        return
    repo.space.secrets |= {item["key"]: item for item in body.get("secrets") or []}
    repo.space.variables |= {item["key"]: item for item in body.get("variables") or []}
    repo.space.requested = body.get("hardware") or repo.space.requested
    repo.space.sleep_seconds = body.get("sleepTimeSeconds")
    repo.space.volumes = body.get("volumes") or []


def _target(call: Call, kind: str, repo_id: str) -> Repo:
    repo = call.world.repos.get((kind, repo_id))
    if repo is None:
        raise repo_not_found(anonymous=call.token is None)
    require_write(call.token, repo)
    return repo


@ROUTES.on("DELETE", "/api/repos/delete")
async def delete(call: Call) -> web.Response:
    """Delete the repository the body names."""
    repo = _target(call, *named(call, call.json()))
    del call.world.repos[repo.key]
    return answer(call, {})


@ROUTES.on("POST", "/api/repos/move")
async def move(call: Call) -> web.Response:
    """Rename or transfer a repository; the old id redirects."""
    body = call.json()
    kind, new_id = body.get("type") or "model", body.get("toRepo", "")
    if kind == "bucket":
        return _move_bucket(call, body.get("fromRepo", ""), new_id)
    repo = _target(call, kind, body.get("fromRepo", ""))
    require_namespace(call.token, new_id.partition("/")[0])
    if (kind, new_id) in call.world.repos:
        raise Refusal(409, "A repository with this name exists already")
    call.world.rename(repo, new_id)
    return answer(call, {})


def _move_bucket(call: Call, old_id: str, new_id: str) -> web.Response:
    bucket = call.world.buckets.get(old_id)
    if bucket is None:
        raise repo_not_found(anonymous=call.token is None)
    require_write(call.token, bucket)
    require_namespace(call.token, new_id.partition("/")[0], "bucket")
    if new_id in call.world.buckets:
        raise Refusal(409, "A bucket with this name exists already")
    del call.world.buckets[old_id]
    bucket.id = new_id
    call.world.buckets[new_id] = bucket
    return answer(call, {})


@ROUTES.on("PUT", "/api/{T}/{R}/settings")
async def settings(call: Call) -> web.Response:
    """Change visibility or gating."""
    repo, body = call.writable(), call.json()
    if "visibility" in body or "private" in body:
        repo.private = body.get("visibility") == "private" or body.get("private") is True
    if "gated" in body:
        repo.gated = body["gated"] is not False
    return answer(call, {"private": repo.private, "gated": repo.gated})


@ROUTES.on("POST", "/api/{T}/{R}/branch/{rev}")
async def create_branch(call: Call) -> web.Response:
    """Create a branch from `startingPoint`, or from main."""
    repo, body, name = call.writable(), call.json(), call.param("rev")
    if name in repo.branches and not body.get("overwrite"):
        raise Refusal(409, f"Reference already exists: refs/heads/{name}")
    repo.branches[name] = repo.find(body.get("startingPoint") or "main").id
    return answer(call, {})


@ROUTES.on("DELETE", "/api/{T}/{R}/branch/{rev}")
async def delete_branch(call: Call) -> web.Response:
    """Delete a branch other than main."""
    repo, name = call.writable(), call.param("rev")
    if name == "main":
        raise Refusal(403, "Cannot delete the main branch")
    if repo.branches.pop(name, None) is None:
        raise Refusal(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return answer(call, {})


@ROUTES.on("POST", "/api/{T}/{R}/tag/{rev}")
async def create_tag(call: Call) -> web.Response:
    """Tag a revision with the name in the body."""
    repo, name = call.writable(), call.json().get("tag", "")
    if name in repo.tags:
        raise Refusal(409, f"Tag already exists: {name}")
    repo.tags[name] = repo.find(call.param("rev")).id
    return answer(call, {})


@ROUTES.on("DELETE", "/api/{T}/{R}/tag/{rev}")
async def delete_tag(call: Call) -> web.Response:
    """Delete a tag."""
    repo, name = call.writable(), call.param("rev")
    if repo.tags.pop(name, None) is None:
        raise Refusal(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return answer(call, {})


@ROUTES.on("POST", "/api/{T}/{R}/super-squash/{rev}")
async def super_squash(call: Call) -> web.Response:
    """Replace a branch's history by one commit."""
    repo = call.writable()
    repo.squash(call.param("rev"), call.json().get("message") or "Super-squash branch", call.who)
    return answer(call, {})


@ROUTES.on("POST", "/api/{T}/{R}/duplicate")
async def duplicate(call: Call) -> web.Response:
    """Copy a repository's files to a new one named in the body."""
    source, body = call.readable(), call.json()
    new_id = body.get("repository", "")
    token = require_namespace(call.token, new_id.partition("/")[0])
    if (source.kind, new_id) in call.world.repos:
        raise Refusal(409, f"You already created this {source.kind} repo")
    copy = call.world.create(source.kind, new_id, token.user.name, private=body.get("visibility") != "public")
    copy.uploaded |= source.uploaded
    head = copy.find("main")
    tree = dict(source.find("main").tree)
    copy.advance("main", copy.add_commit(tree, f"Duplicate from {source.id}", author=call.who, parents=(head.id,)))
    _furnish(copy, body)
    return answer(call, {"url": web_url(call, copy)})
