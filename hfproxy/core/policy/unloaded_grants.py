"""Grants of an earlier daemon that nobody has asked for yet: known by what must be known before.

A daemon that has a hundred thousand grants uses a few. The others are asleep: when they end, whose they are and what
they were minted from is here, and the rest is read when one is first asked for (`core.broker`).
"""

from collections import Counter, deque
from collections.abc import Iterable
from itertools import takewhile
from operator import attrgetter
from typing import NamedTuple


class GrantSummary(NamedTuple):
    """What has to be known of a grant that is not read yet. `pid`: the process that it is bound to."""

    id: str
    expires_at: int
    parent: str | None
    uid: int
    pid: int | None


class UnloadedGrants:
    """Briefs, found by id, by parent and by end."""

    def __init__(self, briefs: Iterable[GrantSummary] = ()) -> None:
        """The oldest first."""
        self._by_id = {brief.id: brief for brief in briefs}
        self._by_end = deque(sorted(self._by_id.values(), key=attrgetter("expires_at")))
        self._below: dict[str, list[str]] = {}
        for brief in self._by_id.values():
            if brief.parent is not None:
                self._below.setdefault(brief.parent, []).append(brief.id)
        self._owned = Counter(brief.uid for brief in self._by_id.values())

    def __contains__(self, grant_id: str) -> bool:
        return grant_id in self._by_id

    def ids(self) -> tuple[str, ...]:
        """All of them, the oldest first."""
        return tuple(self._by_id)

    def count(self, uid: int | None) -> int:
        """How many are a user's; None: everybody's."""
        return len(self._by_id) if uid is None else self._owned[uid]

    def ancestors(self, grant_id: str) -> list[GrantSummary]:
        """One, what it was minted from, and so on up, as far as they are asleep."""
        found, brief = [], self._by_id.get(grant_id)
        while brief is not None:
            found.append(brief)
            brief = None if brief.parent is None else self._by_id.get(brief.parent)
        return found

    def children(self, grant_id: str) -> tuple[str, ...]:
        """What was minted from one, itself asleep or not."""
        return tuple(one for one in self._below.get(grant_id, ()) if one in self._by_id)

    def due(self, at: int) -> tuple[str, ...]:
        """Those that are over at this second, for as long as they are asleep."""
        while self._by_end and self._by_end[0].id not in self._by_id:
            self._by_end.popleft()
        if not self._by_end or at < self._by_end[0].expires_at:
            return ()
        first = takewhile(lambda brief: at >= brief.expires_at, self._by_end)
        return tuple(brief.id for brief in first if brief.id in self._by_id)

    def remove(self, grant_id: str) -> None:
        """It is not asleep any more, and will never be again."""
        self._owned[self._by_id.pop(grant_id).uid] -= 1
