"""The journal's lines and the chain that holds them together.

A line is one JSON object: `seq`, `at`, `kind`, what there is to say, and at its end `prev` and `hash`.
`hash` is the SHA-256 of the line's bytes up to (not with) `,"hash":`; `prev` is the `hash` of the line before,
64 zeros for the first. So anyone can check it with a JSON parser and SHA-256, without key or daemon:
a changed, dropped, added or swapped line breaks the chain; a cut-off tail is found by comparing the
last hash with one that was written down elsewhere (the running daemon's, or an anchor).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hfproxy.errors import JournalError

START: Final = "0" * 64
HASH_KEY: Final = b',"hash":"'
# `,"hash":"` + 64 hex digits + `"}`
SEAL_BYTES: Final = len(HASH_KEY) + 64 + 2

Event = Mapping[str, object]


class Kind(StrEnum):
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


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands: the number of lines and the hash of the last."""

    seq: int = 0
    hash: str = START


def seal(event: Event, head: Head) -> tuple[bytes, Head]:
    """Write an event as the line that follows `head`; returns the line with its newline, and the new head."""
    seq = head.seq + 1
    members = {"seq": seq, **{key: value for key, value in event.items() if value is not None}}
    text = json.dumps({**members, "prev": head.hash}, separators=(",", ":"), ensure_ascii=True)
    body = text[:-1].encode()
    digest = hashlib.sha256(body).hexdigest()
    return body + HASH_KEY + digest.encode() + b'"}\n', Head(seq, digest)


def unseal(line: bytes) -> dict[str, object]:
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


def standing(line: bytes) -> Head:
    """Where the chain stands after a line, judged by that line alone.

    Raises:
        JournalError: it is not a sealed line.
    """
    event = unseal(line)
    seq, digest = event.get("seq"), event.get("hash")
    if type(seq) is not int or not isinstance(digest, str):
        raise JournalError("it has no number")
    return Head(seq, digest)


def check(lines: Iterable[bytes], head: Head = Head()) -> Head:
    """Follow the chain through all lines (without their newlines) and return where it ends.

    Raises:
        JournalError: names the first line that is wrong.
    """
    for number, line in enumerate(lines, start=head.seq + 1):
        try:
            event = unseal(line)
            if event.get("prev") != head.hash or event.get("seq") != head.seq + 1:
                raise JournalError("it does not follow the line before it")
            head = standing(line)
        except JournalError as error:
            raise JournalError(f"entry {number} is wrong: {error}") from None
    return head
