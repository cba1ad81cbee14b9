"""Spaces: secrets, variables, lifecycle, hardware, logs (docs/hub-protocol.md#spaces).

The fake builds nothing. A Space starts BUILDING and is RUNNING after a set number of runtime calls; pausing
and restarting move it the same way.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from . import describe
from .auth import READ, may
from .errors import Refusal
from .pages import answer
from .repos import Space
from .routing import Call, Routes
from .streams import Event, event_stream, idle_stream

ROUTES = Routes()
_KEY = re.compile(r"[a-zA-Z][_a-zA-Z0-9]*")
_BASE = "/api/{T}/{R}"


def space_of(call: Call, *, write: bool = True) -> Space:
    """Return the Space in the path; everything but reading about it needs the right to write."""
    repo = call.writable() if write else call.repo()
    if repo.space is None:
        raise Refusal(404, "Sorry, we can't find the page you are looking for.")
    return repo.space


def _pair(call: Call) -> dict[str, str]:
    body = call.json()
    if not _KEY.fullmatch(body.get("key", "")):
        raise Refusal(400, "Invalid key: it must match ^[a-zA-Z][_a-zA-Z0-9]*$")
    return {**body, "updatedAt": describe.moment(datetime.now(UTC))}


def _public(table: dict[str, dict[str, str]], *, values: bool) -> dict[str, dict[str, str]]:
    kept = ("key", "value", "description", "updatedAt") if values else ("key", "description", "updatedAt")
    return {key: {name: item[name] for name in kept if name in item} for key, item in table.items()}


@ROUTES.on("GET", _BASE + "/secrets")
async def list_secrets(call: Call) -> web.Response:
    """List secrets without their values."""
    return answer(call, _public(space_of(call).secrets, values=False))


@ROUTES.on("POST", _BASE + "/secrets")
async def set_secret(call: Call) -> web.Response:
    """Set a secret and restart."""
    space, pair = space_of(call), _pair(call)
    space.secrets[pair["key"]] = pair
    _rebuild(call, space)
    return answer(call, _public(space.secrets, values=False))


@ROUTES.on("DELETE", _BASE + "/secrets")
async def delete_secret(call: Call) -> web.Response:
    """Delete the secret the body names."""
    space = space_of(call)
    space.secrets.pop(call.json().get("key", ""), None)
    return answer(call, _public(space.secrets, values=False))


@ROUTES.on("GET", _BASE + "/variables")
async def list_variables(call: Call) -> web.Response:
    """List variables with their values: they are public."""
    return answer(call, _public(space_of(call, write=False).variables, values=True))


@ROUTES.on("POST", _BASE + "/variables")
async def set_variable(call: Call) -> web.Response:
    """Set a variable and restart."""
    space, pair = space_of(call), _pair(call)
    space.variables[pair["key"]] = pair
    _rebuild(call, space)
    return answer(call, _public(space.variables, values=True))


@ROUTES.on("DELETE", _BASE + "/variables")
async def delete_variable(call: Call) -> web.Response:
    """Delete the variable the body names."""
    space = space_of(call)
    space.variables.pop(call.json().get("key", ""), None)
    return answer(call, _public(space.variables, values=True))


def _rebuild(call: Call, space: Space) -> None:
    space.stage, space.polls_left = "BUILDING", call.world.settings.build_polls


def _runtime(call: Call) -> web.Response:
    return answer(call, describe.runtime(call.repo()))


@ROUTES.on("GET", _BASE + "/runtime")
async def runtime(call: Call) -> web.Response:
    """Return the runtime; each call brings a build one step on."""
    space = space_of(call, write=False)
    response = _runtime(call)
    if space.stage == "BUILDING":
        space.polls_left -= 1
        if space.polls_left <= 0:
            space.stage, space.hardware = "RUNNING", space.requested
    return response


@ROUTES.on("POST", _BASE + "/restart")
async def restart(call: Call) -> web.Response:
    """Build and start again."""
    _rebuild(call, space_of(call))
    return _runtime(call)


@ROUTES.on("POST", _BASE + "/pause")
async def pause(call: Call) -> web.Response:
    """Stop until restarted."""
    space_of(call).stage = "PAUSED"
    return _runtime(call)


@ROUTES.on("POST", _BASE + "/hardware")
async def hardware(call: Call) -> web.Response:
    """Ask for another machine."""
    space, body = space_of(call), call.json()
    space.requested = body.get("flavor")
    space.sleep_seconds = body.get("sleepTimeSeconds", space.sleep_seconds)
    return _runtime(call)


@ROUTES.on("POST", _BASE + "/sleeptime")
async def sleep_time(call: Call) -> web.Response:
    """Set when an idle Space goes to sleep."""
    space_of(call).sleep_seconds = call.json().get("seconds")
    return _runtime(call)


@ROUTES.on("POST", _BASE + "/dev-mode")
async def dev_mode(call: Call) -> web.Response:
    """Open or close the developer shell."""
    space_of(call).dev_mode = call.json().get("enabled") is True
    return _runtime(call)


@ROUTES.on("PUT DELETE", _BASE + "/volumes")
async def volumes(call: Call) -> web.Response:
    """Mount the volumes the body lists, or none."""
    space_of(call).volumes = call.json().get("volumes", []) if call.request.method == "PUT" else []
    return _runtime(call)


@ROUTES.on("POST DELETE", _BASE + "/storage")
async def storage(call: Call) -> web.Response:
    """Ask for a disk, or give it back: what clients before 2.0 call."""
    space_of(call).storage = call.json().get("tier") if call.request.method == "POST" else None
    return _runtime(call)


@ROUTES.on("GET", _BASE + "/logs/{which}")
async def logs(call: Call) -> web.StreamResponse:
    """Stream the build or run log, then end. Only those who may read the Space's settings see its logs."""
    space, which = space_of(call, write=False), call.param("which")
    if which not in ("build", "run"):
        raise Refusal(404, "Sorry, we can't find the page you are looking for.")
    if not may(call.token, READ, call.repo()):
        raise Refusal(401 if call.token is None else 403, "You cannot see the logs of this Space")
    lines = space.build_log if which == "build" else space.run_log
    return await _stream(call, [{"data": line, "timestamp": _earlier()} for line in lines])


@ROUTES.on("GET", _BASE + "/events")
async def events(call: Call) -> web.StreamResponse:
    """Stream the runtime once; then stay silent for `idle_seconds`."""
    space_of(call, write=False)
    return await idle_stream(call, [Event(describe.runtime(call.repo()))])


def _earlier() -> str:
    # The client stops at the first line stamped after the response's own Date (whole seconds).
    return describe.moment(datetime.now(UTC) - timedelta(seconds=2))


async def _stream(call: Call, items: list[dict[str, Any]]) -> web.StreamResponse:
    response = await event_stream(call, map(Event, items))
    await response.write(b"data:\n\n")  # keep-alive, as the Hub sends between lines
    await response.write_eof()
    return response


@ROUTES.on("GET", "/api/spaces/hardware")
async def flavors(call: Call) -> web.Response:
    """List the machines on offer."""
    machine = {"name": "cpu-basic", "prettyName": "CPU Basic", "cpu": "2 vCPU", "ram": "16 GB"}
    return answer(call, [{**machine, "unitCostMicroUSD": 0, "unitCostUSD": 0.0, "unitLabel": "minute"}])
