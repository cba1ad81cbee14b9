"""One request by a plain HTTP client: no redirects followed, nothing re-encoded."""

import asyncio
import ssl
from typing import Any

import aiohttp
from yarl import URL


async def ask(
    hub: Any, method: str, target: str, token: str | None = None, *, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Ask *hub* (or the origin in *target*); return status, body and headers."""
    trust = ssl.create_default_context(cafile=str(hub.ca_path))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        named["Authorization"] = f"Bearer {token}"
    url = URL(target if target.startswith("https:") else hub.url + target, encoded=True)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
        session.request(method, url, data=body, headers=named, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read(), dict(answer.headers)


async def asking(hub: Any, *, limit: int = 1 << 16) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to *hub*, to write requests by hand."""
    trust = ssl.create_default_context(cafile=str(hub.ca_path))
    port = URL(hub.url).port
    return await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost", limit=limit)
