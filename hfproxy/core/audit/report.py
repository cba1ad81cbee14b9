"""Summarizes the journal: the places accessed by each account and each grant, and the access that was granted.

A request is counted when it was decided, its bytes when it was completed. `read` and `changed` were forwarded with the
account's token, `anonymous` without it, `refused` not at all. A request with several needs counts at each place it
touched.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from hfproxy.core.audit.chain import EventKind
from hfproxy.core.policy.access import Action, RepoType

Entry = Mapping[str, object]
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
# Events that concern an account as a whole.
ACCOUNT_EVENTS: Final = frozenset(
    {EventKind.LOGIN, EventKind.LOGOUT, EventKind.ROTATED, EventKind.LOCKDOWN, EventKind.REVOKED_UPSTREAM}
)
END_EVENTS: Final = frozenset({EventKind.REVOKED, EventKind.EXPIRED})
MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class TouchedPlace:
    """One action on one place: `TYPE/ns/name`, a namespace, or "" if the request names no place."""

    action: str
    place: str

    @property
    def namespace(self) -> str:
        """The place's namespace in lower case; "" if there is none."""
        first, *rest = self.place.lower().split("/")
        return (rest[0] if rest else "") if first in set(RepoType) else first


@dataclass(slots=True)
class Tally:
    """Numbers of requests and bytes, and the times of the first and last request in seconds since the epoch."""

    read: int = 0
    changed: int = 0
    secrets_set: int = 0
    anonymous: int = 0
    refused: int = 0
    failed: int = 0  # forwarded, and then refused by the Hub or aborted
    bytes_up: int = 0
    bytes_down: int = 0
    first: int | None = None
    last: int | None = None

    def count(self, column: str, at: int) -> None:
        """Count a request in `read`, `changed`, `secrets_set`, `anonymous` or `refused`."""
        setattr(self, column, getattr(self, column) + 1)
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)

    def complete(self, entry: Entry) -> None:
        """Add the bytes and the status of a completed request."""
        self.bytes_up += _number(entry.get("bytes_up"))
        self.bytes_down += _number(entry.get("bytes_down"))
        self.failed += not 0 < _number(entry.get("status")) < 400


@dataclass(slots=True)
class Activity:
    """The activity of a grant, or of an account with all its grants.

    Attributes:
        total: the sum.
        places: the tally of each place.
        actions: requests by action.
        minutes: requests by (minute since the epoch, column of the tally).
        grants: the ids of the grants.
    """

    total: Tally = field(default_factory=Tally)
    places: dict[str, Tally] = field(default_factory=dict)
    actions: Counter[str] = field(default_factory=Counter)
    minutes: Counter[tuple[int, str]] = field(default_factory=Counter)
    grants: set[str] = field(default_factory=set)

    def decided(self, entry: Entry) -> None:
        """Count a request that was allowed or refused."""
        at, places = _at(entry), touched_places(entry)
        self.grants.add(_text(entry.get("grant")))
        self.total.count(_tally_column(entry, places[0].action), at)
        self.minutes[at // MINUTE_S, _tally_column(entry, places[0].action)] += 1
        for place in places:
            self.actions[place.action] += 1
            self._tally(place).count(_tally_column(entry, place.action), at)

    def completed(self, entry: Entry) -> None:
        """Add a completed request's bytes to the total, and to the first place it touched."""
        self.total.complete(entry)
        self._tally(touched_places(entry)[0]).complete(entry)

    def _tally(self, place: TouchedPlace) -> Tally:
        return self.places.setdefault(place.place or f"({place.action or 'of no repository'})", Tally())


@dataclass(slots=True)
class GrantActivity:
    """The journal's record of a grant: its terms, its life and its activity; `ended` is the kind of its end."""

    id: str
    account: str = ""
    program: str = ""
    label: str = ""
    parent: str = ""
    scopes: tuple[str, ...] = ()
    minted_at: int | None = None
    ended_at: int | None = None
    ended: str = ""
    activity: Activity = field(default_factory=Activity)


@dataclass(slots=True)
class JournalReport:
    """The summary of the journal over a period.

    Attributes:
        since: the start of the period; None: the start of the journal.
        first: the time of the first event in the period.
        last: the time of the last event.
        grants: the grants by id.
        accounts: the activity of each account by name.
        events: (time, kind, account) of events that concern an account as a whole.
        unidentified: requests refused without a known credential, by refusal.
    """

    since: int | None
    first: int | None = None
    last: int | None = None
    grants: dict[str, GrantActivity] = field(default_factory=dict)
    accounts: dict[str, Activity] = field(default_factory=dict)
    events: list[tuple[int, str, str]] = field(default_factory=list)
    unidentified: Counter[str] = field(default_factory=Counter)

    def programs(self, account: str) -> list[str]:
        """Return the programs that sent requests with credentials of the account, sorted."""
        using = (self.grants[grant].program for grant in self.accounts[account].grants if grant in self.grants)
        return sorted({program for program in using if program})


def summarize(entries: Iterable[Entry], since: int | None = None) -> JournalReport:
    """Summarize journal entries in the shape of `hf-proxy audit --json`, oldest first.

    With `since` (seconds since the epoch), requests before that time are left out, and grants that had ended by then.
    The entries must be those of the whole journal all the same, since the terms of a grant are in its first entry.
    """
    report = JournalReport(since)
    for entry in entries:
        _add(report, entry)
    if since is not None:
        ended = [grant.id for grant in report.grants.values() if grant.ended_at is not None and grant.ended_at < since]
        for grant_id in ended:
            del report.grants[grant_id]
    return report


def touched_places(entry: Entry) -> tuple[TouchedPlace, ...]:
    """Return the places a request touched, at least one: from `needs` if present, else from `action` and `repo`."""
    needs = entry.get("needs")
    if isinstance(needs, list) and needs:
        return tuple(TouchedPlace(*str(need).partition(":")[::2]) for need in needs)
    return (TouchedPlace(_text(entry.get("action")), _text(entry.get("repo"))),)


def _add(report: JournalReport, entry: Entry) -> None:
    kind, at = _text(entry.get("kind")), _at(entry)
    if kind == EventKind.MINTED:
        _add_minted(report, entry)
    elif kind in END_EVENTS:
        grant = _grant(report, entry)
        grant.ended_at, grant.ended = at, kind
    if report.since is not None and at < report.since:
        return
    # Minimum and maximum, since the clock may have been set back.
    report.first = at if report.first is None else min(report.first, at)
    report.last = at if report.last is None else max(report.last, at)
    if kind in ACCOUNT_EVENTS:
        report.events.append((at, kind, _text(entry.get("account"))))
    elif kind == EventKind.DENIED_UNKNOWN:
        report.unidentified[_text(entry.get("refusal"))] += _number(entry.get("count"))
    elif kind in {EventKind.DECIDED, EventKind.COMPLETED} and entry.get("grant"):
        grant = _grant(report, entry)
        # The request may have used the token of another account than the grant's own.
        name = _text(entry.get("account")) or grant.account
        for activity in (grant.activity, report.accounts.setdefault(name, Activity())):
            (activity.decided if kind == EventKind.DECIDED else activity.completed)(entry)


def _add_minted(report: JournalReport, entry: Entry) -> None:
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
    """Return the column of the tally to count in. Reading settings, or the names of secrets, counts as `read`."""
    decision = _text(entry.get("decision"))
    if decision in {"deny", "anonymous"}:
        return "refused" if decision == "deny" else "anonymous"
    if action in {Action.READ, ""} or (action != Action.WRITE and _text(entry.get("method")) in SAFE_METHODS):
        return "read"
    return "secrets_set" if action == Action.SECRETS else "changed"


def _at(entry: Entry) -> int:
    return _number(entry.get("at"))


def _number(value: object) -> int:
    return value if type(value) is int else 0


def _text(value: object) -> str:
    return "" if value is None else str(value)
