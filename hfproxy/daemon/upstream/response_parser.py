"""A parser for HTTP/1.1 responses that arrived in one buffer, head and body.

It accepts one unambiguous form: a final status other than 204 and 304, plain header lines without obs-fold, and a body
of exactly `Content-Length` bytes. It returns None for everything else, which aiohttp's parser then reads or rejects.
Most header lines were in an earlier response, so parsed lines are cached.
"""

import re
from typing import Final, NamedTuple, TypeVar

from hfproxy.core.http.headers import WIRE_CODEC, may_come_down
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.daemon.upstream.response import READ_FIELDS, UpstreamResponse

HEAD_END: Final = b"\r\n\r\n"
VALUE: Final = r"[\t -~\x80-\U0010ffff]*"  # all but control characters
# Final statuses without 204 and 304, which have no body whatever their headers claim (RFC 9110 §6.4.1).
STATUS: Final = re.compile(rf"HTTP/1\.1 ((?!204|304)[2-5][0-9][0-9]) {VALUE}")
FIELD: Final = re.compile(rf"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*({VALUE})")
UNSUPPORTED_FIELDS: Final = frozenset({"transfer-encoding", "upgrade", "trailer"})
KEEP_ALIVE: Final = "keep-alive"
# The limit of aiohttp's parser.
MAX_HEADERS: Final = 128

# Lines that are not cached: secrets, and values that differ in every response.
UNCACHED_FIELDS: Final = frozenset({"set-cookie", "x-xet-access-token", "location", "link", "x-request-id"})
# The number of cached lines, and the longest one in characters.
CACHE_SIZE: Final = 1024
MAX_CACHED_BYTES: Final = 256


class _HeaderLine(NamedTuple):
    """A parsed header line.

    Attributes:
        for_client: name and value, if the header is forwarded to the client.
        name: the lower-case name, if it is one of the READ_FIELDS.
        value: the value without surrounding whitespace.
    """

    for_client: tuple[str, str] | None
    name: str | None
    value: str


T = TypeVar("T", int, _HeaderLine)
_statuses: Final[dict[str, int]] = {}
_lines: Final[dict[str, _HeaderLine]] = {}


def parse_buffered_response(data: bytes, *, bodiless: bool) -> UpstreamResponse | None:
    """Parse a response that is complete and followed by nothing.

    Args:
        data: the bytes received.
        bodiless: it answers a HEAD request.

    Returns:
        None if the data is not of the form that this parser accepts.
    """
    end = data.find(HEAD_END)
    if not 0 < end <= MAX_HEADER_BYTES:
        return None
    first, *lines = data[:end].decode(*WIRE_CODEC).split("\r\n")
    status = _statuses.get(first) or _status(first)
    if status is None or len(lines) > MAX_HEADERS:
        return None
    client_headers: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    for text in lines:
        line = _lines.get(text) or _line(text)
        if line is None:
            return None
        pair, name, value = line
        if pair is not None:
            client_headers.append(pair)
        if name is not None:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    body = data[end + len(HEAD_END) :]
    if not _has_complete_body(body, fields.get("content-length", ""), bodiless=bodiless):
        return None
    return UpstreamResponse(status, tuple(client_headers), fields, body)


def _line(text: str) -> _HeaderLine | None:
    match = FIELD.fullmatch(text)
    if match is None:
        return None
    original_name, value = match[1], match[2].rstrip("\t ")
    name = original_name.lower()
    if name in UNSUPPORTED_FIELDS or (name == "connection" and value.lower() != KEEP_ALIVE):
        return None
    line = _HeaderLine(
        (original_name, value) if may_come_down(original_name) else None, name if name in READ_FIELDS else None, value
    )
    if name not in UNCACHED_FIELDS:
        _cache(_lines, text, line)
    return line


def _status(text: str) -> int | None:
    match = STATUS.fullmatch(text)
    if match is None:
        return None
    status = int(match[1])
    _cache(_statuses, text, status)
    return status


def _cache(cache: dict[str, T], text: str, parsed: T) -> None:
    if len(text) > MAX_CACHED_BYTES:
        return
    if len(cache) >= CACHE_SIZE:
        cache.pop(next(iter(cache)))  # the oldest
    cache[text] = parsed


def _has_complete_body(body: bytes, length: str, *, bodiless: bool) -> bool:
    """Return whether the body is as long as `Content-Length`. Two such fields were joined to a list: not a number."""
    if bodiless:
        return not body and length.isascii() and length.isdigit()
    return length == str(len(body))
