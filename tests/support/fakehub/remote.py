"""A fake Hub outside the test's event loop: in a thread of this process, or in a process of its own."""

import asyncio
import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from .control import decode, encode
from .server import FakeHub, environment

START_SECONDS = 20
CLOSE_SECONDS = 0.1


@contextmanager
def in_thread(**settings: Any) -> Iterator[FakeHub]:
    """Run a hub in a thread. Seed and inspect it directly, settings only while nothing is under way."""
    hub, loop = FakeHub(**settings), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fakehub", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(hub.start(), loop).result(START_SECONDS)
        yield hub
    finally:
        asyncio.run_coroutine_threadsafe(_stop(hub), loop).result(START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(hub: FakeHub) -> None:
    await hub.stop()
    await close_connections()


async def close_connections() -> None:
    """Wait until the loop has closed the connections of servers that stopped; after `CLOSE_SECONDS` abort them.

    A TLS connection is closed after some turns of the loop, or never, where the client was killed in its handshake; those in
    a handshake are not yet known to aiohttp's server, only to the loop.
    """
    loop = asyncio.get_running_loop()
    transports: Mapping[int, asyncio.Transport] = loop._transports  # type: ignore[attr-defined]  # of a selector loop
    deadline = loop.time() + CLOSE_SECONDS
    while transports and loop.time() < deadline:
        await asyncio.sleep(0.001)
    for transport in list(transports.values()):
        transport.abort()
    await asyncio.sleep(0.001)


class FakeHubProcess:
    """A hub in a process of its own, with the same seeding and inspection calls as `FakeHub`.

    Records come as dictionaries (`Record.as_json`), a Space as the dictionary of its fields.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self.info: dict[str, str] = {}

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "fakehub", "--settings", json.dumps(self._settings)]
        folder = Path(__file__).parent.parent
        # The child lives as long as its standard input: no hub outlives a test run that was killed.
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.info = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.communicate(timeout=START_SECONDS)

    @property
    def url(self) -> str:
        """The hub's origin."""
        return self.info["url"]

    @property
    def storage_url(self) -> str:
        """The storage origin."""
        return self.info["storage_url"]

    @property
    def cas_url(self) -> str:
        """The CAS origin."""
        return self.info["cas_url"]

    @property
    def ca_path(self) -> Path:
        """The CA file that vouches for all three."""
        return Path(self.info["ca_path"])

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request so far, in order of arrival."""
        return list(self.call("requests"))

    @property
    def pushes(self) -> list[dict[str, Any]]:
        """Every ref that a git push really moved, in order."""
        return list(self.call("pushes"))

    @property
    def unknown(self) -> list[str]:
        """`METHOD target` of every request no route took."""
        return list(self.call("unknown"))

    @property
    def crashes(self) -> list[str]:
        """Tracebacks of handlers that failed."""
        return list(self.call("crashes"))

    def environment(self, token: str | None = None, *, endpoint: str | None = None) -> dict[str, str]:
        """Return the variables that make the real clients use and trust this hub."""
        return environment(endpoint or self.url, self.ca_path, token)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Make one call on the control channel."""
        where = urlsplit(self.info["control_url"])
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=START_SECONDS)
        body = json.dumps({"method": method, "args": encode(args), "kwargs": encode(kwargs)})
        try:
            connection.request("POST", "/call", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return decode(answer["result"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.call(name, *args, **kwargs)
