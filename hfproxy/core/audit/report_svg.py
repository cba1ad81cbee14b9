"""Renders the journal report as a chart: one row per grant, with a bar for its lifetime and marks for its requests.

The SVG is meant for embedding in a page: no scripts, no external styles, all texts escaped.
"""

from collections import Counter
from datetime import UTC, datetime
from html import escape
from typing import Final

from hfproxy.core.audit.report import MINUTE_S, GrantActivity, JournalReport

WIDTH: Final = 1100
LEFT: Final = 260
ROW: Final = 22
HEAD: Final = 34
# Only the grants with the most requests are drawn.
MAX_ROWS: Final = 60
SLOTS: Final = 160
TICKS: Final = 6
# In drawing order: the most important marks are on top.
COLOURS: Final = {
    "anonymous": "#a8b3bf",
    "read": "#3b82c4",
    "refused": "#e0a020",
    "changed": "#c2334d",
    "secrets_set": "#7a2aa8",
}


def render_svg(report: JournalReport) -> str:
    """Return the SVG; "" if there is nothing to draw."""
    grants = chart_rows(report)
    if report.first is None or report.last is None or not grants:
        return ""
    scale = _Scale(report.first, report.last)
    height = HEAD + ROW * len(grants) + 8
    rows = "".join(_row(grant, HEAD + ROW * number, scale) for number, grant in enumerate(grants))
    events = "".join(_event(*event, scale, height) for event in report.events)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="When which grant did what" font-family="sans-serif" font-size="11">'
        f"{_ticks(scale, height)}{events}{rows}</svg>"
    )


def chart_rows(report: JournalReport) -> list[GrantActivity]:
    """Return the grants that are drawn, the oldest first."""
    busiest = sorted(report.grants.values(), key=lambda grant: -sum(grant.activity.minutes.values()))[:MAX_ROWS]
    return sorted(busiest, key=lambda grant: grant.minted_at or 0)


class _Scale:
    """Maps times to x coordinates."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, max(last, first + MINUTE_S)

    def x(self, at: int) -> float:
        share = (min(max(at, self.first), self.last) - self.first) / (self.last - self.first)
        return round(LEFT + share * (WIDTH - LEFT - 20), 1)


def _row(grant: GrantActivity, y: int, scale: _Scale) -> str:
    begin, end = scale.x(grant.minted_at or scale.first), scale.x(grant.ended_at or scale.last)
    middle = y + ROW / 2
    name = " ".join(filter(None, (grant.id[:8], grant.program, grant.label)))
    return (
        f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end" fill="#222">{_short(name, 38)}</text>'
        f'<rect x="{begin}" y="{y + 4}" width="{max(end - begin, 2):.1f}" height="{ROW - 8}" rx="2" fill="#dfe5ea"/>'
        f"{_marks(grant, middle, scale)}"
    )


def _marks(grant: GrantActivity, y: float, scale: _Scale) -> str:
    """Draw at most one mark per slot and column, larger for more requests."""
    slots: Counter[tuple[int, str]] = Counter()
    width = (scale.last - scale.first) / SLOTS
    for (minute, column), count in grant.activity.minutes.items():
        slots[int((min(max(minute * MINUTE_S, scale.first), scale.last) - scale.first) / width), column] += count
    order = list(COLOURS)
    return "".join(
        f'<circle cx="{scale.x(scale.first + int(slot * width))}" cy="{y}" r="{2.5 + min(len(str(count)), 4)}"'
        f' fill="{COLOURS[column]}"><title>{count} {column.replace("_", " ")}</title></circle>'
        for (slot, column), count in sorted(slots.items(), key=lambda item: order.index(item[0][1]))
    )


def _event(at: int, kind: str, account: str, scale: _Scale, height: int) -> str:
    x, colour = scale.x(at), "#c2334d" if kind == "lockdown" else "#5b7083"
    title = escape(f"{kind} {account}".strip())
    return (
        f'<line x1="{x}" y1="{HEAD - 6}" x2="{x}" y2="{height}" stroke="{colour}" stroke-dasharray="3 3">'
        f"<title>{title}</title></line>"
    )


def _ticks(scale: _Scale, height: int) -> str:
    moments = [scale.first + (scale.last - scale.first) * number // TICKS for number in range(TICKS + 1)]
    form = "%H:%M" if scale.last - scale.first < 86_400 else "%d %b %H:%M"
    return "".join(
        f'<line x1="{scale.x(at)}" y1="{HEAD - 6}" x2="{scale.x(at)}" y2="{height}" stroke="#eceff2"/>'
        f'<text x="{scale.x(at)}" y="{HEAD - 14}" text-anchor="middle" fill="#667">'
        f"{utc(at, form)}</text>"
        for at in moments
    )


def utc(at: int, form: str) -> str:
    """Format a time in UTC; a time outside the calendar, as in a damaged journal, is returned as a number."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return str(at)


def _short(text: str, limit: int) -> str:
    return escape(text if len(text) <= limit else text[: limit - 1] + "…")
