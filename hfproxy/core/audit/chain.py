"""The lines of the journal and their hash chain.

A line is one JSON object: `seq`, `at`, `kind`, the fields of the event, and at its end `prev`, `mac` and `hash`. `hash`
is the SHA-256 of the line's bytes before `,"hash":`; `prev` is the `hash` of the previous line, 64 zeros for the first.
So anyone can check the chain with a JSON parser and SHA-256, without key or daemon: a changed, dropped, added or
swapped line breaks it; a truncated journal is found by comparing the last hash with one recorded elsewhere (by the
running daemon, or in an anchor).

An attacker who can write the file can make a consistent chain. This is what `mac` is for, `KEY:MAC` in hexadecimal: an
id of the key, so that a lost key is not mistaken for a forgery, and an HMAC-SHA256 over the SHA-256 of the line's bytes
before `,"mac":`. As the line contains `prev`, the MAC authenticates all previous lines as well. A line that was written
while there was no key has no `mac`.

`audit verify` uses nothing of this module: it would only confirm that the module agrees with itself.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from hfproxy.errors import JournalError

FIRST_PREV: Final = "0" * 64
HASH_KEY: Final = b',"hash":"'
# The length of `,"hash":"`, 64 hexadecimal digits and `"}`.
SEAL_BYTES: Final = len(HASH_KEY) + 64 + 2

ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)

Event = Mapping[str, object]


class EventKind(StrEnum):
    """The kinds of events. Later versions may add kinds; the existing ones keep their meaning."""

    MINTED = "minted"
    DECIDED = "decided"
    COMPLETED = "completed"
    REVOKED = "revoked"
    EXPIRED = "expired"
    RENEWED = "renewed"
    LOGIN = "login"
    LOGOUT = "logout"
    DENIED_UNKNOWN = "denied_unknown"
    LOCKDOWN = "lockdown"
    ROTATED = "rotated"
    REVOKED_UPSTREAM = "revoked_upstream"
    STARTED = "started"
    LOCK = "lock"
    UNLOCK = "unlock"
    ALLOWED = "allowed"


class ChainHead(NamedTuple):
    """The head of the chain: the number of lines, and the hash of the last line."""

    seq: int = 0
    hash: str = FIRST_PREV


def encode_fields(event: Event) -> str:
    """Return the fields of an event as JSON without the braces; fields that are None are left out."""
    return ENCODER.encode({name: value for name, value in event.items() if value is not None})[1:-1]


def append_link(event: Event | str, head: ChainHead, key: bytes | None = None) -> tuple[bytes, ChainHead]:
    """Encode an event as the line that follows `head`; returns the line with its newline, and the new head.

    Args:
        event: the fields, or the result of `encode_fields`.
        head: the head of the chain so far.
        key: the key for the line's MAC; None: the line gets no MAC.
    """
    seq, fields = head.seq + 1, event if isinstance(event, str) else encode_fields(event)
    body = f'{{"seq":{seq}{"," if fields else ""}{fields},"prev":"{head.hash}"'.encode("ascii")
    sha256 = hashlib.sha256(body)
    mac_field = b"" if key is None else f',"mac":"{mac(sha256.digest(), key)}"'.encode("ascii")
    sha256.update(mac_field)
    digest = sha256.hexdigest()
    return b'%b%b,"hash":"%b"}\n' % (body, mac_field, digest.encode("ascii")), ChainHead(seq, digest)


def mac(digest: bytes, key: bytes) -> str:
    """Return the value of a line's `mac`; `digest` is the SHA-256 of the line's bytes before `,"mac":`."""
    hmac_state = _keyed_mac(key).copy()
    hmac_state.update(digest)
    return f"{key_id(key)}:{hmac_state.hexdigest()}"


def mac_matches(digest: str, claimed: str, key: bytes) -> bool:
    """Return whether `claimed` is the `mac` under this key of the line with this digest (in hexadecimal)."""
    return hmac.compare_digest(mac(bytes.fromhex(digest), key).encode(), claimed.encode())


@lru_cache(maxsize=1)
def _keyed_mac(key: bytes) -> hmac.HMAC:
    """Return the initial HMAC state of a key; computing it is half of the work of a MAC."""
    return hmac.new(key, digestmod="sha256")


@lru_cache(maxsize=1)
def key_id(key: bytes) -> str:
    """Return 16 hexadecimal digits that identify a key without revealing it.

    The MACed text differs in length from a SHA-256 digest, so it can never be a line's.
    """
    return hmac.digest(key, b"the key of a journal", "sha256").hex()[:16]


def verify_link(line: bytes) -> dict[str, object]:
    """Verify the hash of a line, and return its fields.

    Raises:
        JournalError: the line is not valid; the message tells why.
    """
    body, hash_field = line[:-SEAL_BYTES], line[-SEAL_BYTES:]
    digest = hashlib.sha256(body).hexdigest()
    if hash_field != HASH_KEY + digest.encode() + b'"}':
        raise JournalError("its hash does not fit its content")
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise JournalError("it is not a JSON object")
    return event


def head_after(line: bytes) -> ChainHead:
    """Return the head of the chain after a line, judged by that line alone.

    Raises:
        JournalError: the line is not valid, or has no number.
    """
    event = verify_link(line)
    seq, digest = event.get("seq"), event.get("hash")
    if type(seq) is not int or not isinstance(digest, str):
        raise JournalError("it has no number")
    return ChainHead(seq, digest)
