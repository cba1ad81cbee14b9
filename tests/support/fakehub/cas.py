"""The CAS origin: the Xet API as hf_xet 1.8 speaks it (xet-core `spec/api.md`, `api_changes/`).

Authentication is the access token the Hub minted and nothing else: a Hub token here is unknown, like any
stranger's.
"""

import json
import secrets
import time

from aiohttp import web

from . import presign
from .auth import presented
from .errors import Refusal
from .ranges import parse
from .routing import Call, Routes
from .xetstore import Access, Piece

ROUTES = Routes()


def admit(call: Call, *, write: bool) -> Access:
    """Return what the caller's access token allows, or refuse."""
    access = call.world.xet.tokens.get(presented(call.request.headers) or "")
    if access is None or access.expires < time.time():
        raise Refusal(401, "Unauthorized")
    if write and not access.write:
        raise Refusal(403, "Forbidden: this token may only read")
    return access


@ROUTES.on("GET", "/v1/chunks/{prefix}/{hash}")
async def chunk(call: Call) -> web.Response:
    """Global deduplication: nothing is ever known."""
    admit(call, write=False)
    raise Refusal(404, "Chunk not found")


@ROUTES.on("POST", "/v1/xorb-grants/{prefix}/{hash}")
async def grant(call: Call) -> web.Response:
    """Grant an upload straight to storage; 200 when the xorb is there, 404 when grants are off."""
    admit(call, write=True)
    if not call.world.settings.xet_grants:
        raise Refusal(404, "Not found")
    name = call.param("hash")
    if name in call.world.xet.xorbs:
        return web.json_response({})
    grant_id = secrets.token_hex(8)
    call.world.xet.grants[grant_id] = name
    url = presign.presign(call.world, "PUT", f"xorbs/{name}")
    headers = {"Content-Type": "application/octet-stream"}
    return web.json_response({"id": grant_id, "method": "PUT", "url": url, "headers": headers}, status=201)


@ROUTES.on("POST", "/v1/xorb-commits/{prefix}/{hash}/grant/{grant}")
async def commit_xorb(call: Call) -> web.Response:
    """Confirm a granted upload; 404 makes the client ask for a new grant."""
    admit(call, write=True)
    name = call.world.xet.grants.pop(call.param("grant"), None)
    if name != call.param("hash") or name not in call.world.xet.xorbs:
        raise Refusal(404, "No data was uploaded for this grant")
    return web.json_response({"was_inserted": True})


@ROUTES.on("POST", "/v1/xorbs/{prefix}/{hash}")
async def put_xorb(call: Call) -> web.Response:
    """Take a xorb directly, as clients before the grants did."""
    admit(call, write=True)
    try:
        return web.json_response({"was_inserted": call.world.xet.add_xorb(call.param("hash"), call.body)})
    except ValueError as error:
        raise Refusal(400, str(error)) from error


@ROUTES.on("POST", "/v1/shards")
async def put_shard(call: Call) -> web.Response:
    """Register the files of a shard."""
    _register(call, admit(call, write=True))
    return web.json_response({"result": 1})


@ROUTES.on("POST", "/v2/shards")
async def put_shard_streaming(call: Call) -> web.StreamResponse:
    """Register a shard and report as NDJSON: always 200, the last frame says how it went."""
    access = admit(call, write=True)
    if not call.world.settings.xet_shards_v2:
        raise Refusal(404, "Not found")
    frames: list[dict[str, object]] = [{"type": "validating", "verified": 0, "total": 1}]
    try:
        _register(call, access)
        frames += [{"type": "committing", "stage": "uploading"}, {"type": "result"}]
    except Refusal as refusal:
        frames.append({"type": "error", "message": refusal.message, "retryable": False})
    text = "".join(json.dumps(frame) + "\n" for frame in frames)
    return web.Response(text=text, content_type="application/x-ndjson")


def _register(call: Call, access: Access) -> None:
    try:
        added = call.world.xet.add_shard(call.body)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    repo = call.world.repos.get(access.repo)
    for file, content in added:
        sha256 = call.world.keep(content, lfs=True).sha256
        call.world.xet.owners.setdefault(file.hash, set()).add(access.repo)
        if repo is not None and file.hash:
            repo.uploaded.add(sha256)


@ROUTES.on("GET", "/v1/reconstructions/{hash}")
async def reconstruction(call: Call) -> web.Response:
    """Say how to rebuild a file: one URL per run of chunks."""
    offset, pieces = _plan(call)
    fetch: dict[str, list[dict[str, object]]] = {}
    for run in _runs(pieces):
        url, chunks, span = _located(call, run)
        fetch.setdefault(run.xorb, []).append({"range": chunks, "url": url, "url_range": span})
    return web.json_response({"offset_into_first_range": offset, "terms": _terms(pieces), "fetch_info": fetch})


@ROUTES.on("GET", "/v2/reconstructions/{hash}")
async def reconstruction_v2(call: Call) -> web.Response:
    """Say how to rebuild a file: several runs of chunks may share a URL."""
    offset, pieces = _plan(call)
    xorbs: dict[str, list[dict[str, object]]] = {}
    for run in _runs(pieces):
        url, chunks, span = _located(call, run)
        xorbs.setdefault(run.xorb, []).append({"url": url, "ranges": [{"chunks": chunks, "bytes": span}]})
    return web.json_response({"offset_into_first_range": offset, "terms": _terms(pieces), "xorbs": xorbs})


def _runs(pieces: list[Piece]) -> list[Piece]:
    """What to fetch: no chunk twice, however often a file repeats it. The client gives up on overlapping runs."""
    runs: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (piece.xorb, piece.start)):
        if runs and runs[-1].xorb == piece.xorb and piece.start <= runs[-1].end:
            last = runs.pop()
            piece = Piece(last.xorb, last.start, max(last.end, piece.end), 0)
        runs.append(piece)
    return runs


def _plan(call: Call) -> tuple[int, list[Piece]]:
    admit(call, write=False)
    file = call.world.xet.files.get(call.param("hash"))
    if file is None:
        raise Refusal(404, "File not found")
    first, last = parse(call.request.headers.get("Range"), file.size) or (0, file.size - 1)
    return call.world.xet.pieces(file, first, last)


def _terms(pieces: list[Piece]) -> list[dict[str, object]]:
    return [
        {"hash": piece.xorb, "unpacked_length": piece.size, "range": {"start": piece.start, "end": piece.end}}
        for piece in pieces
    ]


def _located(call: Call, piece: Piece) -> tuple[str, dict[str, int], dict[str, int]]:
    first, last = call.world.xet.byte_range(piece.xorb, piece.start, piece.end)
    url = presign.presign(call.world, "GET", f"xorbs/{piece.xorb}")
    return url, {"start": piece.start, "end": piece.end}, {"start": first, "end": last}


@ROUTES.on("POST", "/v1/telemetry")
async def telemetry(call: Call) -> web.Response:
    """Swallow the client's transfer statistics."""
    return web.json_response({})
