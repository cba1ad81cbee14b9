"""`audit report`: what was accessed, and what could have been, from the journal."""

import os
import time
from dataclasses import asdict

from hfproxy.cli.journal.entries import all_entries
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.progress import CountingIterator, waiting
from hfproxy.cli.ui.render import local_time, show, show_json, show_table
from hfproxy.config import duration
from hfproxy.core.audit.report import GrantActivity, JournalReport, Subject, Tally, summarize
from hfproxy.core.audit.report_html import COUNTS, render_html
from hfproxy.errors import HFProxyError

SYNTAX = CommandSpec(
    "audit report",
    "Sum up the journal: for each account and each grant what was read, written and refused, where, when, by what.",
    ("--since", "TIME", "only the last 90s, 15m, 1h, 2d"),
    ("--json", "", "as one object"),
    ("--html", "FILE", "as a page with a picture, which needs nothing else to be looked at"),
)

HEADINGS = ("WHERE", "READ", "CHANGED", "SECRETS", "NO TOKEN", "REFUSED", "FAILED", "UP", "DOWN", "FIRST", "LAST")


def run(words: list[str]) -> int:
    """Raises as `client.ask`; HFProxyError also for a file that cannot be written."""
    arguments = SYNTAX.read(words)
    since, file = arguments.text("--since"), arguments.text("--html")
    if file is not None and arguments.switch("--json"):
        raise SYNTAX.usage_error("--json and --html exclude each other")
    begin = None if since is None else int(time.time()) - duration(since)
    # All of the journal: what a grant is was written down when it was minted.
    journal = CountingIterator(all_entries())
    with waiting("reading the journal", lambda: f"{journal.count} entries"):
        report = summarize(journal, begin)
    if file is not None:
        _write(file, render_html(report))
        show(f"written: {file}")
    elif arguments.switch("--json"):
        show_json(_as_json(report))
    else:
        _tell(report)
    return 0


def _write(file: str, text: str) -> None:
    """For nobody else to read: it names private repositories."""
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
            {"account": name, "programs": report.programs(name), **_did(did)}
            for name, did in sorted(report.accounts.items())
        ],
        "grants": [_plain_grant(grant) for grant in report.grants.values()],
        "events": [{"at": at, "kind": kind, "account": account} for at, kind, account in report.events],
        "strangers": dict(report.strangers),
    }


def _plain_grant(grant: GrantActivity) -> dict[str, object]:
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
        **_did(grant.did),
    }


def _did(did: Subject) -> dict[str, object]:
    places = [{"place": place, **asdict(tally)} for place, tally in sorted(did.places.items())]
    return {"total": asdict(did.total), "actions": dict(did.actions), "places": places}


def _tell(report: JournalReport) -> None:
    if report.first is None:
        show("the journal holds nothing of this time")
        return
    show(f"from {local_time(report.first)} to {local_time(report.last)}")
    for name, did in sorted(report.accounts.items()):
        _tell_holder(f"account {name}, used by {', '.join(report.programs(name)) or 'unknown programs'}", did)
    for grant in report.grants.values():
        _tell_holder(_title(grant), grant.did)
    for at, kind, account in report.events:
        show(f"{local_time(at)} {kind} {account}".rstrip())
    for refusal, count in sorted(report.strangers.items()):
        show(f"refused without a known credential: {count} {refusal}")


def _title(grant: GrantActivity) -> str:
    name = " ".join(filter(None, (grant.id, grant.program, grant.label)))
    end = f"{grant.ended or 'no end is recorded'} {local_time(grant.ended_at)}".rstrip()
    life = f"minted {local_time(grant.minted_at)}, {end}"
    return f"grant {name} (account {grant.account}; {life}) could: {', '.join(grant.scopes) or 'not recorded'}"


def _tell_holder(title: str, did: Subject) -> None:
    show("")
    show(title)
    if did.places:
        show_table(HEADINGS, [_row(place, tally) for place, tally in sorted(did.places.items())])
    else:
        show("it sent nothing")


def _row(place: str, tally: Tally) -> tuple[object, ...]:
    counts = (getattr(tally, name) or None for name in COUNTS)
    return place, *counts, local_time(tally.first), local_time(tally.last)
