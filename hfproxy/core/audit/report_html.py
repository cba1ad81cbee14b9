"""Renders the journal report as a self-contained HTML page: no scripts, no external resources, all texts escaped.

The names of labels, programs and repositories are chosen by the programs under report, so the page's
Content-Security-Policy forbids scripts as well: a mistake in the escaping would affect the layout only.
"""

from html import escape
from typing import Final

from hfproxy.core.audit.report import Activity, GrantActivity, JournalReport, Tally
from hfproxy.core.audit.report_svg import COLOURS, chart_rows, render_svg, utc

STYLE: Final = """
body{font:14px/1.5 system-ui,sans-serif;color:#1d2630;max-width:1160px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.2em;margin-top:2em;border-bottom:2px solid #dfe5ea}
h3{font-size:1em;margin:1.6em 0 .2em;overflow-wrap:anywhere}p{margin:.3em 0}
table{border-collapse:collapse;width:100%;margin:.4em 0}
th,td{text-align:left;padding:.2em .7em .2em 0;border-bottom:1px solid #eceff2;vertical-align:top}
th{color:#667;font-weight:600;font-size:.85em}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td:first-child{overflow-wrap:anywhere}.quiet{color:#667}.key span{margin-right:1.2em}
.dot{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin-right:.4em;vertical-align:-.05em}
svg{width:100%;height:auto;border:1px solid #eceff2;border-radius:4px;margin-top:.5em}
"""
CSP: Final = "default-src 'none'; style-src 'unsafe-inline'"
COUNTS: Final = ("read", "changed", "secrets_set", "anonymous", "refused", "failed", "bytes_up", "bytes_down")
HEADINGS: Final = {"secrets_set": "secrets set", "anonymous": "without token", "bytes_up": "up", "bytes_down": "down"}


def render_html(report: JournalReport) -> str:
    """Return the whole HTML document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}"><meta name="referrer" content="no-referrer">'
        f"<title>hf-proxy: what was accessed</title><style>{STYLE}</style></head><body>"
        f"<h1>What was accessed</h1><p>{_span(report)}</p>{_picture(report)}"
        f"<h2>Accounts</h2>{''.join(_account(report, *account) for account in sorted(report.accounts.items()))}"
        f"<h2>Grants</h2>{''.join(map(_grant, report.grants.values()))}"
        f"<h2>Other events</h2>{_events(report)}{_unidentified(report)}</body></html>\n"
    )


def _span(report: JournalReport) -> str:
    if report.first is None:
        return "The journal holds no entries of this period."
    return f"From {_moment(report.first)} to {_moment(report.last)}, all times UTC."


def _picture(report: JournalReport) -> str:
    picture = render_svg(report)
    if not picture:
        return ""
    key = "".join(
        f'<span><i class="dot" style="background:{colour}"></i>{_heading(column)}</span>'
        for column, colour in COLOURS.items()
    )
    undrawn = len(report.grants) - len(chart_rows(report))
    more = f'<p class="quiet">{undrawn} grants that did less are not drawn.</p>' if undrawn else ""
    return f'<p class="key">{key}</p>{picture}{more}'


def _account(report: JournalReport, name: str, activity: Activity) -> str:
    programs = ", ".join(report.programs(name)) or "unknown programs"
    return f"<h3>{escape(name)}</h3><p>Used by {escape(programs)}.</p>{_places(activity)}"


def _grant(grant: GrantActivity) -> str:
    title = " ".join(filter(None, (grant.id, grant.program, grant.label and f"“{grant.label}”")))
    life = [
        f"account {grant.account}",
        f"minted {_moment(grant.minted_at)}" if grant.minted_at is not None else "minted before this journal",
        f"{grant.ended} {_moment(grant.ended_at)}" if grant.ended else "no end is recorded",
        *([f"narrowed from {grant.parent}"] if grant.parent else []),
    ]
    could = ", ".join(grant.scopes) or "not recorded"
    return (
        f'<h3>{escape(title)}</h3><p class="quiet">{escape("; ".join(life))}</p>'
        f"<p>Could: {escape(could)}</p>{_places(grant.activity)}"
    )


def _places(activity: Activity) -> str:
    if not activity.places:
        return '<p class="quiet">It sent no requests.</p>'
    head = "".join(f'<th class="n">{_heading(count)}</th>' for count in COUNTS)
    rows = "".join(_line(place, tally) for place, tally in sorted(activity.places.items()))
    total = _line("total", activity.total)
    return f"<table><tr><th>where</th>{head}<th>first</th><th>last</th></tr>{rows}{total}</table>"


def _line(place: str, tally: Tally) -> str:
    counts = "".join(f'<td class="n">{_count(count, getattr(tally, count))}</td>' for count in COUNTS)
    return f"<tr><td>{escape(place)}</td>{counts}<td>{_moment(tally.first)}</td><td>{_moment(tally.last)}</td></tr>"


def _count(column: str, number: int) -> str:
    """Format a number: zero as an empty text, bytes with a decimal unit prefix."""
    if not column.startswith("bytes") or number < 1000:
        return str(number or "")
    power = min((len(str(number)) - 1) // 3, 4)
    return f"{number / 1000**power:.1f} {' kMGT'[power]}B"


def _events(report: JournalReport) -> str:
    rows = "".join(
        f"<tr><td>{_moment(at)}</td><td>{escape(kind)}</td><td>{escape(account)}</td></tr>"
        for at, kind, account in report.events
    )
    return f"<table>{rows}</table>" if rows else '<p class="quiet">None.</p>'


def _unidentified(report: JournalReport) -> str:
    counts = ", ".join(f"{count} {escape(refusal)}" for refusal, count in sorted(report.unidentified.items()))
    return f"<p>Refused without a known credential: {counts}.</p>" if counts else ""


def _heading(column: str) -> str:
    return HEADINGS.get(column, column)


def _moment(at: int | None) -> str:
    return "" if at is None else utc(at, "%Y-%m-%d %H:%M:%S")
