"""Git over HTTP: `git http-backend` on a real bare repository, behind the Hub's own authentication
(docs/hub-protocol.md#git).

The first request of git is anonymous; only a 401 that asks for Basic makes it send a credential. What a 403 says in
plain text, git shows its user after `remote:`.
"""

import asyncio
import os
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from .auth import require_content, require_write
from .errors import GitRefusal, Refusal
from .gitstore import GitStore, clean_env
from .gitsync import absorb, exported, opened
from .record import CHUNK_BYTES
from .repos import Repo
from .routing import Call, Routes

ROUTES = Routes()
UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"


def admitted(call: Call, service: str) -> Repo:
    """Return the repository if the caller may fetch from it, or push to it."""
    try:
        repo = call.repo()
        (require_write if service == RECEIVE else require_content)(call.token, repo)
    except Refusal as refusal:
        raise in_git_terms(refusal) from None
    return repo


def in_git_terms(refusal: Refusal) -> GitRefusal:
    """Return a refusal git understands; the API's advice about `create_pr` is none for it."""
    if refusal.status == 401:
        return GitRefusal(401, "Invalid username or password.")
    push = refusal.status == 403 and refusal.code is None
    return GitRefusal(refusal.status, "You are not authorized to push to this repository." if push else refusal.message)


async def advertise(call: Call) -> web.StreamResponse:
    """Tell the refs. What is not smart HTTP is refused."""
    service = call.request.query.get("service", "")
    if service not in (UPLOAD, RECEIVE):
        raise GitRefusal(403, "Only the smart HTTP protocol is served here.")
    repo = admitted(call, service)
    async with opened(call.world, repo).lock:
        store = exported(call.world, repo)
        async with backend(call, store, "info/refs", None) as process:
            return await relayed(call, process)


async def upload_pack(call: Call) -> web.StreamResponse:
    """Serve a fetch."""
    repo = admitted(call, UPLOAD)
    async with opened(call.world, repo).lock:
        store = exported(call.world, repo)
    body = await spooled(call)
    async with backend(call, store, UPLOAD, body) as process:
        return await relayed(call, process)


async def receive_pack(call: Call) -> web.StreamResponse:
    """Take a push. The world knows of it before the answer leaves."""
    repo = admitted(call, RECEIVE)
    body = await spooled(call)
    async with opened(call.world, repo).lock:
        store = exported(call.world, repo)
        async with backend(call, store, RECEIVE, body) as process:
            assert process.stdout is not None
            status, headers = await head(process.stdout)
            answer = await process.stdout.read()
        absorb(call.world, repo, store, call.who)
    return web.Response(status=status, headers=headers, body=answer)


# `.git` first: without it, it would be taken for a part of the name.
for _suffix in (".git", ""):
    ROUTES.on("GET", "/{P}{R}" + _suffix + "/info/refs")(advertise)
    ROUTES.on("POST", "/{P}{R}" + _suffix + "/" + UPLOAD, streams=True)(upload_pack)
    ROUTES.on("POST", "/{P}{R}" + _suffix + "/" + RECEIVE, streams=True)(receive_pack)


async def spooled(call: Call) -> Path:
    """Write the request's body to a file as it comes, which is also where the record finds it."""
    descriptor, name = tempfile.mkstemp(dir=call.world.at.files, suffix=".body")
    with os.fdopen(descriptor, "wb") as file:
        async for piece in call.pieces():
            file.write(piece)
    call.record.spool = Path(name)
    return call.record.spool


@asynccontextmanager
async def backend(call: Call, store: GitStore, path: str, body: Path | None) -> AsyncIterator[Process]:
    """Run `git http-backend` as a web server would (RFC 3875), with *body* as its input."""
    env = clean_env(store.folder) | {
        "GIT_PROJECT_ROOT": str(store.folder.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{store.folder.name}/{path}",
        "REQUEST_METHOD": call.request.method,
        "QUERY_STRING": call.request.query_string,
        "CONTENT_TYPE": call.request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(body.stat().st_size if body else 0),
        "HTTP_CONTENT_ENCODING": call.request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": call.request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": call.who,
    }
    with open(body or os.devnull, "rb") as stdin:
        process = await asyncio.create_subprocess_exec(
            "git", "http-backend", env=env, stdin=stdin, stdout=PIPE, stderr=DEVNULL
        )
    try:
        yield process
    finally:
        if process.returncode is None and process.stdout is not None and not process.stdout.at_eof():
            process.kill()
        await process.wait()


async def head(stdout: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read a CGI answer's head: `Status` and headers up to an empty line."""
    headers = {}
    while line := (await stdout.readline()).decode("latin-1").strip():
        name, _, value = line.partition(": ")
        headers[name] = value
    return int(headers.pop("Status", "200").split()[0]), headers


async def relayed(call: Call, process: Process) -> web.StreamResponse:
    """Pass the answer on as it comes."""
    assert process.stdout is not None
    status, headers = await head(process.stdout)
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(call.request)
    while piece := await process.stdout.read(CHUNK_BYTES):
        await response.write(piece)
    await response.write_eof()
    return response
