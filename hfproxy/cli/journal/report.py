"""`audit report`: summarize from the journal what was accessed, and what could have been."""

import os
import time
from dataclasses import asdict

from hfproxy.cli.journal.entries import all_entries
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.progress import CountingIterator, show_progress
from hfproxy.cli.ui.render import local_time, show, show_json, show_table
from hfproxy.config import parse_duration
from hfproxy.core.audit.report import Activity, GrantActivity, JournalReport, Tally, summarize
from hfproxy.core.audit.report_html import COUNTS, render_html
from hfproxy.errors import HFProxyError

SYNTAX = CommandSpec(
    "audit report",
    "Summarize the journal: the reads, writes and refusals of each account and grant, by place, time and program.",
    ("--since", "TIME", "only the last 90s, 15m, 1h, 2d"),
    ("--json", "", "as one object"),
    ("--html", "FILE", "as a self-contained page with a chart"),
)

HEADINGS = ("WHERE", "READ", "CHANGED", "SECRETS", "NO TOKEN", "REFUSED", "FAILED", "UP", "DOWN", "FIRST", "LAST")


def run(words: list[str]) -> int:
    """Print or write the report.

    Raises:
        UsageError: an argument is malformed.
        HFProxyError: the file cannot be written, or the daemon cannot be reached or refuses.
    """
    arguments = SYNTAX.read(words)
    since, file = arguments.text("--since"), arguments.text("--html")
    if file is not None and arguments.switch("--json"):
        raise SYNTAX.usage_error("--json and --html exclude each other")
    begin = None if since is None else int(time.time()) - parse_duration(since)
    # The whole journal, since the terms of a grant are in the entry of its minting.
    journal = CountingIterator(all_entries())
    with show_progress("reading the journal", lambda: f"{journal.count} entries"):
        report = summarize(journal, begin)
    if file is not None:
        _write(file, render_html(report))
        show(f"written: {file}")
    elif arguments.switch("--json"):
        show_json(_as_json(report))
    else:
        _show(report)
    return 0


def _write(file: str, text: str) -> None:
    """Write the file with mode 0600, since the report names private repositories."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as target:
            target.write(text)
    except OSError as error:
        raise HFProxyError(f"{file} cannot be written ({error.strerror}); name another: --html FILE") from None


def _as_json(report: JournalReport) -> dict[str, object]:
    return {
        "since": report.since,
        "first": report.first,
        "last": report.last,
        "accounts": [
            {"account": name, "programs": report.programs(name), **_activity_as_json(activity)}
            for name, activity in sorted(report.accounts.items())
        ],
        "grants": [_grant_as_json(grant) for grant in report.grants.values()],
        "events": [{"at": at, "kind": kind, "account": account} for at, kind, account in report.events],
        "strangers": dict(report.unidentified),
    }


def _grant_as_json(grant: GrantActivity) -> dict[str, object]:
    return {
        "grant": grant.id,
        "account": grant.account,
        "program": grant.program,
        "label": grant.label,
        "parent": grant.parent,
        "scopes": list(grant.scopes),
        "minted_at": grant.minted_at,
        "ended_at": grant.ended_at,
        "ended": grant.ended,
        **_activity_as_json(grant.activity),
    }


def _activity_as_json(activity: Activity) -> dict[str, object]:
    places = [{"place": place, **asdict(tally)} for place, tally in sorted(activity.places.items())]
    return {"total": asdict(activity.total), "actions": dict(activity.actions), "places": places}


def _show(report: JournalReport) -> None:
    if report.first is None:
        show("the journal holds no entries of this period")
        return
    show(f"from {local_time(report.first)} to {local_time(report.last)}")
    for name, activity in sorted(report.accounts.items()):
        _show_activity(f"account {name}, used by {', '.join(report.programs(name)) or 'unknown programs'}", activity)
    for grant in report.grants.values():
        _show_activity(_title(grant), grant.activity)
    for at, kind, account in report.events:
        show(f"{local_time(at)} {kind} {account}".rstrip())
    for refusal, count in sorted(report.unidentified.items()):
        show(f"refused without a known credential: {count} {refusal}")


def _title(grant: GrantActivity) -> str:
    name = " ".join(filter(None, (grant.id, grant.program, grant.label)))
    end = f"{grant.ended or 'no end is recorded'} {local_time(grant.ended_at)}".rstrip()
    life = f"minted {local_time(grant.minted_at)}, {end}"
    return f"grant {name} (account {grant.account}; {life}) could: {', '.join(grant.scopes) or 'not recorded'}"


def _show_activity(title: str, activity: Activity) -> None:
    show("")
    show(title)
    if activity.places:
        show_table(HEADINGS, [_row(place, tally) for place, tally in sorted(activity.places.items())])
    else:
        show("it sent no requests")


def _row(place: str, tally: Tally) -> tuple[object, ...]:
    counts = (getattr(tally, name) or None for name in COUNTS)
    return place, *counts, local_time(tally.first), local_time(tally.last)
