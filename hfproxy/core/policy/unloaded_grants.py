"""Grants persisted by an earlier daemon and not loaded yet.

A daemon may start with a hundred thousand grants and use a few of them. Only the fields needed to find, count and
expire a grant are in memory (`GrantSummary`); the caller reads the rest from its store when the grant is first asked
for, and hands it to the broker (`Broker.load`). Nothing here reads anything.
"""

from collections import Counter, deque
from collections.abc import Iterable
from itertools import takewhile
from operator import attrgetter
from typing import NamedTuple


class GrantSummary(NamedTuple):
    """The fields of a grant that are known before it is loaded.

    Attributes:
        id: The grant's id, 16 hexadecimal digits.
        expires_at: Seconds since the epoch.
        parent: The id of the grant it was minted from; None: of none.
        uid: The user who owns it.
        pid: The process it is bound to; None: to none.
    """

    id: str
    expires_at: int
    parent: str | None
    uid: int
    pid: int | None


class UnloadedGrants:
    """Summaries of unloaded grants, indexed by id, by parent and by expiry."""

    def __init__(self, summaries: Iterable[GrantSummary] = ()) -> None:
        """Index `summaries`, which are in the order of minting, oldest first."""
        self._by_id = {summary.id: summary for summary in summaries}
        # Never edited in the middle: entries of grants that were loaded meanwhile are skipped, and dropped at the left.
        self._by_expiry = deque(sorted(self._by_id.values(), key=attrgetter("expires_at")))
        self._children: dict[str, list[str]] = {}
        for summary in self._by_id.values():
            if summary.parent is not None:
                self._children.setdefault(summary.parent, []).append(summary.id)
        self._per_user = Counter(summary.uid for summary in self._by_id.values())

    def __contains__(self, grant_id: str) -> bool:
        return grant_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all unloaded grants, oldest first."""
        return tuple(self._by_id)

    def count(self, uid: int | None) -> int:
        """Return the number of unloaded grants of one user; of all users for None."""
        return len(self._by_id) if uid is None else self._per_user[uid]

    def lineage(self, grant_id: str) -> tuple[str, ...]:
        """Return the ids of a grant and of its ancestors up to the first that is loaded or unknown, topmost first."""
        line: list[str] = []
        summary = self._by_id.get(grant_id)
        while summary is not None:
            line.append(summary.id)
            summary = None if summary.parent is None else self._by_id.get(summary.parent)
        return tuple(reversed(line))

    def children(self, grant_id: str) -> tuple[str, ...]:
        """Return the ids of the unloaded grants minted from one, whether that one is loaded or not."""
        return tuple(child for child in self._children.get(grant_id, ()) if child in self._by_id)

    def due(self, at: int) -> tuple[str, ...]:
        """Return the ids of the unloaded grants that have expired at this second, the first to expire first."""
        while self._by_expiry and self._by_expiry[0].id not in self._by_id:
            self._by_expiry.popleft()
        if not self._by_expiry or at < self._by_expiry[0].expires_at:
            return ()
        expired = takewhile(lambda summary: at >= summary.expires_at, self._by_expiry)
        return tuple(summary.id for summary in expired if summary.id in self._by_id)

    def pop(self, grant_id: str) -> GrantSummary | None:
        """Remove a grant that is being loaded, for good; returns its summary, None if it is not among these."""
        summary = self._by_id.pop(grant_id, None)
        if summary is not None:
            self._per_user[summary.uid] -= 1
        return summary
