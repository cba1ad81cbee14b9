"""Content too large for memory: made up as it is asked for, or counted and thrown away."""

import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class MadeUp:
    """*size* bytes that follow from their position, so that any range of them can be checked."""

    size: int
    _noise: bytes = field(default=random.Random(0).randbytes(BLOCK_BYTES - 8), repr=False)

    def __len__(self) -> int:
        return self.size

    @property
    def name(self) -> str:
        """What stands for its SHA-256. Computing the real one would take minutes, and no client compares."""
        return hashlib.sha256(f"{self.size} bytes made up".encode()).hexdigest()

    def __getitem__(self, wanted: slice) -> bytes:
        first, last, _ = wanted.indices(self.size)
        start = first - first % BLOCK_BYTES
        blocks = b"".join(self._block(position) for position in range(start, last, BLOCK_BYTES))
        return blocks[first - start : last - start]

    def _block(self, position: int) -> bytes:
        return position.to_bytes(8) + self._noise

    async def pieces(self, first: int, last: int) -> AsyncIterator[bytes]:
        """Yield the bytes `[first, last]`, a block at a time."""
        for start in range(first, last + 1, BLOCK_BYTES):
            yield self[start : min(start + BLOCK_BYTES, last + 1)]


@dataclass(frozen=True)
class Discarded:
    """An upload of which only the size was kept."""

    size: int

    def __len__(self) -> int:
        return self.size


Content = bytes | MadeUp | Discarded
