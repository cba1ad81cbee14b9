"""Who wrote the journal's entries: which carry a MAC, which may lack one, and what the key's holder says of them.

The key never leaves the daemon. It is asked about many entries at once, and says yes or no.
"""

from collections.abc import Callable

from hfproxy.cli.journal.chain import Entry
from hfproxy.errors import JournalError

# (digest, MAC) of entries -> for each whether it fits; None: it cannot be said any more.
Ask = Callable[[list[tuple[str, str]]], list[bool] | None]

BATCH = 1000
SHOWN_RANGES = 5
LOCKED = frozenset({"lock", "lockdown"})


class RangeSet:
    """Numbers in ascending order, kept as ranges."""

    def __init__(self) -> None:
        self.count = 0
        self._ranges: list[list[int]] = []

    def add(self, number: int) -> None:
        """One more, greater than all before."""
        self.count += 1
        if self._ranges and self._ranges[-1][1] == number - 1:
            self._ranges[-1][1] = number
        else:
            self._ranges.append([number, number])

    def __str__(self) -> str:
        shown = [str(a) if a == b else f"{a}-{b}" for a, b in self._ranges[:SHOWN_RANGES]]
        return ", ".join([*shown, *(["..."] if len(self._ranges) > SHOWN_RANGES else [])])


class MacChecker:
    """Takes entries in order.

    An entry may lack a MAC where the daemon had no key: before the first that carries one, from a start of the daemon
    or a lock until the vault was opened (what happened at the moment of the lock may still carry one). A MAC that is
    missing somewhere else was taken off.
    """

    def __init__(self, key: str, ask: Ask) -> None:
        """`key` is the name of the key that can be asked about; "": there is none."""
        self.key, self._ask = key, ask
        self.fitting = 0
        self.without, self.foreign = RangeSet(), RangeSet()
        self._may_lack, self._is_closing = True, False
        self._waiting: list[tuple[str, Entry]] = []

    def take(self, entry: Entry, path: str) -> None:
        """One more entry.

        Raises:
            JournalError: it lacks a MAC that it must have had, or one so far carries a wrong one; names that one.
        """
        if not self._is_in_order(entry):
            raise JournalError(f"{path}: entry {entry.seq} is wrong: it lacks its MAC: it was taken off, or never made")
        if not entry.mac:
            self.without.add(entry.seq)
        elif self.key and entry.mac.startswith(f"{self.key}:"):
            self._waiting.append((path, entry))
            if len(self._waiting) >= BATCH:
                self.flush()
        else:
            self.foreign.add(entry.seq)

    def flush(self) -> None:
        """Have those that wait judged; raises as `take`."""
        waiting, self._waiting = self._waiting, []
        answers = self._ask([(entry.digest, entry.mac) for _, entry in waiting]) if waiting else []
        if answers is None:
            self.key = ""
            return
        for (path, entry), fits in zip(waiting, answers, strict=True):
            if not fits:
                raise JournalError(f"{path}: entry {entry.seq} is wrong: its MAC does not fit: another hand wrote it")
        self.fitting += len(waiting)

    def _is_in_order(self, entry: Entry) -> bool:
        """Whether it carries a MAC, or has a reason to lack it."""
        carries, before = bool(entry.mac), self._may_lack
        if entry.kind == "started" or entry.kind in LOCKED:
            self._may_lack, self._is_closing = True, carries and entry.kind != "started"
        elif not carries:
            self._is_closing = False
        elif not self._is_closing or entry.kind == "unlock":
            self._may_lack = self._is_closing = False
        return carries or before or entry.kind == "started"
