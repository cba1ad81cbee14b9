"""An independent verifier of the journal's hash chain.

It shares no code with the writer of the journal (an import contract enforces that); the format of a line is described
in `hfproxy.core.audit.chain`. Verification stops at the first invalid entry, with the reason.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field

from hfproxy.errors import JournalError

FIRST_PREV = "0" * 64
# Concurrent entries may be written in another order than they read the clock, and times are whole seconds.
CLOCK_TOLERANCE_S = 2

LINE_END = re.compile(
    rb'(?:,"mac":"(?P<mac>[0-9a-f]{16}:[0-9a-f]{64})")?(?P<seal>,"hash":"(?P<hash>[0-9a-f]{64})"\})\Z'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that is valid by itself.

    Attributes:
        seq: its number.
        prev: the hash of the previous entry.
        hash: its hash.
        kind: its kind, as in the line.
        at: its time, as in the line.
        digest: the SHA-256 of the line before its `mac`, in hexadecimal.
        mac: its MAC; "" if it has none.
    """

    seq: int
    prev: str
    hash: str
    kind: object
    at: object
    digest: str
    mac: str


def read(line: bytes) -> Entry:
    """Parse a line (without its newline), and verify its hash.

    Raises:
        JournalError: the line is malformed, or was changed.
    """
    end = LINE_END.search(line)
    if end is None:
        raise JournalError("it is not a line of a journal: it does not end in a hash")
    if hashlib.sha256(line[: end.start("seal")]).hexdigest() != end["hash"].decode():
        raise JournalError("its hash does not fit its content")
    members = _members(line)
    seq, prev, mac = members.get("seq"), members.get("prev"), (end["mac"] or b"").decode()
    if type(seq) is not int or not isinstance(prev, str) or members.get("mac", "") != mac:
        raise JournalError("its number, 'prev' or 'mac' is missing or not where it belongs")
    digest = hashlib.sha256(line[: end.start()]).hexdigest()
    return Entry(seq, prev, end["hash"].decode(), members.get("kind"), members.get("at"), digest, mac)


def _members(line: bytes) -> dict[str, object]:
    try:
        members = json.loads(line, object_pairs_hook=_reject_duplicate_keys)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise JournalError("it is not a JSON object")
    return members


def _reject_duplicate_keys(members: list[tuple[str, object]]) -> dict[str, object]:
    """Reject duplicate keys, of which two parsers may pick different ones."""
    unique = dict(members)
    if len(unique) != len(members):
        raise JournalError("it has duplicate keys")
    return unique


@dataclass(slots=True)
class Chain:
    """Verifies entries in order, from the first on."""

    seq: int = 0
    hash: str = FIRST_PREV
    set_back: list[tuple[int, int]] = field(default_factory=list)
    """Where the clock was set back: (number of the entry, seconds)."""
    _prev: str = ""
    _latest: int | None = None
    _first: dict[str, str] = field(default_factory=dict)
    """The file whose first entry has this `prev`."""

    def begin(self, entry: Entry, path: str) -> None:
        """Check the first entry of a file; `follow` must be called with it as well.

        Raises:
            JournalError: earlier files are missing, or the first entry of another file has the same predecessor.
        """
        if self.seq == 0 and entry.seq > 1:
            raise JournalError(f"it begins with entry {entry.seq}: the files before it are missing")
        twin = self._first.setdefault(entry.prev, path)
        if twin != path:
            raise JournalError(f"a fork: it and {twin} both follow entry {entry.seq - 1}")

    def follow(self, entry: Entry) -> None:
        """Verify that an entry follows the previous one.

        Raises:
            JournalError: it does not.
        """
        if entry.seq > self.seq + 1:
            raise JournalError(
                f"it has the number {entry.seq}: entries before it are missing, or the order was changed"
            )
        if entry.prev == self._prev:
            raise JournalError("a fork, or a repeated entry: it has the same predecessor as the entry before it")
        if entry.seq <= self.seq:
            raise JournalError(f"it has the number {entry.seq} again: a fork, or the order was changed")
        if entry.prev != self.hash:
            raise JournalError("it does not follow the entry before it")
        self.seq, self.hash, self._prev = entry.seq, entry.hash, entry.prev
        self._check_clock(entry.at)

    def _check_clock(self, at: object) -> None:
        """Record a clock that was set back.

        This is no forgery, since the chain determines the order, but a query by time may be incomplete.
        """
        if type(at) is not int:
            return
        if self._latest is None or at >= self._latest:
            self._latest = at
        elif at < self._latest - CLOCK_TOLERANCE_S:
            self.set_back.append((self.seq, self._latest - at))
            self._latest = at
