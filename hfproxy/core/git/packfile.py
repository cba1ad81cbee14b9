"""Reading the commits out of a pack as it streams by, to see whether a branch is only moved forward.

A commit's id is the hash of its content, and its content names its parents. So commits found in the pack that lead
from the new end of a branch to its old one prove that nothing is lost, however the rest of the pack may be read by
others. Everything else (trees, files) is inflated to find where it ends, and dropped at once: memory stays flat.
Format: gitformat-pack(5).
"""

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

COMMIT, OFS_DELTA, REF_DELTA = 1, 6, 7
KNOWN = frozenset({1, 2, 3, 4, OFS_DELTA, REF_DELTA})
HEADER_BYTES = 12
# Small pieces in, since each object's end moves the buffer; larger ones out, since that is what inflating makes.
BUFFER_BYTES = 8 * 1024
PIECE_BYTES = 256 * 1024
# A commit longer than this, and commits beyond this many bytes in all, prove nothing.
MAX_COMMIT_BYTES = 1024 * 1024
MAX_COMMITS_BYTES = 512 * 1024 * 1024
# What a pack may inflate to: a bomb is given up on.
MAX_INFLATED_BYTES = 64 * 1024 * 1024 * 1024


class PackError(ValueError):
    """It is not a pack, or too much of one. Does not leave this module."""


@dataclass(slots=True)
class _Entry:
    """An object that is being read. `base` is the commit it is a change of, if it is one."""

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
    """Takes the bytes of a pack in pieces of any size; `parents` fills with its commits."""

    def __init__(self) -> None:
        self.parents: dict[str, tuple[str, ...]] = {}
        self._buffer = b""
        self._at = 0  # of the buffer's first byte, in the pack
        self._left: int | None = None
        self._entry: _Entry | None = None
        self._by_offset: dict[int, bytes] = {}
        self._by_id: dict[str, bytes] = {}
        self._kept = 0
        self._inflated = 0

    def feed(self, data: bytes) -> None:
        """Take more. From where it cannot be read on, nothing is found any more; what was found still holds."""
        for start in range(0, len(data), BUFFER_BYTES):
            if self._left == 0:
                return
            self._buffer += data[start : start + BUFFER_BYTES]
            try:
                while self._left != 0 and self._step():
                    pass
            except PackError:
                self._left = 0

    def _step(self) -> bool:
        """Go on by one header or one piece of an object; False: more bytes are needed."""
        if self._left is None:
            return self._header()
        if self._entry is None:
            return self._begin()
        return self._inflate(self._entry)

    def _header(self) -> bool:
        if len(self._buffer) < HEADER_BYTES:
            return False
        if self._buffer[:4] != b"PACK" or int.from_bytes(self._buffer[4:8]) not in {2, 3}:
            raise PackError("this is not a pack")
        self._left = int.from_bytes(self._buffer[8:12])
        self._take(HEADER_BYTES)
        return True

    def _take(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._at += count

    def _begin(self) -> bool:
        """Read an object's header: three bits of type, a size, and for a delta what it is a change of."""
        try:
            kind, size, used = _kind_and_size(self._buffer)
            base: bytes | None = None
            if kind == OFS_DELTA:
                back, used = _offset(self._buffer, used)
                base = self._by_offset.get(self._at - back)
            elif kind == REF_DELTA:
                base, used = self._by_id.get(_bytes(self._buffer, used, 20).hex()), used + 20
        except IndexError:
            return False
        if kind not in KNOWN:
            raise PackError("an object in it is of no known kind")
        self._entry = _Entry(self._at, kind, size, base)
        self._take(used)
        return True

    def _inflate(self, entry: _Entry) -> bool:
        if not self._buffer:
            return False
        given = len(self._buffer)
        try:
            data = entry.inflate.decompress(self._buffer, PIECE_BYTES)
        except zlib.error:
            raise PackError("an object in it is damaged") from None
        # At the end of a long object both hold what is left (CPython's zlib), so only one of them counts.
        left = entry.inflate.unused_data if entry.inflate.eof else entry.inflate.unconsumed_tail
        self._take(given - len(left))
        self._inflated += len(data)
        if self._inflated > MAX_INFLATED_BYTES:
            raise PackError("it inflates to too much")
        if entry.is_kept:
            entry.content += data[: MAX_COMMIT_BYTES + 1 - len(entry.content)]
        if entry.inflate.eof:
            self._end(entry)
        return True

    def _end(self, entry: _Entry) -> None:
        self._entry = None
        self._left = (self._left or 0) - 1
        if not entry.is_kept or len(entry.content) > MAX_COMMIT_BYTES or self._kept > MAX_COMMITS_BYTES:
            return
        content = bytes(entry.content) if entry.base is None else _applied(bytes(entry.content), entry.base)
        commit = hashlib.sha1(b"commit %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        self._kept += len(content)
        self._by_offset[entry.at] = self._by_id[commit] = content
        self.parents[commit] = tuple(_parents(content))


def is_ancestor(parents: Mapping[str, tuple[str, ...]], new: str, old: str) -> bool:
    """Whether `new` descends from `old`, by these commits alone."""
    seen, waiting = {new}, [new]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent == old:
                return True
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return False


def _parents(content: bytes) -> Iterator[str]:
    """A commit's parents stand in its head, after its tree and before its author."""
    for line in content.split(b"\n\n", 1)[0].split(b"\n")[1:]:
        word, _, value = line.partition(b" ")
        if word != b"parent":
            return
        yield value.decode("ascii", "replace")


def _kind_and_size(data: bytes) -> tuple[int, int, int]:
    """(type, size, bytes used). Raises IndexError where there is not enough of it yet."""
    kind, size, shift, used = data[0] >> 4 & 7, data[0] & 15, 4, 1
    while data[used - 1] & 0x80:
        size |= (data[used] & 0x7F) << shift
        shift, used = shift + 7, used + 1
        if used > 10:
            raise PackError("an object in it has no size")
    return kind, size, used


def _offset(data: bytes, start: int) -> tuple[int, int]:
    """(how far back the base begins, bytes used)."""
    used, back = start + 1, data[start] & 0x7F
    while data[used - 1] & 0x80:
        back = (back + 1) << 7 | data[used] & 0x7F
        used += 1
        if used - start > 10:
            raise PackError("an object in it has no base")
    return back, used


def _bytes(data: bytes, start: int, count: int) -> bytes:
    if len(data) < start + count:
        raise IndexError
    return data[start : start + count]


def _applied(delta: bytes, base: bytes) -> bytes:
    """The object that a delta makes of its base: pieces copied from it, and pieces of its own.

    Raises:
        PackError: it does not fit the base, or makes too much of it.
    """
    try:
        at = _skip_size(delta, _skip_size(delta, 0))
        made = bytearray()
        while at < len(delta):
            part, at = _copied(delta, at, base) if delta[at] & 0x80 else _inserted(delta, at)
            made += part
            if len(made) > MAX_COMMIT_BYTES:
                raise PackError("a commit in it is too long")
    except IndexError:
        raise PackError("a delta in it is cut short") from None
    return bytes(made)


def _skip_size(delta: bytes, at: int) -> int:
    while delta[at] & 0x80:
        at += 1
    return at + 1


def _copied(delta: bytes, at: int, base: bytes) -> tuple[bytes, int]:
    """Seven bits say which bytes of a 32-bit offset and a 24-bit size follow, the lowest first."""
    flags, at = delta[at], at + 1
    number = 0
    for bit in range(7):
        if flags & 1 << bit:
            number |= delta[at] << 8 * bit
            at += 1
    offset, size = number & 0xFFFFFFFF, number >> 32 or 0x10000
    return _bytes(base, offset, size), at


def _inserted(delta: bytes, at: int) -> tuple[bytes, int]:
    size = delta[at]
    if size == 0:
        raise PackError("a delta in it is of no known kind")
    return _bytes(delta, at + 1, size), at + 1 + size
