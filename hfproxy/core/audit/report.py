"""What was accessed, and what could have been: the journal's entries summed up, for each account and each grant.

A request is counted when it was decided and its bytes when it was completed. `read` and `changed` went to the Hub with
the account's token, `anonymous` went without, `refused` did not go. A request that needed several things counts at each
place it touched.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from hfproxy.core.audit.chain import EventKind
from hfproxy.core.policy.access import Action, RepoType

Entry = Mapping[str, object]
SAFE: Final = frozenset({"GET", "HEAD"})
# What happened to accounts as a whole.
EVENTS: Final = frozenset(
    {EventKind.LOGIN, EventKind.LOGOUT, EventKind.ROTATED, EventKind.LOCKDOWN, EventKind.REVOKED_UPSTREAM}
)
ENDS: Final = frozenset({EventKind.REVOKED, EventKind.EXPIRED})
MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class TouchedPlace:
    """One action on one place: `TYPE/ns/name`, a namespace, or "" where none is named."""

    action: str
    place: str

    @property
    def namespace(self) -> str:
        """Whose it is, in lower case; "" where that is not said."""
        first, *rest = self.place.lower().split("/")
        return (rest[0] if rest else "") if first in set(RepoType) else first


@dataclass(slots=True)
class Tally:
    """How often, when and how much. Times in seconds since the epoch; None: never."""

    read: int = 0
    changed: int = 0
    secrets_set: int = 0
    anonymous: int = 0
    refused: int = 0
    failed: int = 0  # went to the Hub, and was refused there or broken off
    bytes_up: int = 0
    bytes_down: int = 0
    first: int | None = None
    last: int | None = None

    def count(self, what: str, at: int) -> None:
        """One more of `read`, `changed`, `secrets_set`, `anonymous` or `refused`."""
        setattr(self, what, getattr(self, what) + 1)
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)

    def complete(self, entry: Entry) -> None:
        """How a forwarded request ended."""
        self.bytes_up += _number(entry.get("bytes_up"))
        self.bytes_down += _number(entry.get("bytes_down"))
        self.failed += not 0 < _number(entry.get("status")) < 400


@dataclass(slots=True)
class Subject:
    """A grant, or an account with all its grants: in sum, at each place, and what happened in each minute."""

    total: Tally = field(default_factory=Tally)
    places: dict[str, Tally] = field(default_factory=dict)
    actions: Counter[str] = field(default_factory=Counter)
    minutes: Counter[tuple[int, str]] = field(default_factory=Counter)
    grants: set[str] = field(default_factory=set)

    def decided(self, entry: Entry) -> None:
        """Count a request that was allowed or refused."""
        at, met = _at(entry), touched_places(entry)
        self.grants.add(_text(entry.get("grant")))
        self.total.count(_tally_column(entry, met[0].action), at)
        self.minutes[at // MINUTE, _tally_column(entry, met[0].action)] += 1
        for touch in met:
            self.actions[touch.action] += 1
            self._place(touch).count(_tally_column(entry, touch.action), at)

    def completed(self, entry: Entry) -> None:
        """Add what passed, once, at the first place."""
        self.total.complete(entry)
        self._place(touched_places(entry)[0]).complete(entry)

    def _place(self, touch: TouchedPlace) -> Tally:
        return self.places.setdefault(touch.place or f"({touch.action or 'of no repository'})", Tally())


@dataclass(slots=True)
class GrantActivity:
    """What the journal says of a grant, and what was done by it. `ended` is how."""

    id: str
    account: str = ""
    program: str = ""
    label: str = ""
    parent: str = ""
    scopes: tuple[str, ...] = ()
    minted_at: int | None = None
    ended_at: int | None = None
    ended: str = ""
    did: Subject = field(default_factory=Subject)


@dataclass(slots=True)
class JournalReport:
    """All of it, between two moments."""

    since: int | None
    first: int | None = None
    last: int | None = None
    grants: dict[str, GrantActivity] = field(default_factory=dict)
    accounts: dict[str, Subject] = field(default_factory=dict)
    events: list[tuple[int, str, str]] = field(default_factory=list)
    strangers: Counter[str] = field(default_factory=Counter)

    def programs(self, account: str) -> list[str]:
        """What was run with credentials of an account and sent something."""
        using = (self.grants[grant].program for grant in self.accounts[account].grants if grant in self.grants)
        return sorted({program for program in using if program})


def summarize(entries: Iterable[Entry], since: int | None = None) -> JournalReport:
    """Sum up the journal, as `hf-proxy audit --json` gives it, oldest first.

    With `since` requests before that moment are left out, and grants that had ended by then; of those that had not, all
    of the journal is needed to know what they are.
    """
    report = JournalReport(since)
    for entry in entries:
        _take(report, entry)
    if since is not None:
        over = [one.id for one in report.grants.values() if one.ended_at is not None and one.ended_at < since]
        for grant_id in over:
            del report.grants[grant_id]
    return report


def touched_places(entry: Entry) -> tuple[TouchedPlace, ...]:
    """What a request needed, at least one: `needs` where the journal has them, else `action` and `repo`."""
    needs = entry.get("needs")
    if isinstance(needs, list) and needs:
        return tuple(TouchedPlace(*str(need).partition(":")[::2]) for need in needs)
    return (TouchedPlace(_text(entry.get("action")), _text(entry.get("repo"))),)


def _take(report: JournalReport, entry: Entry) -> None:
    kind, at = _text(entry.get("kind")), _at(entry)
    if kind == EventKind.MINTED:
        _minted(report, entry)
    elif kind in ENDS:
        grant = _grant(report, entry)
        grant.ended_at, grant.ended = at, kind
    if report.since is not None and at < report.since:
        return
    # A clock that was set back is no reason to end before the beginning.
    report.first = at if report.first is None else min(report.first, at)
    report.last = at if report.last is None else max(report.last, at)
    if kind in EVENTS:
        report.events.append((at, kind, _text(entry.get("account"))))
    elif kind == EventKind.DENIED_UNKNOWN:
        report.strangers[_text(entry.get("refusal"))] += _number(entry.get("count"))
    elif kind in {EventKind.DECIDED, EventKind.COMPLETED} and entry.get("grant"):
        grant = _grant(report, entry)
        # Another account's token may be spent than the grant's own.
        name = _text(entry.get("account")) or grant.account
        for holder in (grant.did, report.accounts.setdefault(name, Subject())):
            (holder.decided if kind == EventKind.DECIDED else holder.completed)(entry)


def _minted(report: JournalReport, entry: Entry) -> None:
    grant = _grant(report, entry)
    grant.account = _text(entry.get("account"))
    scopes = entry.get("scopes")
    grant.program, grant.label, grant.parent = (_text(entry.get(name)) for name in ("program", "label", "parent"))
    grant.scopes = tuple(map(str, scopes)) if isinstance(scopes, list) else ()
    grant.minted_at = _at(entry)


def _grant(report: JournalReport, entry: Entry) -> GrantActivity:
    grant_id = _text(entry.get("grant"))
    return report.grants.setdefault(grant_id, GrantActivity(grant_id, account=_text(entry.get("account"))))


def _tally_column(entry: Entry, action: str) -> str:
    """Which of a tally's counts. To look at settings, or at the names of secrets, is to read."""
    decision = _text(entry.get("decision"))
    if decision in {"deny", "anonymous"}:
        return "refused" if decision == "deny" else "anonymous"
    if action in {Action.READ, ""} or (action != Action.WRITE and _text(entry.get("method")) in SAFE):
        return "read"
    return "secrets_set" if action == Action.SECRETS else "changed"


def _at(entry: Entry) -> int:
    return _number(entry.get("at"))


def _number(value: object) -> int:
    return value if type(value) is int else 0


def _text(value: object) -> str:
    return "" if value is None else str(value)
