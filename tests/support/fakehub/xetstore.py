"""What the CAS keeps: xorbs, files made of them, and its access tokens.

Content hashes are the client's word (they are keyed BLAKE3, which the standard library lacks); what is
checked is that every chunk decodes to its declared size and that the whole file has the SHA-256 the shard
claims.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass, field

from . import shard, xorb


@dataclass(frozen=True)
class Access:
    """What a CAS bearer token allows: one repository, read or write, until *expires* (Unix seconds)."""

    repo: tuple[str, str]
    write: bool
    expires: int


@dataclass(frozen=True)
class Piece:
    """A term cut to what a range needs."""

    xorb: str
    start: int
    end: int
    size: int


@dataclass
class XetStore:
    """Xorbs by hash, files by xet hash, who brought a file, and the tokens issued."""

    xorbs: dict[str, bytes] = field(default_factory=dict)
    layouts: dict[str, list[xorb.Chunk]] = field(default_factory=dict)
    files: dict[str, shard.File] = field(default_factory=dict)
    by_sha256: dict[str, str] = field(default_factory=dict)
    sha256s: dict[str, str] = field(default_factory=dict)
    owners: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    tokens: dict[str, Access] = field(default_factory=dict)
    grants: dict[str, str] = field(default_factory=dict)

    def mint(self, repo: tuple[str, str], *, write: bool, seconds: int, padding: int) -> tuple[str, Access]:
        """Issue an access token."""
        value = f"xet_{'write' if write else 'read'}_{secrets.token_hex(16)}{'x' * padding}"
        self.tokens[value] = access = Access(repo, write, int(time.time()) + seconds)
        return value, access

    def add_xorb(self, name: str, data: bytes) -> bool:
        """Store a xorb; say whether it is new. Raise ValueError if it cannot be read."""
        self.layouts[name] = xorb.chunks(data)
        new = name not in self.xorbs
        self.xorbs[name] = data
        return new

    def add_shard(self, data: bytes) -> list[tuple[shard.File, bytes]]:
        """Register a shard's files; return each with its content. Raise ValueError if anything is off."""
        added = [(file, self.content(file)) for file in shard.files(data)]
        for file, content in added:
            sha256 = hashlib.sha256(content).hexdigest()
            if file.sha256 not in (None, sha256):
                raise ValueError("the content does not have the SHA-256 the shard claims")
            self.files[file.hash] = file
            self.by_sha256[sha256] = file.hash
            self.sha256s[file.hash] = sha256
        return added

    def seed(self, data: bytes, owner: tuple[str, str]) -> str:
        """Store a file as if *owner* had uploaded it, and return its hash: the keyed BLAKE3 is not at hand, any will do."""
        sha256 = hashlib.sha256(data).hexdigest()
        name = self.by_sha256.setdefault(sha256, sha256)
        self.owners.setdefault(name, set()).add(owner)
        if name not in self.files:
            packed = xorb.packed(data)
            self.add_xorb(name, packed)
            term = shard.Term(name, 0, len(self.layouts[name]), len(data))
            self.files[name] = shard.File(name, (term,), sha256)
            self.sha256s[name] = sha256
        return name

    def content(self, file: shard.File) -> bytes:
        """Put a file together."""
        return b"".join(self._term(term) for term in file.terms)

    def _term(self, term: shard.Term) -> bytes:
        if term.xorb not in self.xorbs:
            raise ValueError(f"unknown xorb {term.xorb}")
        data = self.xorbs[term.xorb]
        content = b"".join(xorb.plain(data, chunk) for chunk in self.layouts[term.xorb][term.start : term.end])
        if len(content) != term.size:
            raise ValueError("a term's size does not match its chunks")
        return content

    def pieces(self, file: shard.File, first: int, last: int) -> tuple[int, list[Piece]]:
        """Return the pieces covering bytes `[first, last]` and how far into the first piece *first* lies."""
        found: list[Piece] = []
        offset_in_first = position = 0
        for term in file.terms:
            piece, before = self._cut(term, first - position, last - position)
            if piece is not None:
                offset_in_first = offset_in_first if found else first - position - before
                found.append(piece)
            position += term.size
        return max(offset_in_first, 0), found

    def _cut(self, term: shard.Term, first: int, last: int) -> tuple[Piece | None, int]:
        """Trim a term to the chunks of its bytes `[first, last]`; also return the bytes cut in front."""
        start, end, size, before, position = term.start, term.start, 0, 0, 0
        for index in range(term.start, term.end):
            length = self.layouts[term.xorb][index].size
            if position + length <= first:
                start, before = index + 1, position + length
            elif position <= last:
                end, size = index + 1, size + length
            position += length
        return (Piece(term.xorb, start, end, size) if size else None), before

    def byte_range(self, name: str, start: int, end: int) -> tuple[int, int]:
        """Return the inclusive byte range of chunks `[start, end)` in a serialized xorb."""
        layout = self.layouts[name]
        return layout[start].start, layout[end - 1].end - 1
