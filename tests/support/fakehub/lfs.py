"""git-lfs on the Hub: batch, verify, completion of multipart uploads (git-lfs/docs/api/batch.md)."""

import base64
import hashlib
import secrets
from dataclasses import replace
from math import ceil
from typing import Any

from aiohttp import web

from . import presign
from .bulk import Content, Discarded
from .errors import Refusal
from .repos import Repo
from .routes_git import RECEIVE, UPLOAD, admitted
from .routing import Call, Routes
from .world import World
from .xet_tokens import access_headers, refresh_route

ROUTES = Routes()
MEDIA_TYPE = "application/vnd.git-lfs+json"
_WEB_PREFIX = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@ROUTES.on("POST", "/{P}{R}.git/info/lfs/objects/batch")
async def batch(call: Call) -> web.Response:
    """Say where to put or get large files."""
    request = call.json()
    upload = request.get("operation") == "upload"
    repo = admitted(call, RECEIVE if upload else UPLOAD)
    transfer = _transfer(call.world, request, upload=upload)
    objects = [
        _upload(call, repo, item, transfer) if upload else _download(call.world, repo, item)
        for item in request.get("objects", [])
    ]
    body = {"transfer": transfer, "objects": objects, "hash_algo": "sha256"}
    return web.json_response(body, content_type=MEDIA_TYPE)


def _transfer(world: World, request: dict[str, Any], *, upload: bool) -> str:
    offered = request.get("transfers") or ["basic"]
    if upload and world.settings.xet and "xet" in offered:
        return "xet"
    part = world.settings.multipart_bytes
    if upload and part and "multipart" in offered and any(item["size"] > part for item in request.get("objects", [])):
        return "multipart"
    return "basic"


def _upload(call: Call, repo: Repo, item: dict[str, Any], transfer: str) -> dict[str, Any]:
    oid, size = item["oid"], item["size"]
    answer: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
    if oid in repo.uploaded:
        return answer  # no actions: it is there already
    call.world.wanted.setdefault(oid, set()).add(repo.key)
    if transfer == "xet":
        headers = access_headers(call.world, repo.key, write=True)
        action = {"href": refresh_route(call.world, repo, "main", write=True), "header": headers}
    else:
        action = _storage_action(call.world, oid, size, transfer)
    return {**answer, "actions": {"upload": action, "verify": _verify_action(call, repo)}}


def _storage_action(world: World, oid: str, size: int, transfer: str) -> dict[str, Any]:
    part = world.settings.multipart_bytes
    if transfer != "multipart" or part is None:
        return {"href": presign.presign(world, "PUT", f"objects/{oid}")}
    upload = secrets.token_hex(8)
    world.parts[upload] = {}
    numbers = range(1, ceil(size / part) + 1)
    urls = {str(number): presign.presign(world, "PUT", f"parts/{upload}/{number}") for number in numbers}
    query = f"uploadId={upload}&prefix={oid}&signature={presign.sign_text(world, upload + oid)}"
    return {
        "href": f"{world.at.hub}/api/complete_multipart?{query}",
        "header": {"chunk_size": str(part), **urls},
    }


def _verify_action(call: Call, repo: Repo) -> dict[str, Any]:
    href = f"{call.world.at.hub}/{_WEB_PREFIX[repo.kind]}{repo.id}.git/info/lfs/objects/verify"
    return {"href": href, "header": {"Authorization": _verify_credential(call)}}


def _verify_credential(call: Call) -> str:
    """Return what git-lfs is to send along: it adds nothing of its own to an object that is `authenticated`."""
    assert call.token is not None
    if call.world.settings.verify_echoes_auth:
        return call.request.headers["Authorization"]
    value = f"hf_jwt_{secrets.token_hex(16)}"
    call.world.tokens[value] = replace(call.token, value=value)
    return "Basic " + base64.b64encode(f"{call.token.user.name}:{value}".encode()).decode()


def _download(world: World, repo: Repo, item: dict[str, Any]) -> dict[str, Any]:
    oid = item["oid"]
    if oid not in repo.uploaded:
        return {"oid": oid, "size": item["size"], "error": {"code": 404, "message": "Object does not exist"}}
    action = {"href": presign.presign(world, "GET", f"objects/{oid}")}
    return {"oid": oid, "size": item["size"], "authenticated": True, "actions": {"download": action}}


@ROUTES.on("POST", "/{P}{R}.git/info/lfs/objects/verify")
async def verify(call: Call) -> web.Response:
    """Confirm that a large file has arrived, whole."""
    repo, item = admitted(call, RECEIVE), call.json()
    if item.get("oid") not in repo.uploaded or len(call.world.contents[item["oid"]]) != item.get("size"):
        raise Refusal(404, "Object does not exist or has another size")
    return web.json_response({}, content_type=MEDIA_TYPE)


@ROUTES.on("GET POST", "/{P}{R}.git/info/lfs/locks")
@ROUTES.on("POST", "/{P}{R}.git/info/lfs/locks/verify")
async def locks(call: Call) -> web.Response:
    """Say that there is no locking, or with `lfs_locks` that nothing is locked."""
    admitted(call, RECEIVE)
    if not call.world.settings.lfs_locks:
        raise Refusal(404, "Not found")
    found = {"ours": [], "theirs": []} if call.request.raw_path.endswith("/verify") else {"locks": []}
    return web.json_response(found, content_type=MEDIA_TYPE)


@ROUTES.on("POST", "/api/complete_multipart")
async def complete(call: Call) -> web.Response:
    """Join the parts of an upload. No credential is asked for: the URL is signed, and clients send none."""
    query, item = call.request.query, call.json()
    upload, oid = query.get("uploadId", ""), query.get("prefix", "")
    if query.get("signature") != presign.sign_text(call.world, upload + oid) or item.get("oid") != oid:
        raise Refusal(403, "Invalid signature")
    parts = call.world.parts.pop(upload, {})
    named = [parts[part["partNumber"]] for part in item.get("parts", []) if part["partNumber"] in parts]
    call.world.store_large(_joined(named, oid), oid)
    return web.json_response({"success": True})


def _joined(parts: list[Content], oid: str) -> Content:
    kept = [part for part in parts if isinstance(part, bytes)]
    if len(kept) < len(parts):
        return Discarded(sum(map(len, parts)))  # nothing is left to compute a hash of
    data = b"".join(kept)
    if hashlib.sha256(data).hexdigest() != oid:
        raise Refusal(400, "The parts do not make up the object")
    return data
