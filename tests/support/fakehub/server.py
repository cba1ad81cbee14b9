"""The fake Hub itself: three TLS listeners over one world.

The hub is `https://localhost:PORT`, storage and CAS are `https://127.0.0.2:PORT`: other hosts, so that a
client which strips its credential between origins shows that it does. Nor is it the host of a proxy under test:
huggingface_hub 1.33 takes whatever has the name of its endpoint for the Hub.
"""

import asyncio
import ssl
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import trustme
from aiohttp import web

from . import (
    cas,
    lfs,
    routes_access,
    routes_account,
    routes_admin,
    routes_bucket,
    routes_catalog,
    routes_collections,
    routes_commit,
    routes_discuss,
    routes_files,
    routes_git,
    routes_info,
    routes_jobs,
    routes_lfsfiles,
    routes_space,
    storage,
    xet_tokens,
)
from .record import COMMIT, RECORD, Record
from .routing import Routes, dispatch
from .seeding import SeededHub

# Order matters where patterns overlap: fixed words before repository ids.
HUB_TABLES = (
    routes_account,
    routes_bucket,
    routes_collections,
    routes_jobs,
    routes_access,
    routes_catalog,
    routes_space,
    routes_admin,
    routes_commit,
    routes_discuss,
    routes_lfsfiles,
    xet_tokens,
    lfs,
    routes_git,
    routes_files,
    routes_info,
)
HUB_NAMES = ("127.0.0.1", "huggingface.co")
MAX_BODY_BYTES = 1 << 30
MAX_HEADER_BYTES = 128 * 1024  # CAS tokens may be 64 000 characters long


class FakeHub(SeededHub):
    """A Hub on loopback. Keyword arguments are the fields of `Settings`.

    ```python
    async with FakeHub(lfs_threshold=1000) as hub:
        hub.add_user("me", "hf_real")
        hub.add_repo("model", "me/secret-model", private=True, files={"config.json": b"{}"})
        ...
        assert not hub.saw(b"hf_px_") and hub.unknown == []
    ```

    `on_arrival` is called with each request when its head has come, before anything else is done about it.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.on_arrival: Callable[[Record], None] = lambda _: None
        self._ca = trustme.CA()
        self._runners: list[web.AppRunner] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def reset(self) -> None:
        super().reset()
        self.on_arrival = lambda _: None

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind the listeners and write the CA file."""
        self._folder = tempfile.TemporaryDirectory(prefix="fakehub-")
        self._ca.cert_pem.write_to_path(str(self.ca_path))
        self.world.at.files = Path(self._folder.name)
        self.world.at.hub = await self._listen("hub", "localhost", Routes.joined(table.ROUTES for table in HUB_TABLES))
        self.world.at.storage = await self._listen("storage", "127.0.0.2", storage.ROUTES)
        self.world.at.cas = await self._listen("cas", "127.0.0.2", cas.ROUTES)

    async def stop(self) -> None:
        """Close the listeners, cutting what still runs."""
        await asyncio.gather(*(runner.cleanup() for runner in self._runners))
        self._runners.clear()
        if self._folder is not None:
            self._folder.cleanup()

    async def _listen(self, host: str, name: str, routes: Routes) -> str:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{any:.*}", partial(self._serve, host, routes))
        app.on_response_prepare.append(_stamp)
        runner = web.AppRunner(
            app,
            access_log=None,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            shutdown_timeout=0.1,
            auto_decompress=False,  # the record has what came, and git inflates by itself
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1" if name == "localhost" else name, 0, ssl_context=self._tls(name))
        await site.start()
        self._runners.append(runner)
        return f"https://{name}:{runner.addresses[0][1]}"

    def _tls(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The real name too: a test may resolve it to loopback and see a client that never heard of this port.
        self._ca.issue_cert(name, *HUB_NAMES if name == "localhost" else ()).configure_cert(context)
        return context

    async def _serve(self, host: str, routes: Routes, request: web.Request) -> web.StreamResponse:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        record = Record(host, request.method, request.raw_path, headers)
        self.recorder.requests.append(record)
        request[RECORD] = record
        self.on_arrival(record)
        return await dispatch(routes, self.world, self.recorder, request)

    # Addresses

    @property
    def url(self) -> str:
        """The hub's origin, for HF_ENDPOINT or as a proxy's upstream."""
        return self.world.at.hub

    @property
    def storage_url(self) -> str:
        """The storage origin."""
        return self.world.at.storage

    @property
    def cas_url(self) -> str:
        """The CAS origin."""
        return self.world.at.cas

    @property
    def ca_path(self) -> Path:
        """The CA file that vouches for all three."""
        assert self._folder is not None, "the hub is not running"
        return Path(self._folder.name, "ca.pem")

    @property
    def ca_pem(self) -> bytes:
        """The CA certificate itself."""
        return self._ca.cert_pem.bytes()

    def environment(self, token: str | None = None, *, endpoint: str | None = None) -> dict[str, str]:
        """Return the variables that make huggingface_hub and hf_xet use and trust this hub."""
        return environment(endpoint or self.url, self.ca_path, token)


async def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Give every response an id, note its status, and add the commit found before an error."""
    response.headers.setdefault("X-Request-Id", f"Root=1-{uuid.uuid4()}")
    if (commit := request.get(COMMIT)) is not None:
        response.headers.setdefault("X-Repo-Commit", commit)
    if (record := request.get(RECORD)) is not None:
        record.status = response.status


def environment(endpoint: str, ca_path: Path, token: str | None = None) -> dict[str, str]:
    """Return the variables that make the real clients use *endpoint* and trust the CA.

    `SSL_CERT_FILE` is read by httpx2 and by hf_xet alike (rustls with the platform verifier), so all three
    origins are TLS; requests, Node and git have variables of their own. `NO_PROXY` keeps a proxy in the
    surrounding environment out.
    """
    env = {
        "HF_ENDPOINT": endpoint,
        "SSL_CERT_FILE": str(ca_path),
        "REQUESTS_CA_BUNDLE": str(ca_path),
        "NODE_EXTRA_CA_CERTS": str(ca_path),
        "GIT_SSL_CAINFO": str(ca_path),
        "NO_PROXY": "127.0.0.1,127.0.0.2,localhost",
        "no_proxy": "127.0.0.1,127.0.0.2,localhost",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }
    return env if token is None else {**env, "HF_TOKEN": token}
