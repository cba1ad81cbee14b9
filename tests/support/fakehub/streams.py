"""Server-sent events: what is to be told, and then silence until woken or for a set time."""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .routing import Call

_LOOK_SECONDS = 0.05  # how soon a stream notices that it was woken, from whatever thread


@dataclass(frozen=True)
class Event:
    """One event; unnamed ones are plain messages."""

    data: dict[str, Any]
    name: str | None = None

    def lines(self) -> bytes:
        """Return its lines on the wire."""
        head = f"event: {self.name}\n" if self.name else ""
        return f"{head}data: {json.dumps(self.data)}\n\n".encode()


async def event_stream(call: Call, events: Iterable[Event]) -> web.StreamResponse:
    """Begin a stream and send these events; the caller ends it."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(call.request)
    for event in events:
        await response.write(event.lines())
        await asyncio.sleep(call.world.settings.log_pause_seconds)
    return response


async def idle_stream(call: Call, events: Iterable[Event]) -> web.StreamResponse:
    """Send these events, say nothing for `idle_seconds` or until `hub.wake()`, then one more event, and end."""
    before = call.world.wakes
    response = await event_stream(call, events)
    until = time.monotonic() + call.world.settings.idle_seconds
    while call.world.wakes == before and time.monotonic() < until:
        await asyncio.sleep(_LOOK_SECONDS)
    await response.write(Event({"woken": call.world.wakes != before}, "awake").lines())
    await response.write_eof()
    return response
