"""Credentials: the bearer strings that clients present instead of a token.

A credential is opaque: what it may do is known to the daemon alone, under the digest of the string.
It must begin with `hf_`, since clients send any other key straight to third parties, and must not look
like a token (`hf_` and 34 letters or digits), or secret scanners would report it
(docs/hub-protocol.md#credential-shape).
"""

import hashlib
import re

PREFIX = "hf_px_"
ENTROPY_BYTES = 24
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 62**33 > 2**192, so 33 digits hold 24 bytes.
DIGITS = 33
PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{DIGITS}}}")


def encode(entropy: bytes) -> str:
    """Spell 24 random bytes as a credential.

    Raises:
        ValueError: another number of bytes, which would mean a weaker secret or a longer string.
    """
    if len(entropy) != ENTROPY_BYTES:
        msg = f"a credential is made of {ENTROPY_BYTES} bytes"
        raise ValueError(msg)
    rest, digits = int.from_bytes(entropy), []
    for _ in range(DIGITS):
        rest, digit = divmod(rest, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return PREFIX + "".join(reversed(digits))


def digest(credential: str) -> bytes:
    """SHA-256 of the credential: all that is kept of it. Entropy is full, so no slow hash is needed."""
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()


def is_credential(text: str) -> bool:
    """Whether a string has the shape of one of ours (it may still be unknown)."""
    return PATTERN.fullmatch(text) is not None
