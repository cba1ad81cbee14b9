"""A Hub that answers each path with the responses it is given, for the daemon's own requests; it records every request."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hfproxy.config import UpstreamSettings
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.daemon.upstream.hub_api import HubApi

DATE = "Mon, 30 Nov 2026 11:40:00 GMT"
WHOAMI, REVOKE = "/api/whoami-v2", "/api/credentials/revoke"


def response(status: int, body: object = None, *, length: int | None = None, date: str = DATE) -> bytes:
    """A response with a JSON body; `length`: what `Content-Length` claims instead of its real length."""
    text = "{}" if body is None else json.dumps(body)
    claimed = len(text) if length is None else length
    return f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {claimed}\r\n\r\n{text}".encode()


class ScriptedHub:
    """Answers a path with its responses, one a request; the last one is repeated."""

    def __init__(self, *, hold_open: bool = False, **responses: list[bytes]) -> None:
        """`whoami`, `revoke`: the responses of each; `hold_open`: never close a connection first."""
        self.responses = {"whoami": [response(200)], "revoke": [response(200)], **responses}
        self.hold_open = hold_open
        self.requests: list[str] = []

    @property
    def asked(self) -> list[str]:
        """What was asked: `whoami` and `revoke`, in order."""
        return [self._kind(request) for request in self.requests]

    @asynccontextmanager
    async def api(self) -> AsyncIterator[HubApi]:
        """The daemon's client of this Hub."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        client = UpstreamClient(UpstreamSettings(hub=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        try:
            yield HubApi(client)
        finally:
            await client.close()
            server.close()

    def _kind(self, request: str) -> str:
        return {WHOAMI: "whoami", REVOKE: "revoke"}[request.split(" ")[1]]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            _, _, rest = head.lower().partition("content-length: ")
            body = await reader.readexactly(int(rest.partition("\r\n")[0] or 0))
            self.requests.append(head + body.decode())
            responses = self.responses[self._kind(head)]
            writer.write(responses.pop(0) if len(responses) > 1 else responses[0])
            if self.hold_open:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
