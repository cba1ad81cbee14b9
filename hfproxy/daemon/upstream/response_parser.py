"""A parser for HTTP responses that arrived in one buffer."""

import re
from typing import Final, NamedTuple, TypeVar

from hfproxy.core.http.headers import WIRE_CODEC, may_come_down
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.daemon.upstream.response import READ_FIELDS, UpstreamResponse

END: Final = b"\r\n\r\n"

VALUE: Final = r"[\t -~\x80-\U0010ffff]*"  # all but control characters

# Without 204 and 304, which have no body whatever they say, and what comes before the answer (RFC 9110 §15).
STATUS: Final = re.compile(rf"HTTP/1\.1 ((?!204|304)[2-5][0-9][0-9]) {VALUE}")

FIELD: Final = re.compile(rf"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*({VALUE})")

UNSUPPORTED_FIELDS: Final = frozenset({"transfer-encoding", "upgrade", "trailer"})

KEEP_ALIVE: Final = "keep-alive"

# As many as aiohttp's parser takes.
MAX_HEADERS: Final = 128

# Not to be known again: what is worth something to whoever has it, and what is another one each time.
UNCACHED_FIELDS: Final = frozenset({"set-cookie", "x-xet-access-token", "location", "link", "x-request-id"})

# Lines of heads that are known again, and how long one may be for it.
CACHE_SIZE: Final = 1024

MAX_CACHED_BYTES: Final = 256


class _HeaderLine(NamedTuple):
    """A line of a head: itself, if it goes to the client; the field's name, if that is `ASKED` for; its value."""

    for_client: tuple[str, str] | None
    name: str | None
    value: str


Read = TypeVar("Read", int, _HeaderLine)

_statuses: Final[dict[str, int]] = {}

_lines: Final[dict[str, _HeaderLine]] = {}


def parse_buffered_response(data: bytes, *, bodiless: bool) -> UpstreamResponse | None:
    """The answer, if this is one, whole and nothing more; None: that is for aiohttp to say. `bodiless`: to a HEAD."""
    end = data.find(END)
    if not 0 < end <= MAX_HEADER_BYTES:
        return None
    first, *lines = data[:end].decode(*WIRE_CODEC).split("\r\n")
    status = _statuses.get(first) or _status(first)
    if status is None or len(lines) > MAX_HEADERS:
        return None
    down: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    for text in lines:
        line = _lines.get(text) or _line(text)
        if line is None:
            return None
        pair, name, value = line
        if pair is not None:
            down.append(pair)
        if name is not None:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    body = data[end + len(END) :]
    if not _has_complete_body(body, fields.get("content-length", ""), bodiless=bodiless):
        return None
    return UpstreamResponse(status, tuple(down), fields, body)


def _line(text: str) -> _HeaderLine | None:
    found = FIELD.fullmatch(text)
    if found is None:
        return None
    spelled, value = found[1], found[2].rstrip("\t ")
    name = spelled.lower()
    if name in UNSUPPORTED_FIELDS or (name == "connection" and value.lower() != KEEP_ALIVE):
        return None
    line = _HeaderLine(
        (spelled, value) if may_come_down(spelled) else None, name if name in READ_FIELDS else None, value
    )
    if name not in UNCACHED_FIELDS:
        _remember(_lines, text, line)
    return line


def _status(text: str) -> int | None:
    found = STATUS.fullmatch(text)
    if found is None:
        return None
    status = int(found[1])
    _remember(_statuses, text, status)
    return status


def _remember(known: dict[str, Read], text: str, read: Read) -> None:
    if len(text) > MAX_CACHED_BYTES:
        return
    if len(known) >= CACHE_SIZE:
        known.pop(next(iter(known)))
    known[text] = read


def _has_complete_body(body: bytes, length: str, *, bodiless: bool) -> bool:
    """Whether this is the body; two lengths are one list, which is no number."""
    if bodiless:
        return not body and length.isascii() and length.isdigit()
    return length == str(len(body))
