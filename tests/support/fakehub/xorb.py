"""The xorb: a run of compressed chunks (xet-core `spec/xorb.md`).

Each chunk is an 8 byte header (version, 3 bytes compressed size, scheme, 3 bytes plain size) and its data.
Older clients append a footer, which starts with a byte that is no chunk version.
"""

from dataclasses import dataclass
from enum import IntEnum

from . import lz4

HEADER_BYTES = 8
CHUNK_BYTES = 64 * 1024
_CHUNK_VERSION = 0


class Scheme(IntEnum):
    """How a chunk is compressed."""

    NONE = 0
    LZ4 = 1
    BYTE_GROUPED_LZ4 = 2


@dataclass(frozen=True)
class Chunk:
    """Where a chunk lies in its serialized xorb: `[start, end)` with its header, and its plain size."""

    start: int
    end: int
    scheme: Scheme
    size: int


def chunks(data: bytes) -> list[Chunk]:
    """Return the chunks of a serialized xorb in order; raise ValueError if it is cut short."""
    found: list[Chunk] = []
    position = 0
    while position + HEADER_BYTES <= len(data) and data[position] == _CHUNK_VERSION:
        packed = int.from_bytes(data[position + 1 : position + 4], "little")
        end = position + HEADER_BYTES + packed
        size = int.from_bytes(data[position + 5 : position + 8], "little")
        if end > len(data):
            raise ValueError("truncated xorb")
        found.append(Chunk(position, end, Scheme(data[position + 4]), size))
        position = end
    if not found:
        raise ValueError("a xorb without chunks")
    return found


def packed(data: bytes) -> bytes:
    """Return a xorb of *data*, not compressed."""
    pieces = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)] or [b""]
    return b"".join(_header(len(piece)) + piece for piece in pieces)


def _header(size: int) -> bytes:
    length = size.to_bytes(3, "little")
    return bytes([_CHUNK_VERSION]) + length + bytes([Scheme.NONE]) + length


def plain(data: bytes, chunk: Chunk) -> bytes:
    """Return a chunk's content."""
    packed = data[chunk.start + HEADER_BYTES : chunk.end]
    if chunk.scheme is Scheme.NONE:
        content = packed
    else:
        content = lz4.decompress(packed)
        if chunk.scheme is Scheme.BYTE_GROUPED_LZ4:
            content = ungroup(content)
    if len(content) != chunk.size:
        raise ValueError("a chunk's size does not match its header")
    return content


def ungroup(grouped: bytes) -> bytes:
    """Undo byte grouping: the first quarter holds bytes 0, 4, 8…, the next bytes 1, 5, 9…"""
    out = bytearray(len(grouped))
    position = 0
    for lane in range(4):
        count = len(range(lane, len(grouped), 4))
        out[lane::4] = grouped[position : position + count]
        position += count
    return bytes(out)
