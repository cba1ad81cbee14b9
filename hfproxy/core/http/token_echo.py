"""Looking for the token in what the Hub answers, so that an echo of it never reaches a client."""

import base64
import zlib

GZIP_WINDOW = 16 + zlib.MAX_WBITS


def patterns(token: str) -> tuple[bytes, ...]:
    """The token as it may appear: raw, and in base64 at each of its three alignments, both alphabets."""
    plain = token.encode()
    encoded = [_aligned_base64(plain, shift) for shift in range(3)]
    return tuple({plain, *encoded, *(part.translate(URL_SAFE) for part in encoded)})


URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _aligned_base64(plain: bytes, shift: int) -> bytes:
    """Base64 of something that holds `plain` `shift` bytes in: the digits that depend on `plain` alone."""
    digits = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
    last = len(digits) if (shift + len(plain)) % 3 == 0 else -1
    return digits[(0, 2, 3)[shift] : last]


def occurs(needles: tuple[bytes, ...], data: bytes) -> bool:
    """Whether any of them occurs."""
    for needle in needles:
        if needle in data:
            return True
    return False


def decompressed(body: bytes, content_encoding: str, limit: int) -> bytes | None:
    """A body without its gzip, at most `limit` bytes of it; None where it cannot be looked into."""
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    match [coding for coding in codings if coding not in {"", "identity"}]:
        case []:
            return body
        case ["gzip" | "x-gzip"]:
            return _members(body, limit)
        case _:
            return None


def _members(body: bytes, limit: int) -> bytes | None:
    """All members of a gzip body, as clients read them, up to the limit; None where there is none.

    What follows the last member is no reason not to look: clients leave it out and read the rest.
    """
    found: bytes | None = None
    while body and len(found or b"") < limit:
        member = zlib.decompressobj(GZIP_WINDOW)
        try:
            found = (found or b"") + member.decompress(body, limit - len(found or b""))
        except zlib.error:
            break
        body = member.unused_data
    return found
