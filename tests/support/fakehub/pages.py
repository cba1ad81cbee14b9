"""Lists in pages, the next one named by an absolute `Link` URL, as the Hub does it."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from aiohttp import web

from .routing import Call

MIN_GZIP_BYTES = 256


def answer(call: Call, body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return JSON, compressed where the caller accepts it and it is worth it."""
    response = web.json_response(body, status=status, headers=headers)
    accepts = "gzip" in call.request.headers.get("Accept-Encoding", "")
    if call.world.settings.gzip and accepts and len(response.body or b"") >= MIN_GZIP_BYTES:  # type: ignore[arg-type]
        response.enable_compression(web.ContentCoding.gzip)
    return response


def paged(call: Call, items: Sequence[Any]) -> web.Response:
    """Return one page: `cursor` is where it starts, `limit` may shorten it."""
    query = call.request.query
    start = int(query.get("cursor", "0"))
    size = min(int(query.get("limit", call.world.settings.page_size)), call.world.settings.page_size)
    headers = {}
    if start + size < len(items):
        headers["Link"] = f'<{_next_url(call, start + size)}>; rel="next"'
    return answer(call, list(items[start : start + size]), headers=headers)


def _next_url(call: Call, cursor: int) -> str:
    path, _, query = call.request.raw_path.partition("?")
    kept = [(key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key != "cursor"]
    return f"{call.world.at.hub}{path}?{urlencode([*kept, ('cursor', str(cursor))], quote_via=quote)}"
