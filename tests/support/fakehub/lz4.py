"""LZ4 frame decompression, enough for what hf_xet writes (lz4 `doc/lz4_Frame_format.md`,
`doc/lz4_Block_format.md`).

Checksums are skipped, not verified: the SHA-256 of the reconstructed file is checked instead.
"""

MAGIC = 0x184D2204
_STORED = 1 << 31
_MIN_MATCH = 4


def decompress(frame: bytes) -> bytes:
    """Return the content of one frame."""
    if int.from_bytes(frame[:4], "little") != MAGIC:
        raise ValueError("not an LZ4 frame")
    flags = frame[4]
    position = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    checksum = 4 if flags & 0x10 else 0
    out = bytearray()
    while size := int.from_bytes(frame[position : position + 4], "little"):
        position += 4
        length = size & ~_STORED
        block = frame[position : position + length]
        if size & _STORED:
            out += block
        else:
            _block(block, out)
        position += length + checksum
    return bytes(out)


def _block(block: bytes, out: bytearray) -> None:
    """Append a block's content to *out*; linked blocks may refer back into what is there already."""
    position = 0
    while position < len(block):
        token = block[position]
        literals, position = _length(block, position + 1, token >> 4)
        out += block[position : position + literals]
        position += literals
        if position >= len(block):  # the last sequence has literals only
            return
        offset = int.from_bytes(block[position : position + 2], "little")
        match, position = _length(block, position + 2, token & 15)
        _copy(out, offset, match + _MIN_MATCH)


def _length(block: bytes, position: int, start: int) -> tuple[int, int]:
    total = start
    if start < 15:
        return total, position
    while True:
        total += block[position]
        position += 1
        if block[position - 1] != 255:
            return total, position


def _copy(out: bytearray, offset: int, length: int) -> None:
    start = len(out) - offset
    if start < 0 or offset == 0:
        raise ValueError("LZ4 match points before the content")
    # A match longer than its offset repeats what it has just written.
    piece = bytes(out[start : start + min(offset, length)])
    out += (piece * (length // len(piece) + 1))[:length]
