"""One byte range of a body: 206, 416, or the whole with 200 (RFC 9110 §14)."""

import re
from typing import Any

from aiohttp import web

from .bulk import Content, Discarded
from .errors import Refusal

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def parse(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the inclusive range asked for, None for the whole; refuse one that starts past the end."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None  # several ranges, or another unit: a server may answer with everything
    first, last = match.groups()
    if first == "":
        return max(size - int(last), 0), size - 1
    if int(first) >= size:
        raise Refusal(416, f"The requested range is not satisfiable: the file has {size} bytes")
    return int(first), min(int(last) if last else size - 1, size - 1)


def ranged(
    request: web.Request,
    data: Content,
    *,
    headers: dict[str, str],
    content_type: str = "application/octet-stream",
) -> web.Response:
    """Answer with *data*, or with the part the Range header names."""
    if request.headers.get("If-None-Match") == headers.get("ETag", ""):
        return web.Response(status=304, headers=headers)
    if isinstance(data, Discarded):
        raise Refusal(410, "This content was discarded when it was uploaded")
    wanted = parse(request.headers.get("Range"), len(data))
    first, last = wanted or (0, len(data) - 1)
    headers = {"Accept-Ranges": "bytes", **headers}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    if isinstance(data, bytes):
        body: Any = data[first : last + 1]
    else:
        body, headers["Content-Length"] = data.pieces(first, last), str(last + 1 - first)
    return web.Response(status=206 if wanted else 200, body=body, headers=headers, content_type=content_type)
