"""The shard: which chunks of which xorbs make up which file (xet-core `spec/shard.md`).

Only the file section is read. All records are 48 bytes; integers are little-endian.
"""

import struct
from dataclasses import dataclass

RECORD_BYTES = 48
_HEADER = struct.Struct("<32sII8x")
_TERM = struct.Struct("<32sIIII")
_WITH_VERIFICATION = 1 << 31
_WITH_METADATA = 1 << 30
_BOOKEND = b"\xff" * 32


@dataclass(frozen=True)
class Term:
    """A run `[start, end)` of a xorb's chunks, and how many plain bytes it has."""

    xorb: str
    start: int
    end: int
    size: int


@dataclass(frozen=True)
class File:
    """How to put a file together. *sha256* is the client's claim."""

    hash: str
    terms: tuple[Term, ...]
    sha256: str | None

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return sum(term.size for term in self.terms)


def hex_hash(raw: bytes) -> str:
    """Write a 32 byte hash as the API does: four little-endian 64 bit numbers (xet-core `spec/api.md`)."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def files(data: bytes) -> list[File]:
    """Return the files of a shard; raise ValueError if it is cut short."""
    position = RECORD_BYTES  # the shard's own header is one record long
    found: list[File] = []
    while (head := _record(data, position))[:32] != _BOOKEND:
        file, position = _file(data, position, head)
        found.append(file)
    return found


def _record(data: bytes, position: int) -> bytes:
    record = data[position : position + RECORD_BYTES]
    if len(record) != RECORD_BYTES:
        raise ValueError("truncated shard")
    return record


def _file(data: bytes, position: int, head: bytes) -> tuple[File, int]:
    raw, flags, count = _HEADER.unpack(head)
    position += RECORD_BYTES
    terms = tuple(_term(_record(data, position + i * RECORD_BYTES)) for i in range(count))
    position += count * RECORD_BYTES * (2 if flags & _WITH_VERIFICATION else 1)
    sha256 = None
    if flags & _WITH_METADATA:
        sha256 = hex_hash(_record(data, position)[:32])
        position += RECORD_BYTES
    return File(hex_hash(raw), terms, sha256), position


def _term(record: bytes) -> Term:
    raw, _flags, size, start, end = _TERM.unpack(record)
    return Term(hex_hash(raw), start, end, size)
