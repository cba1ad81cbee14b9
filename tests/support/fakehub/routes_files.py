"""File content: `resolve` points, `resolve-cache` and `raw` serve (docs/hub-protocol.md#repository-reads,
docs/hub-protocol.md#required-headers).

A regular file's `resolve` is a 307 to an immutable address on the Hub itself; a large file's is a 302 to
storage that carries the metadata a downloader needs in its own headers.
"""

from urllib.parse import quote

from aiohttp import web

from . import presign
from .gitsync import stored
from .pages import answer
from .ranges import ranged
from .record import COMMIT
from .repos import Commit, Entry, Repo
from .routing import PLURALS, Call, Routes
from .xet_tokens import refresh_route

ROUTES = Routes()
FILEINFO_TYPE = "application/vnd.xet-fileinfo+json"


@ROUTES.on("GET HEAD", "/{P}{R}/resolve/{rev}/{path}")
async def resolve(call: Call) -> web.Response:
    """Send the caller to the content of a file."""
    repo, commit, entry = _located(call)
    if entry.lfs:
        return _to_storage(call, repo, commit, entry)
    return _to_cache(call, repo, commit, entry)


def _located(call: Call) -> tuple[Repo, Commit, Entry]:
    repo = call.readable()
    commit = repo.find(call.param("rev"))
    # Set before the entry is looked up: the Hub sends it on 404 too, and the client records absent files by
    # it.
    call.request[COMMIT] = commit.id
    return repo, commit, repo.entry(commit, call.param("path"))


def _to_cache(call: Call, repo: Repo, commit: Commit, entry: Entry) -> web.Response:
    path = quote(call.param("path"))
    asked = quote(call.request.raw_path.partition("?")[0], safe="")
    query = f"{asked}=&etag={quote(entry.etag, safe='')}"
    target = f"/api/resolve-cache/{PLURALS[repo.kind]}/{repo.id}/{commit.id}/{path}?{query}"
    prefix = call.world.at.hub if call.world.settings.absolute_redirects else ""
    headers = {"Location": prefix + target, "X-Repo-Commit": commit.id, "Vary": "Accept"}
    return web.Response(status=307, text=f"Temporary Redirect. Redirecting to {target}", headers=headers)


def _to_storage(call: Call, repo: Repo, commit: Commit, entry: Entry) -> web.Response:
    headers = {
        "X-Repo-Commit": commit.id,
        "X-Linked-Size": str(entry.size),
        "X-Linked-Etag": entry.etag,
        "ETag": entry.etag,
        "Accept-Ranges": "bytes",
    }
    if entry.xet is not None and call.world.settings.xet:
        headers |= _xet_headers(call, repo, commit, entry.xet)
        if FILEINFO_TYPE in call.request.headers.get("Accept", ""):
            return _fileinfo(call, repo, commit, entry, headers)
    name = call.param("path").rpartition("/")[2]
    headers["Location"] = presign.presign(call.world, "GET", f"objects/{entry.sha256}", filename=name)
    return web.Response(status=302, text=f"Found. Redirecting to {headers['Location']}", headers=headers)


def _xet_headers(call: Call, repo: Repo, commit: Commit, xet: str) -> dict[str, str]:
    links = {
        "xet-auth": refresh_route(call.world, repo, commit.id),
        "xet-reconstruction-info": f"{call.world.at.cas}/v1/reconstructions/{xet}",
    }
    return {"X-Xet-Hash": xet, "Link": ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items())}


def _fileinfo(call: Call, repo: Repo, commit: Commit, entry: Entry, headers: dict[str, str]) -> web.Response:
    """Tell what JavaScript asks for instead of a redirect; it reads the headers all the same."""
    body = {
        "hash": entry.xet,
        "size": entry.size,
        "etag": entry.etag,
        "refreshUrl": refresh_route(call.world, repo, commit.id),
        "reconstructionUrl": f"{call.world.at.cas}/v1/reconstructions/{entry.xet}",
    }
    response = answer(call, body, headers=headers)
    response.content_type = FILEINFO_TYPE
    return response


@ROUTES.on("GET HEAD", "/api/resolve-cache/{T}/{R}/{rev}/{path}")
async def resolve_cache(call: Call) -> web.Response:
    """Serve a file at a commit."""
    repo, commit, entry = _located(call)
    return _serve(call, commit, entry.etag, call.world.contents[entry.sha256])


@ROUTES.on("GET HEAD", "/{P}{R}/raw/{rev}/{path}")
async def raw(call: Call) -> web.Response:
    """Serve what git stores: the file, or the pointer of a large one."""
    _, commit, entry = _located(call)
    return _serve(call, commit, f'"{entry.oid}"', stored(call.world, entry))


def _serve(call: Call, commit: Commit, etag: str, data: bytes) -> web.Response:
    name = quote(call.param("path").rpartition("/")[2])
    headers = {
        "ETag": etag,
        "X-Repo-Commit": commit.id,
        "Content-Disposition": f"inline; filename*=UTF-8''{name}; filename=\"{name}\";",
    }
    response = ranged(call.request, data, headers=headers, content_type="text/plain")
    accepts = "gzip" in call.request.headers.get("Accept-Encoding", "")
    if call.world.settings.gzip and accepts and response.status == 200 and len(data) >= 1024:
        # As the Hub may: no Content-Length, so the client cannot know the plain size.
        response.enable_compression(web.ContentCoding.gzip)
        response.enable_chunked_encoding()
    return response
