"""Presigned storage URLs. The signature covers method, path and query byte for byte, as S3's does."""

import hashlib
import hmac
import time
from urllib.parse import quote

from .errors import Refusal
from .world import World

_SIGNATURE = "&X-Amz-Signature="


def presign(world: World, method: str, key: str, *, filename: str | None = None) -> str:
    """Return a URL that allows *method* on a storage key for a while. A GET also allows HEAD."""
    expires = int(time.time()) + world.settings.presign_seconds
    query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host"
    if filename is not None:
        disposition = f"inline; filename*=UTF-8''{quote(filename)}; filename=\"{quote(filename)}\";"
        query += f"&response-content-disposition={quote(disposition, safe='')}"
    target = f"/{key}?{query}"
    return world.at.storage + target + _SIGNATURE + _sign(world, method, target)


def check(world: World, method: str, target: str) -> None:
    """Refuse a target whose signature is missing, wrong or expired, with the statuses S3 uses."""
    unsigned, _, signature = target.partition(_SIGNATURE)
    wanted = _sign(world, "GET" if method == "HEAD" else method, unsigned)
    if not hmac.compare_digest(signature.encode(), wanted.encode()):
        raise Refusal(403, "SignatureDoesNotMatch")
    if int(unsigned.partition("X-Amz-Expires=")[2].partition("&")[0]) < time.time():
        raise Refusal(403, "AccessDenied: Request has expired")


def sign_text(world: World, text: str) -> str:
    """Sign something for the Hub itself (a multipart completion carries no credential but this)."""
    return hmac.new(world.signing_key, text.encode(), hashlib.sha256).hexdigest()


def _sign(world: World, method: str, target: str) -> str:
    return sign_text(world, f"{method} {target}")
