"""The journal's chain as a stranger follows it.

This shares no code with what writes the journal (an import contract holds it to that); the form of a line is described
in `core.audit`. Following stops at the first entry that is wrong, and says what is wrong with it.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field

from hfproxy.errors import JournalError

BEGINNING = "0" * 64
# Entries of one second may be written down in another order than their clocks were read, and time is kept in seconds.
CLOCK_TOLERANCE_S = 2

END = re.compile(rb'(?:,"mac":"(?P<mac>[0-9a-f]{16}:[0-9a-f]{64})")?(?P<seal>,"hash":"(?P<hash>[0-9a-f]{64})"\})\Z')


@dataclass(frozen=True, slots=True)
class Entry:
    """One line that is whole in itself.

    `digest` is the SHA-256 of what it says, which its MAC is made of; `mac` is empty if it has none.
    """

    seq: int
    prev: str
    hash: str
    kind: object
    at: object
    digest: str
    mac: str


def read(line: bytes) -> Entry:
    """Take a line (without its newline) apart.

    Raises:
        JournalError: it is not as it was written.
    """
    end = END.search(line)
    if end is None:
        raise JournalError("it is not a line of a journal: it does not end in a hash")
    if hashlib.sha256(line[: end.start("seal")]).hexdigest() != end["hash"].decode():
        raise JournalError("its hash does not fit its content")
    said = _members(line)
    seq, prev, mac = said.get("seq"), said.get("prev"), (end["mac"] or b"").decode()
    if type(seq) is not int or not isinstance(prev, str) or said.get("mac", "") != mac:
        raise JournalError("its number, 'prev' or 'mac' is missing or not where it belongs")
    digest = hashlib.sha256(line[: end.start()]).hexdigest()
    return Entry(seq, prev, end["hash"].decode(), said.get("kind"), said.get("at"), digest, mac)


def _members(line: bytes) -> dict[str, object]:
    try:
        said = json.loads(line, object_pairs_hook=_reject_duplicate_keys)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise JournalError("it is not a JSON object")
    return said


def _reject_duplicate_keys(members: list[tuple[str, object]]) -> dict[str, object]:
    """Two readers may take another one of two that have the same name."""
    read = dict(members)
    if len(read) != len(members):
        raise JournalError("it says something twice (duplicate keys)")
    return read


@dataclass(slots=True)
class Chain:
    """Follows entries from the first on."""

    seq: int = 0
    hash: str = BEGINNING
    set_back: list[tuple[int, int]] = field(default_factory=list)
    """Where the clock went back: the entry's number, and by how many seconds."""
    _prev: str = ""
    _latest: int | None = None
    _first: dict[str, str] = field(default_factory=dict)
    """What the first entry of each file follows, and the file."""

    def begin(self, entry: Entry, path: str) -> None:
        """`entry` is the first of a file.

        Raises:
            JournalError: the files before it are missing, or it is one of two that follow the same.
        """
        if self.seq == 0 and entry.seq > 1:
            raise JournalError(f"it begins with entry {entry.seq}: the files before it are missing")
        twin = self._first.setdefault(entry.prev, path)
        if twin != path:
            raise JournalError(f"a fork: it and {twin} both follow entry {entry.seq - 1}")

    def follow(self, entry: Entry) -> None:
        """Take the next entry.

        Raises:
            JournalError: it does not follow the one before.
        """
        if entry.seq > self.seq + 1:
            raise JournalError(f"it has the number {entry.seq}: what was between is missing, or the order was changed")
        if entry.prev == self._prev:
            raise JournalError("a fork, or an entry twice: it follows what the entry before it follows")
        if entry.seq <= self.seq:
            raise JournalError(f"it has the number {entry.seq} again: a fork, or the order was changed")
        if entry.prev != self.hash:
            raise JournalError("it does not follow the entry before it")
        self.seq, self.hash, self._prev = entry.seq, entry.hash, entry.prev
        self._look_at_the_clock(entry.at)

    def _look_at_the_clock(self, at: object) -> None:
        """A clock that was set back is no forgery: the order is the chain's, and the machine's clock is only quoted.
        But who asks for a time has to know that the answer may be incomplete."""
        if type(at) is not int:
            return
        if self._latest is None or at >= self._latest:
            self._latest = at
        elif at < self._latest - CLOCK_TOLERANCE_S:
            self.set_back.append((self.seq, self._latest - at))
            self._latest = at
