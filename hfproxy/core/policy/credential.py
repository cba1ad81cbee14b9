"""Credentials: the bearer strings that clients present instead of a token.

A credential is opaque: the daemon finds its grant by the SHA-256 digest of the string. It begins with `hf_`, since
clients send a key of any other shape directly to third parties, and does not have the shape of a token (`hf_` and 34
letters or digits), or secret scanners would report it (docs/hub-protocol.md#credential-shape).
"""

import hashlib
import re

PREFIX = "hf_px_"
ENTROPY_BYTES = 24
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# 62**33 > 2**192: 33 digits of base 62 hold 24 bytes.
DIGITS = 33
PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{DIGITS}}}")


def encode(entropy: bytes) -> str:
    """Return the credential for `ENTROPY_BYTES` random bytes: the prefix and 33 digits of base 62.

    Raises:
        ValueError: another number of bytes, which would make a weaker credential or a longer string.
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
    """Return the SHA-256 of a credential, which is stored in its place. It is random, so no slow hash is needed.

    Any text has a digest, also one that is not a credential and one with unpaired surrogates.
    """
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()


def is_credential(text: str) -> bool:
    """Return whether a text has the shape of a credential of hf-proxy; it may still be unknown."""
    return PATTERN.fullmatch(text) is not None
