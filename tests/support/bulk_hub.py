"""A Hub that can do two things, with any number of bytes and without keeping any: serve a file, and take a commit."""

import asyncio
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from aiohttp import web
from fakehub.bulk import MadeUp
from fakehub.remote import close_connections

GIB = 1 << 30
WHO = {"name": "me", "id": "1", "type": "user", "auth": {"accessToken": {"role": "fineGrained"}}, "orgs": []}


class BulkHub:
    """Listens on loopback over TLS; `taken` has the length and SHA-256 of every commit's body."""

    def __init__(self, folder: Path, size: int) -> None:
        self.ca_path = folder / "bulk-ca.pem"
        self.content = MadeUp(size)
        self.taken: list[tuple[int, str]] = []
        self.url = ""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(self.ca_path)
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1").configure_cert(self._tls)

    async def start(self) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 62)
        app.router.add_get("/api/whoami-v2", _whoami)
        app.router.add_get("/me/a/raw/main/big", self._file)
        app.router.add_post("/api/models/me/a/commit/main", self._commit)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _file(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(self.content)), "ETag": '"bulk"'})
        await response.prepare(request)
        async for piece in self.content.pieces(0, len(self.content) - 1):
            await response.write(piece)
        return response

    async def _commit(self, request: web.Request) -> web.Response:
        digest, length = hashlib.sha256(), 0
        async for piece in request.content.iter_any():
            digest.update(piece)
            length += len(piece)
        self.taken.append((length, digest.hexdigest()))
        return web.json_response({"commitOid": "0" * 40})


async def _whoami(_: web.Request) -> web.Response:
    return web.json_response(WHO)


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    await close_connections()


@contextmanager
def serving(hub: BulkHub) -> Iterator[BulkHub]:
    """Run it in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(hub.start(), loop).result(20)
        yield hub
        asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
