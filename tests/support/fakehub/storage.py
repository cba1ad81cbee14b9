"""The storage and CDN origin: presigned GET and PUT of large files, upload parts and xorbs.

Like S3 it refuses a request that brings another kind of authentication along (400): a client or proxy that
leaks its Authorization header to storage fails here, and the record shows it.
"""

import hashlib
from typing import Any

from aiohttp import web

from . import presign
from .bulk import Content, Discarded
from .errors import Refusal
from .ranges import ranged
from .routing import Call, Routes

ROUTES = Routes()


def admit(call: Call) -> None:
    """Check what is common to every storage request."""
    if "Authorization" in call.request.headers:
        raise Refusal(400, "InvalidArgument: Only one auth mechanism allowed")
    presign.check(call.world, call.request.method, call.request.raw_path)


@ROUTES.on("GET HEAD", "/objects/{sha256}")
async def get_object(call: Call) -> web.Response:
    """Serve a large file."""
    admit(call)
    return ranged(call.request, _stored(call.world.contents, call.param("sha256")), headers=_served_as(call))


@ROUTES.on("GET HEAD", "/xorbs/{hash}")
async def get_xorb(call: Call) -> web.Response:
    """Serve part of a xorb."""
    admit(call)
    return ranged(call.request, _stored(call.world.xet.xorbs, call.param("hash")), headers={})


@ROUTES.on("PUT", "/objects/{sha256}", streams=True)
async def put_object(call: Call) -> web.Response:
    """Take a large file; its SHA-256 must be its key."""
    admit(call)
    data = await _taken(call)
    if call.record.sha256 != call.param("sha256"):
        raise Refusal(400, "BadDigest")
    call.world.store_large(data, call.param("sha256"))
    return web.Response(headers={"ETag": f'"{call.record.sha256}"'})


@ROUTES.on("PUT", "/parts/{upload}/{number}", streams=True)
async def put_part(call: Call) -> web.Response:
    """Take one part of a multipart upload."""
    admit(call)
    call.world.parts.setdefault(call.param("upload"), {})[int(call.param("number"))] = await _taken(call)
    return web.Response(headers={"ETag": f'"{call.record.sha256}"'})


async def _taken(call: Call) -> Content:
    """Return what was uploaded, or with `discard_uploads` how much."""
    if not call.world.settings.discard_uploads:
        call.record.keep(await call.request.read())
        return call.record.body
    async for _ in call.pieces():
        pass
    return Discarded(call.record.length)


@ROUTES.on("PUT", "/xorbs/{hash}")
async def put_xorb(call: Call) -> web.Response:
    """Take a xorb that the CAS granted an upload for; 412 if it is there already."""
    admit(call)
    try:
        new = call.world.xet.add_xorb(call.param("hash"), call.body)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    return web.Response(status=200 if new else 412, headers={"ETag": _etag(call.body)})


def _stored(table: dict[str, Any], key: str) -> Any:
    if key not in table:
        raise Refusal(404, "NoSuchKey")
    return table[key]


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _served_as(call: Call) -> dict[str, str]:
    headers = {"ETag": f'"{call.param("sha256")}"'}
    if disposition := call.request.query.get("response-content-disposition"):
        headers["Content-Disposition"] = disposition
    return headers
