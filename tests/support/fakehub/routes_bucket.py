"""Buckets on the wire (docs/hub-protocol.md#buckets): their own API, one list of changes per call, content by Xet
only."""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from . import presign
from .auth import READ, may, require_namespace, require_visible, require_write
from .buckets import Bucket, BucketFile, paths_of
from .errors import Refusal, entry_not_found, repo_not_found
from .pages import answer, paged
from .routes_account import caller
from .routing import Call, Routes
from .streams import Event, idle_stream
from .xet_tokens import token_response

ROUTES = Routes()
_BASE = "/api/buckets/{ns}/{name}"
MAX_CHANGES = 1000


def _id(call: Call) -> str:
    """Return the bucket's id in the path."""
    return f"{_owner(call)}/{call.param('name')}"


def _owner(call: Call) -> str:
    """Return the namespace in the path. `me` is the caller, unless somebody here is really called that."""
    owner = call.param("ns")
    return caller(call).user.name if owner == "me" and owner not in call.world.users else owner


def bucket_of(call: Call, *, write: bool = False) -> Bucket:
    """Return the bucket in the path if the caller may see it, or with *write* change it."""
    token = call.token
    found = call.world.buckets.get(_id(call))
    if found is None:
        raise repo_not_found(anonymous=token is None)
    (require_write if write else require_visible)(token, found)
    return found


@ROUTES.on("POST", _BASE)
async def create(call: Call) -> web.Response:
    """Create a bucket."""
    bucket_id, body = _id(call), call.json()
    require_namespace(call.token, bucket_id.partition("/")[0], "bucket")
    url = f"{call.world.settings.web_url}/buckets/{bucket_id}"
    if bucket_id in call.world.buckets:
        raise Refusal(409, "You already created this bucket", url=url)
    call.world.buckets[bucket_id] = Bucket(bucket_id, private=body.get("visibility") == "private")
    return answer(call, {"url": url, "id": bucket_id, "name": bucket_id})


@ROUTES.on("GET", _BASE)
async def info(call: Call) -> web.Response:
    """Describe a bucket."""
    return answer(call, bucket_of(call).described())


@ROUTES.on("DELETE", _BASE)
async def delete(call: Call) -> web.Response:
    """Delete a bucket and all that is in it."""
    del call.world.buckets[bucket_of(call, write=True).id]
    return answer(call, {})


@ROUTES.on("GET", "/api/buckets/{ns}")
async def listing(call: Call) -> web.Response:
    """List someone's buckets, as far as the caller may know of them."""
    owner = _owner(call)
    mine = [bucket for bucket in call.world.buckets.values() if bucket.namespace == owner]
    known = [bucket for bucket in mine if not bucket.private or may(call.token, READ, bucket)]
    wanted = call.request.query.get("search", "")
    return paged(call, [bucket.described() for bucket in known if wanted in bucket.id])


@ROUTES.on("PUT", _BASE + "/settings")
async def settings(call: Call) -> web.Response:
    """Change the visibility."""
    bucket = bucket_of(call, write=True)
    bucket.private = call.json().get("private") is True
    return answer(call, {"private": bucket.private})


@ROUTES.on("GET", _BASE + "/tree")
@ROUTES.on("GET", _BASE + "/tree/{path}")
async def tree(call: Call) -> web.Response:
    """List files and folders, in pages."""
    recursive = call.request.query.get("recursive") in ("true", "True", "1")
    return paged(call, bucket_of(call).below(call.param("path"), recursive=recursive))


@ROUTES.on("POST", _BASE + "/paths-info")
async def paths_info(call: Call) -> web.Response:
    """Describe some files. JSON only."""
    return answer(call, list(paths_of(bucket_of(call), call.json().get("paths", []))))


@ROUTES.on("POST", _BASE + "/batch")
async def batch(call: Call) -> web.Response:
    """Apply a list of changes, one JSON object a line. What cannot be done is listed; the rest is done."""
    bucket = bucket_of(call, write=True)
    changes = _changes(call.body)
    failed = [{"path": item.get("path", ""), "error": why} for item in changes if (why := _apply(call, bucket, item))]
    status = 422 if changes and len(failed) == len(changes) else 200
    return answer(call, {"success": not failed, "processed": len(changes), "failed": failed}, status=status)


def _changes(body: bytes) -> list[dict[str, Any]]:
    try:
        changes = [json.loads(line) for line in body.splitlines() if line.strip()]
    except ValueError:
        raise Refusal(400, "Invalid NDJSON in batch") from None
    if len(changes) > MAX_CHANGES or not all(isinstance(item, dict) for item in changes):
        raise Refusal(400, f"A batch is at most {MAX_CHANGES} operations, each an object")
    return changes


def _apply(call: Call, bucket: Bucket, item: dict[str, Any]) -> str | None:
    """Make one change; return why not."""
    path, kind = item.get("path", ""), item.get("type")
    if kind == "deleteFile":
        return None if bucket.files.pop(path, None) else "File not found"
    if kind not in ("addFile", "copyFile"):
        return "Unknown operation"
    xet = item.get("xetHash", "")
    known = call.world.xet.files.get(xet)
    readable = _source_has(call, item, xet) if kind == "copyFile" else bucket.key in call.world.xet.owners.get(xet, ())
    if known is None or not readable:
        return "Xet file not found"
    call.world.xet.owners[xet].add(bucket.key)
    bucket.files[path] = BucketFile(xet, known.size, item.get("mtime", 0), datetime.now(UTC), item.get("contentType"))
    return None


def _source_has(call: Call, item: dict[str, Any], xet: str) -> bool:
    """Say whether the copy's source has this content and the caller may read there."""
    kind, source_id = item.get("sourceRepoType", ""), item.get("sourceRepoId", "")
    if kind == "bucket":
        source = call.world.buckets.get(source_id)
        hashes = {file.xet for file in source.files.values()} if source else set()
    else:
        source = call.world.repos.get((kind, source_id))
        commits = source.commits.values() if source else ()
        hashes = {entry.xet for commit in commits for entry in commit.tree.values()}
    return source is not None and xet in hashes and (not source.private or may(call.token, READ, source))


@ROUTES.on("GET HEAD", "/buckets/{ns}/{name}/resolve/{path}")
async def resolve(call: Call) -> web.Response:
    """Point at a file's content: storage for those who follow, Xet for those who know it."""
    bucket, path = bucket_of(call), call.param("path")
    file = bucket.files.get(path)
    if file is None:
        raise entry_not_found()
    sha256 = call.world.xet.sha256s[file.xet]
    links = {
        "xet-auth": f"{call.world.at.hub}/api/buckets/{bucket.id}/xet-read-token",
        "xet-reconstruction-info": f"{call.world.at.cas}/v1/reconstructions/{file.xet}",
    }
    location = presign.presign(call.world, "GET", f"objects/{sha256}", filename=path.rpartition("/")[2])
    headers = {
        "Location": location,
        "ETag": f'"{file.xet}"',
        "X-Linked-Etag": f'"{file.xet}"',
        "X-Linked-Size": str(file.size),
        "Accept-Ranges": "bytes",
        "X-Xet-Hash": file.xet,
        "Link": ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items()),
    }
    return web.Response(status=302, text=f"Found. Redirecting to {location}", headers=headers)


@ROUTES.on("GET", _BASE + "/xet-read-token")
async def read_token(call: Call) -> web.Response:
    """Give read access to the content."""
    return token_response(call.world, bucket_of(call).key, write=False)


@ROUTES.on("GET", _BASE + "/xet-write-token")
async def write_token(call: Call) -> web.Response:
    """Give write access."""
    return token_response(call.world, bucket_of(call, write=True).key, write=True)


@ROUTES.on("GET", _BASE + "/events")
async def events(call: Call) -> web.StreamResponse:
    """Follow the changes: `ready`, and then silence for `idle_seconds`. Without those there is no feed."""
    bucket_of(call)
    if not call.world.settings.idle_seconds:
        raise Refusal(501, "Live following is not available")
    return await idle_stream(call, [Event({}, "ready")])
