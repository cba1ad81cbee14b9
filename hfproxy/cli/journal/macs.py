"""Checks the MACs of the journal's entries: which entries must have one, and whether the daemon confirms them.

The key never leaves the daemon, which is asked about many entries at once, and answers yes or no for each.
"""

from collections.abc import Callable

from hfproxy.cli.journal.chain import Entry
from hfproxy.errors import JournalError

# (digest, MAC) of entries -> for each whether the MAC is right; None: the daemon can no longer be asked.
Ask = Callable[[list[tuple[str, str]]], list[bool] | None]

BATCH_SIZE = 1000
MAX_SHOWN_RANGES = 5
LOCK_EVENTS = frozenset({"lock", "lockdown"})


class RangeSet:
    """A set of numbers, stored as ranges; numbers are added in ascending order."""

    def __init__(self) -> None:
        self.count = 0
        self._ranges: list[list[int]] = []

    def add(self, number: int) -> None:
        """Add a number greater than all before."""
        self.count += 1
        if self._ranges and self._ranges[-1][1] == number - 1:
            self._ranges[-1][1] = number
        else:
            self._ranges.append([number, number])

    def __str__(self) -> str:
        ranges = [str(a) if a == b else f"{a}-{b}" for a, b in self._ranges[:MAX_SHOWN_RANGES]]
        return ", ".join([*ranges, *(["..."] if len(self._ranges) > MAX_SHOWN_RANGES else [])])


class MacChecker:
    """Checks the MACs of entries in order.

    An entry may lack a MAC if the daemon had no key: before the first entry with a MAC, and from a start of the daemon
    or a lock until the vault was opened (entries written during the lock may still have one). Anywhere else a missing
    MAC was removed.

    Attributes:
        key: the id of the daemon's key; "" if the daemon cannot be asked.
        fitting: the number of entries with a confirmed MAC.
        without: the numbers of entries without a MAC.
        foreign: the numbers of entries with the MAC of another key.
    """

    def __init__(self, key: str, ask: Ask) -> None:
        """Start a check; `key` is the id of the daemon's key ("": there is none), `ask` asks the daemon."""
        self.key, self._ask = key, ask
        self.fitting = 0
        self.without, self.foreign = RangeSet(), RangeSet()
        self._may_lack, self._is_closing = True, False
        self._pending: list[tuple[str, Entry]] = []

    def take(self, entry: Entry, path: str) -> None:
        """Check the next entry.

        Raises:
            JournalError: the entry lacks its MAC, or this or an earlier entry has a wrong one.
        """
        if not self._may_be_next(entry):
            raise JournalError(f"{path}: entry {entry.seq} is wrong: its MAC is missing: removed, or never made")
        if not entry.mac:
            self.without.add(entry.seq)
        elif self.key and entry.mac.startswith(f"{self.key}:"):
            self._pending.append((path, entry))
            if len(self._pending) >= BATCH_SIZE:
                self.flush()
        else:
            self.foreign.add(entry.seq)

    def flush(self) -> None:
        """Ask the daemon about the entries that wait for its answer.

        Raises:
            JournalError: an entry has a wrong MAC.
        """
        pending, self._pending = self._pending, []
        answers = self._ask([(entry.digest, entry.mac) for _, entry in pending]) if pending else []
        if answers is None:
            self.key = ""
            return
        for (path, entry), is_right in zip(pending, answers, strict=True):
            if not is_right:
                raise JournalError(f"{path}: entry {entry.seq} is wrong: its MAC is false: someone else wrote it")
        self.fitting += len(pending)

    def _may_be_next(self, entry: Entry) -> bool:
        """Return whether the entry has a MAC, or has a reason to lack it, and update the state."""
        has_mac, could_lack = bool(entry.mac), self._may_lack
        if entry.kind == "started" or entry.kind in LOCK_EVENTS:
            self._may_lack, self._is_closing = True, has_mac and entry.kind != "started"
        elif not has_mac:
            self._is_closing = False
        elif not self._is_closing or entry.kind == "unlock":
            self._may_lack = self._is_closing = False
        return has_mac or could_lack or entry.kind == "started"
