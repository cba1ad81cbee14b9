"""Searches responses of the Hub for the token, so that an echo of it never reaches a client."""

import base64
import zlib

GZIP_WINDOW = 16 + zlib.MAX_WBITS


def patterns(token: str) -> tuple[bytes, ...]:
    """Return the forms in which the token may appear: raw, and in base64 at all three alignments in both alphabets."""
    plain = token.encode()
    encoded = [_aligned_base64(plain, shift) for shift in range(3)]
    return tuple({plain, *encoded, *(part.translate(URL_SAFE) for part in encoded)})


URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _aligned_base64(plain: bytes, shift: int) -> bytes:
    """Return the base64 digits that depend on `plain` alone, if it starts at a multiple of three plus `shift`."""
    digits = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
    last = len(digits) if (shift + len(plain)) % 3 == 0 else -1
    return digits[(0, 2, 3)[shift] : last]


def occurs(needles: tuple[bytes, ...], data: bytes) -> bool:
    """Return whether any of the needles occurs in the data."""
    for needle in needles:
        if needle in data:
            return True
    return False


def decompressed(body: bytes, content_encoding: str, limit: int) -> bytes | None:
    """Decompress a body, up to `limit` bytes; None if its encoding is neither identity nor valid gzip."""
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    match [coding for coding in codings if coding not in {"", "identity"}]:
        case []:
            return body
        case ["gzip" | "x-gzip"]:
            return _gunzip(body, limit)
        case _:
            return None


def _gunzip(body: bytes, limit: int) -> bytes | None:
    """Decompress all members of a gzip body up to the limit, as clients do; None if there is no member.

    Garbage after the last member is ignored, since clients ignore it as well.
    """
    content: bytes | None = None
    while body and len(content or b"") < limit:
        member = zlib.decompressobj(GZIP_WINDOW)
        try:
            content = (content or b"") + member.decompress(body, limit - len(content or b""))
        except zlib.error:
            break
        body = member.unused_data
    return content
