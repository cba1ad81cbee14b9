"""The journal's lines and the chain that holds them together.

A line is one JSON object: `seq`, `at`, `kind`, what there is to say, and at its end `prev`, `mac` and `hash`.
`hash` is the SHA-256 of the line's bytes up to (not with) `,"hash":`; `prev` is the `hash` of the line before,
64 zeros for the first. So anyone can check it with a JSON parser and SHA-256, without key or daemon:
a changed, dropped, added or swapped line breaks the chain; a cut-off tail is found by comparing the
last hash with one that was written down elsewhere (the running daemon's, or an anchor).

Who can write the file can make a chain of their own. For that there is `mac`, `KEY:MAC` in hexadecimal: an
HMAC-SHA256 over the SHA-256 of the line's bytes up to `,"mac":`, and a name of the key it was made with, so that
a lost key is not taken for a forgery. As the line holds `prev`, it vouches for all lines before as well. A line
that was written while there was no key has none.

Nothing in here is used by `audit verify`, which would else only find that we agree with ourselves.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from hfproxy.errors import JournalError

START: Final = "0" * 64
HASH_KEY: Final = b',"hash":"'
# `,"hash":"` + 64 hex digits + `"}`
SEAL_BYTES: Final = len(HASH_KEY) + 64 + 2

ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)

Event = Mapping[str, object]


class EventKind(StrEnum):
    """What can happen. New kinds may come; these keep their meaning."""

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
    """Where the chain stands: the number of lines and the hash of the last."""

    seq: int = 0
    hash: str = START


def encode_fields(event: Event) -> str:
    """What there is to say of an event, in JSON without the braces; None is left out."""
    return ENCODER.encode({name: value for name, value in event.items() if value is not None})[1:-1]


def append_link(event: Event | str, head: ChainHead, key: bytes | None = None) -> tuple[bytes, ChainHead]:
    """Write an event as the line that follows `head`; returns the line with its newline, and the new head.

    The event may be given as its `members`. `key` is what the line is MACed with; None: there is none.
    """
    seq, said = head.seq + 1, event if isinstance(event, str) else encode_fields(event)
    body = f'{{"seq":{seq}{"," if said else ""}{said},"prev":"{head.hash}"'.encode("ascii")
    hashed = hashlib.sha256(body)
    vouched = b"" if key is None else f',"mac":"{mac(hashed.digest(), key)}"'.encode("ascii")
    hashed.update(vouched)
    digest = hashed.hexdigest()
    return b'%b%b,"hash":"%b"}\n' % (body, vouched, digest.encode("ascii")), ChainHead(seq, digest)


def mac(digest: bytes, key: bytes) -> str:
    """What a line is MACed with; `digest` is the SHA-256 of what it says."""
    begun = _keyed_mac(key).copy()
    begun.update(digest)
    return f"{key_id(key)}:{begun.hexdigest()}"


def mac_matches(digest: str, claimed: str, key: bytes) -> bool:
    """Whether a line, given by the hexadecimal digest of what it says, was MACed so with this key."""
    return hmac.compare_digest(mac(bytes.fromhex(digest), key).encode(), claimed.encode())


@lru_cache(maxsize=1)
def _keyed_mac(key: bytes) -> hmac.HMAC:
    """What every MAC with a key begins with; half of the work."""
    return hmac.new(key, digestmod="sha256")


@lru_cache(maxsize=1)
def key_id(key: bytes) -> str:
    """16 hexadecimal digits that tell keys apart and say nothing about them. No digest has this length of input."""
    return hmac.digest(key, b"the key of a journal", "sha256").hex()[:16]


def verify_link(line: bytes) -> dict[str, object]:
    """Check that a line is as it was sealed, and read it.

    Raises:
        JournalError: it is not; says what is wrong with it.
    """
    body, its_seal = line[:-SEAL_BYTES], line[-SEAL_BYTES:]
    digest = hashlib.sha256(body).hexdigest()
    if its_seal != HASH_KEY + digest.encode() + b'"}':
        raise JournalError("its hash does not fit its content")
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise JournalError("it is not a JSON object")
    return event


def head_after(line: bytes) -> ChainHead:
    """Where the chain stands after a line, judged by that line alone.

    Raises:
        JournalError: it is not a sealed line.
    """
    event = verify_link(line)
    seq, digest = event.get("seq"), event.get("hash")
    if type(seq) is not int or not isinstance(digest, str):
        raise JournalError("it has no number")
    return ChainHead(seq, digest)
