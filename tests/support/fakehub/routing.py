"""Routes over the raw request target. aiohttp's own router decodes `%2F` before it matches, and the Hub does
not.

Placeholders: `{T}` models, datasets or spaces · `{P}` the web prefix of a type (empty for models) · `{R}` a
repository id of one or two segments · `{rev}` and other words one segment · `{path}` the rest.
"""

import json
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from . import auth
from .errors import Moved, Refusal, repo_not_found
from .record import CHUNK_BYTES, RECORD, Record, Recorder, unzipped
from .repos import Repo
from .world import World

# Words that follow a repository id, so that `/api/models/gpt2/revision/main` is about `gpt2`
# (docs/hub-protocol.md#paths).
SUBWORDS = """
    resolve raw revision tree refs commits commit preupload paths-info branch tag super-squash lfs-files
    settings auth-check xet-read-token xet-write-token discussions secrets variables runtime hardware
    sleeptime pause restart dev-mode logs events metrics volumes jwt duplicate like likers treesize
    user-access-request ask-access
""".split()  # noqa: SIM905
_REPO = rf"(?P<R>(?!api/)[^/]+?(?:/(?!(?:{'|'.join(SUBWORDS)})(?:/|$))[^/]+?)?)"
_PLACES = {
    "T": "(?P<T>models|datasets|spaces)",
    "P": "(?:(?P<P>datasets|spaces)/)?",
    "R": _REPO,
    "path": "(?P<path>.*)",
}
KINDS = {"models": "model", "datasets": "dataset", "spaces": "space", None: "model"}
PLURALS = {kind: plural for plural, kind in KINDS.items() if plural is not None}


@dataclass
class Call:
    """One request on its way through a handler."""

    world: World
    request: web.Request
    record: Record
    params: dict[str, str | None] = field(default_factory=dict)

    @cached_property
    def body(self) -> bytes:
        """The body, uncompressed; empty for a handler that streams."""
        zipped = self.request.headers.get("Content-Encoding", "") == "gzip"
        return unzipped(self.record.body) if zipped else self.record.body

    def pieces(self) -> AsyncIterator[bytes]:
        """Return the body as it comes, on record; for a handler that streams."""
        return self.record.streamed(self.request.content.iter_chunked(CHUNK_BYTES))

    @cached_property
    def token(self) -> auth.Token | None:
        """The caller's token; refuses an invalid one."""
        return auth.identify(self.world, self.request.headers)

    @property
    def kind(self) -> str:
        """`model`, `dataset` or `space`, from the path."""
        return KINDS[self.params.get("T") or self.params.get("P")]

    def param(self, name: str) -> str:
        """Return a placeholder's value, percent-decoded."""
        return unquote(self.params.get(name) or "")

    def repo(self) -> Repo:
        """Return the repository in the path if the caller may know of it."""
        token = self.token
        try:
            repo = self.world.lookup(self.kind, self.param("R"))
        except Moved as moved:
            auth.require_visible(token, self.world.lookup(self.kind, moved.new))
            raise
        except Refusal:
            raise repo_not_found(anonymous=token is None) from None
        auth.require_visible(token, repo)
        return repo

    def readable(self) -> Repo:
        """Return the repository in the path if the caller may read its files."""
        repo = self.repo()
        auth.require_content(self.token, repo)
        return repo

    def writable(self) -> Repo:
        """Return the repository in the path if the caller may change it."""
        repo = self.repo()
        auth.require_write(self.token, repo)
        return repo

    @property
    def who(self) -> str:
        """The caller's name for a commit."""
        return self.token.user.name if self.token else "anonymous"

    def json(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object sent as such."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise Refusal(400, "Invalid JSON") from None
        if not isinstance(value, dict):
            raise Refusal(400, "Invalid JSON: an object was expected")
        return value


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Found:
    """A handler, the still encoded parameters, and whether the handler reads the body by itself."""

    handler: Handler
    params: dict[str, str | None]
    streams: bool


class Routes:
    """A table of handlers, tried in the order they were added."""

    def __init__(self) -> None:
        self._table: list[tuple[frozenset[str], re.Pattern[str], Handler, bool]] = []

    @classmethod
    def joined(cls, tables: Iterable["Routes"]) -> "Routes":
        """Return one table of several, in their order."""
        whole = cls()
        whole._table = [line for table in tables for line in table._table]
        return whole

    def on(self, methods: str, pattern: str, *, streams: bool = False) -> Callable[[Handler], Handler]:
        """Register a handler for `"GET HEAD"` and a path with placeholders; *streams*: it reads the body by itself."""

        def register(handler: Handler) -> Handler:
            self._table.append((frozenset(methods.split()), _compile(pattern), handler, streams))
            return handler

        return register

    def find(self, method: str, path: str) -> Found | None:
        """Return the handler of a raw path."""
        for methods, pattern, handler, streams in self._table:
            if method in methods and (match := pattern.fullmatch(path)):
                return Found(handler, match.groupdict(), streams)
        return None


def _compile(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", pattern)
    text = "".join(
        re.escape(piece) if i % 2 == 0 else _PLACES.get(piece, f"(?P<{piece}>[^/]+)") for i, piece in enumerate(pieces)
    )
    return re.compile(text)


async def dispatch(routes: Routes, world: World, recorder: Recorder, request: web.Request) -> web.StreamResponse:
    """Find and run a handler; turn refusals and moves into responses; remember what nobody handles."""
    path, record = request.raw_path.partition("?")[0], request[RECORD]
    found = routes.find(request.method, path)
    echo = world.settings.echo and record.host == "hub"
    if echo or found is None or not found.streams:
        record.keep(await request.read())
    if echo:
        return web.json_response({})
    if (fault := world.faults.take(request.method, path)) is not None:
        return fault.response()
    if found is None:
        recorder.unknown.append(f"{request.method} {request.raw_path}")
        return Refusal(404, "Sorry, we can't find the page you are looking for.").response()
    try:
        return await found.handler(Call(world, request, record, found.params))
    except Moved as moved:
        return _moved(world, request, moved)
    except Refusal as refusal:
        return refusal.response()
    except ConnectionError:
        raise  # the caller left; aiohttp knows what to do
    except Exception:
        # A fault of the fake itself must not pass for a fault of what is tested.
        recorder.crashes.append(f"{request.method} {request.raw_path}\n{traceback.format_exc()}")
        return Refusal(500, "Internal Error - We're working hard to fix this as soon as possible!").response()


def _moved(world: World, request: web.Request, moved: Moved) -> web.Response:
    target = request.raw_path.replace(f"/{moved.old}", f"/{moved.new}", 1)
    prefix = world.at.hub if world.settings.absolute_redirects else ""
    return web.Response(
        status=307, text=f"Temporary Redirect. Redirecting to {target}", headers={"Location": prefix + target}
    )
