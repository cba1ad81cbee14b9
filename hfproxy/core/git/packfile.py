"""Reads the commits of a pack as it is streamed, to prove that a push only fast-forwards a branch.

A commit's id is the hash of its content, and its content names its parents. Commits in the pack that form a path from
the new tip of a branch back to its old tip therefore prove that no commit is lost, however another reader interprets
the rest of the pack. All other objects (trees, files) are inflated only to find their end, and dropped at once, so
memory use stays constant. Format: gitformat-pack(5).
"""

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

COMMIT, OFS_DELTA, REF_DELTA = 1, 6, 7
OBJECT_TYPES = frozenset({1, 2, 3, 4, OFS_DELTA, REF_DELTA})
HEADER_BYTES = 12
# Small pieces of input, since the buffer is moved at the end of each object; larger pieces of inflated output.
BUFFER_BYTES = 8 * 1024
PIECE_BYTES = 256 * 1024
# A commit longer than this, and commits beyond this many bytes in total, are not used as proof.
MAX_COMMIT_BYTES = 1024 * 1024
MAX_COMMITS_BYTES = 512 * 1024 * 1024
# The inflated size after which a pack is taken for a decompression bomb and no longer read.
MAX_INFLATED_BYTES = 64 * 1024 * 1024 * 1024


class PackError(ValueError):
    """The data is not a pack, or inflates to more than MAX_INFLATED_BYTES. Never leaves this module."""


@dataclass(slots=True)
class _Entry:
    """The object that is being read. `base` is the content of the commit that a delta applies to, if it is known."""

    at: int
    kind: int
    size: int
    base: bytes | None
    inflate: "zlib._Decompress" = field(default_factory=zlib.decompressobj)
    content: bytearray = field(default_factory=bytearray)

    @property
    def is_kept(self) -> bool:
        return (self.kind == COMMIT or self.base is not None) and self.size <= MAX_COMMIT_BYTES


class PackReader:
    """Reads a pack in pieces of any size.

    Attributes:
        parents: the ids of the parents of each commit found so far, by the commit's id.
    """

    def __init__(self) -> None:
        self.parents: dict[str, tuple[str, ...]] = {}
        self._buffer = b""
        self._position = 0  # of the buffer's first byte, in the pack
        self._objects_left: int | None = None  # None until the header is read; 0 at the end or after an error
        self._entry: _Entry | None = None
        self._by_offset: dict[int, bytes] = {}
        self._by_id: dict[str, bytes] = {}
        self._kept = 0
        self._inflated = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the pack. After an error the rest is ignored; commits found before it stay valid."""
        for start in range(0, len(data), BUFFER_BYTES):
            if self._objects_left == 0:
                return
            self._buffer += data[start : start + BUFFER_BYTES]
            try:
                while self._objects_left != 0 and self._step():
                    pass
            except PackError:
                self._objects_left = 0

    def _step(self) -> bool:
        """Read one header or one piece of an object; False if more bytes are needed."""
        if self._objects_left is None:
            return self._read_pack_header()
        if self._entry is None:
            return self._begin_object()
        return self._inflate_piece(self._entry)

    def _read_pack_header(self) -> bool:
        if len(self._buffer) < HEADER_BYTES:
            return False
        if self._buffer[:4] != b"PACK" or int.from_bytes(self._buffer[4:8]) not in {2, 3}:
            raise PackError("this is not a pack")
        self._objects_left = int.from_bytes(self._buffer[8:12])
        self._take(HEADER_BYTES)
        return True

    def _take(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._position += count

    def _begin_object(self) -> bool:
        """Read an object's header: three bits of type, a size, and for a delta the reference to its base."""
        try:
            kind, size, used = _type_and_size(self._buffer)
            base: bytes | None = None
            if kind == OFS_DELTA:
                back, used = _base_offset(self._buffer, used)
                base = self._by_offset.get(self._position - back)
            elif kind == REF_DELTA:
                base, used = self._by_id.get(_slice(self._buffer, used, 20).hex()), used + 20
        except IndexError:
            return False
        if kind not in OBJECT_TYPES:
            raise PackError("an object in it has an unknown type")
        self._entry = _Entry(self._position, kind, size, base)
        self._take(used)
        return True

    def _inflate_piece(self, entry: _Entry) -> bool:
        if not self._buffer:
            return False
        length = len(self._buffer)
        try:
            data = entry.inflate.decompress(self._buffer, PIECE_BYTES)
        except zlib.error:
            raise PackError("an object in it is damaged") from None
        # At the end of a long object CPython's zlib has the rest in both attributes, so use only one of them.
        rest = entry.inflate.unused_data if entry.inflate.eof else entry.inflate.unconsumed_tail
        self._take(length - len(rest))
        self._inflated += len(data)
        if self._inflated > MAX_INFLATED_BYTES:
            raise PackError("it inflates to more than 64 GiB")
        if entry.is_kept:
            entry.content += data[: MAX_COMMIT_BYTES + 1 - len(entry.content)]
        if entry.inflate.eof:
            self._end_object(entry)
        return True

    def _end_object(self, entry: _Entry) -> None:
        self._entry = None
        self._objects_left = (self._objects_left or 0) - 1
        if not entry.is_kept or len(entry.content) > MAX_COMMIT_BYTES or self._kept > MAX_COMMITS_BYTES:
            return
        content = bytes(entry.content) if entry.base is None else _apply_delta(bytes(entry.content), entry.base)
        commit = hashlib.sha1(b"commit %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        self._kept += len(content)
        self._by_offset[entry.at] = self._by_id[commit] = content
        self.parents[commit] = tuple(_parents(content))


def is_ancestor(parents: Mapping[str, tuple[str, ...]], new: str, old: str) -> bool:
    """Return whether `old` is an ancestor of `new`, by the given commits alone."""
    seen, pending = {new}, [new]
    while pending:
        for parent in parents.get(pending.pop(), ()):
            if parent == old:
                return True
            if parent not in seen:
                seen.add(parent)
                pending.append(parent)
    return False


def _parents(content: bytes) -> Iterator[str]:
    """Yield the ids of a commit's parents, which follow its tree and precede its author."""
    for line in content.split(b"\n\n", 1)[0].split(b"\n")[1:]:
        word, _, value = line.partition(b" ")
        if word != b"parent":
            return
        yield value.decode("ascii", "replace")


def _type_and_size(data: bytes) -> tuple[int, int, int]:
    """Return (type, size, bytes used). Raises IndexError if more bytes are needed."""
    kind, size, shift, used = data[0] >> 4 & 7, data[0] & 15, 4, 1
    while data[used - 1] & 0x80:
        size |= (data[used] & 0x7F) << shift
        shift, used = shift + 7, used + 1
        if used > 10:
            raise PackError("an object in it has no size")
    return kind, size, used


def _base_offset(data: bytes, start: int) -> tuple[int, int]:
    """Return (distance back to the base's start in the pack, end of the number in `data`)."""
    used, back = start + 1, data[start] & 0x7F
    while data[used - 1] & 0x80:
        back = (back + 1) << 7 | data[used] & 0x7F
        used += 1
        if used - start > 10:
            raise PackError("an object in it has no base")
    return back, used


def _slice(data: bytes, start: int, count: int) -> bytes:
    if len(data) < start + count:
        raise IndexError
    return data[start : start + count]


def _apply_delta(delta: bytes, base: bytes) -> bytes:
    """Apply a delta to its base: a sequence of pieces copied from the base, and pieces inserted from the delta.

    Raises:
        PackError: the delta does not fit the base, or the result is too long.
    """
    try:
        at = _skip_size(delta, _skip_size(delta, 0))
        result = bytearray()
        while at < len(delta):
            part, at = _copy(delta, at, base) if delta[at] & 0x80 else _insert(delta, at)
            result += part
            if len(result) > MAX_COMMIT_BYTES:
                raise PackError("a commit in it is too long")
    except IndexError:
        raise PackError("a delta in it is cut short") from None
    return bytes(result)


def _skip_size(delta: bytes, at: int) -> int:
    while delta[at] & 0x80:
        at += 1
    return at + 1


def _copy(delta: bytes, at: int, base: bytes) -> tuple[bytes, int]:
    """Return (copied piece, next position).

    Seven flags tell which bytes of offset (32 bits) and size (24 bits) follow.
    """
    flags, at = delta[at], at + 1
    number = 0
    for bit in range(7):
        if flags & 1 << bit:
            number |= delta[at] << 8 * bit
            at += 1
    offset, size = number & 0xFFFFFFFF, number >> 32 or 0x10000
    return _slice(base, offset, size), at


def _insert(delta: bytes, at: int) -> tuple[bytes, int]:
    size = delta[at]
    if size == 0:
        raise PackError("a delta in it has an unknown instruction")
    return _slice(delta, at + 1, size), at + 1 + size
