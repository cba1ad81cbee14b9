"""What came in: every request of every listener, with every byte, in order of arrival."""

import base64
import gzip
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aiohttp import web

from .auth import basic_password

INLINE_BODY_BYTES = 64 * 1024
CHUNK_BYTES = 256 * 1024


@dataclass
class Record:
    """One request. *target* is the raw request target; *status* is 0 until a response starts.

    *body* is as it came, still compressed if it was. Of a body that was streamed it is the beginning only; *length* and
    *sha256* are of the whole, and *spool* is the file that holds it, if one was kept.
    """

    host: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    status: int = 0
    length: int = 0
    sha256: str = ""
    spool: Path | None = None

    def keep(self, body: bytes) -> None:
        """Note a body that is there as a whole."""
        self.body, self.length, self.sha256 = body, len(body), hashlib.sha256(body).hexdigest()

    async def streamed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass on a body in pieces and note its length, its hash and how it begins."""
        digest = hashlib.sha256()
        async for piece in pieces:
            digest.update(piece)
            self.length += len(piece)
            self.body += piece[: INLINE_BODY_BYTES - len(self.body)]
            yield piece
        self.sha256 = digest.hexdigest()

    @property
    def whole(self) -> bytes:
        """The body, from its file if it was streamed into one."""
        return self.spool.read_bytes() if self.spool is not None else self.body

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def haystacks(self) -> Iterator[bytes]:
        """Yield all forms bytes may hide in: as sent, percent-decoded, unzipped, inside Basic credentials."""
        yield self.target.encode("latin-1", "replace")
        yield unquote_to_bytes(self.target)
        for name, value in self.headers:
            yield f"{name}: {value}".encode("latin-1", "replace")
            if value.lower().startswith("basic "):
                yield basic_password(value[6:]).encode()
        body = self.whole
        yield body
        if body[:2] == b"\x1f\x8b":
            yield unzipped(body)

    def saw(self, needle: bytes) -> bool:
        """Say whether *needle* is anywhere in this request."""
        return any(needle in hay for hay in self.haystacks())

    def as_json(self) -> dict[str, object]:
        """Return a form for the control channel; a large body is given as length and SHA-256 only."""
        short = self.length <= INLINE_BODY_BYTES
        return {
            "host": self.host,
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "status": self.status,
            "body_length": self.length,
            "body_sha256": self.sha256,
            "body": base64.b64encode(self.body).decode() if short else None,
        }


def unzipped(body: bytes) -> bytes:
    """Undo gzip; what is no gzip gives nothing."""
    try:
        return gzip.decompress(body)
    except (OSError, EOFError):
        return b""


RECORD = web.RequestKey("fakehub_record", Record)
COMMIT = web.RequestKey("fakehub_commit", str)


@dataclass
class Recorder:
    """The log shared by the listeners. *unknown*: requests no route took; *crashes*: handlers that failed."""

    requests: list[Record] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    def saw(self, needle: bytes, host: str | None = None) -> bool:
        """Say whether any request (of *host*, if given) carried *needle*."""
        return any(r.saw(needle) for r in self.requests if host in (None, r.host))

    def select(self, host: str | None = None, method: str | None = None, path: str | None = None) -> list[Record]:
        """Return the requests that match; *path* is compared as a prefix of the raw path."""
        wanted = [r for r in self.requests if host in (None, r.host) and method in (None, r.method)]
        return [r for r in wanted if path is None or r.path.startswith(path)]

    def clear(self) -> None:
        """Forget everything so far."""
        self.requests.clear()
        self.unknown.clear()
        self.crashes.clear()
