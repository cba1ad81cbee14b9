"""The control channel: one JSON call per request, on a fourth loopback port, for tests in another process.

`POST /call {"method": …, "args": […], "kwargs": {…}}` → `{"result": …}` or `{"error": …}`. Bytes travel as
`{"base64": …}`. It is plain HTTP: it belongs to the test, not to what is tested.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

from aiohttp import web

from .record import Record
from .server import FakeHub


def encode(value: Any) -> Any:
    """Return *value* in a form JSON has."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Record):
        return value.as_json()
    if is_dataclass(value) and not isinstance(value, type):
        return encode(asdict(value))
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """Undo `encode` for bytes and containers."""
    if isinstance(value, dict):
        if value.keys() == {"base64"}:
            return base64.b64decode(value["base64"])
        return {key: decode(item) for key, item in value.items()}
    return [decode(item) for item in value] if isinstance(value, list) else value


class Control:
    """Carries calls to a hub. Only what is listed here can be called."""

    def __init__(self, hub: FakeHub) -> None:
        self.calls: dict[str, Callable[..., Any]] = {
            "add_user": _quiet(hub.add_user),
            "add_repo": _quiet(hub.add_repo),
            "add_made_up": hub.add_made_up,
            "add_space": _quiet(hub.add_space),
            "add_bucket": _quiet(hub.add_bucket),
            "rename_repo": _quiet(hub.rename_repo),
            "revoke_token": hub.revoke_token,
            "commit": hub.commit,
            "inject": hub.inject,
            "files": hub.files,
            "bucket_files": hub.bucket_files,
            "wake": hub.wake,
            "space": hub.space,
            "requests": lambda **wanted: hub.recorder.select(**wanted),
            "unknown": lambda: hub.unknown,
            "crashes": lambda: hub.crashes,
            "pushes": lambda: hub.pushes,
            "saw": hub.saw,
            "clear": hub.recorder.clear,
        }

    async def serve(self, request: web.Request) -> web.Response:
        """Answer one call."""
        asked = decode(await request.json())
        try:
            result = self.calls[asked["method"]](*asked.get("args", []), **asked.get("kwargs", {}))
        except Exception as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.Response(text=json.dumps({"result": encode(result)}), content_type="application/json")

    async def listen(self) -> tuple[web.AppRunner, str]:
        """Bind the control port; return its runner and URL."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/call", self.serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def _quiet(method: Callable[..., Any]) -> Callable[..., None]:
    """Drop a result that would not travel."""

    def call(*args: Any, **kwargs: Any) -> None:
        method(*args, **kwargs)

    return call
