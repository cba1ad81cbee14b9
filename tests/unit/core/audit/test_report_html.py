"""The report as a page: whatever a program was called, it is text on it and nothing more."""

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfproxy.core.audit.report import summarize
from hfproxy.core.audit.report_html import render_html
from hfproxy.core.audit.report_svg import MAX_ROWS, chart_rows, render_svg

T = 1_800_000_000
HTML = "html head meta title style body h1 h2 h3 p table tr th td span i".split()
SVG = "svg text rect circle line title".split()
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "style", "xmlns", "viewbox", "role", "aria-label"),
    *("font-family", "font-size", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "width", "height", "fill"),
    *("stroke", "stroke-dasharray", "text-anchor"),
}


class Reader(HTMLParser):
    """What a browser would find: elements, attributes, and text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.values: list[str] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.add("!--")


def day(text: str) -> str:
    """A page in which everything that somebody else may name is called this."""
    about = {"grant": text or "g", "account": text}
    return render_html(
        summarize(
            [
                {"kind": "minted", "at": T, **about, "program": text, "label": text, "parent": text, "scopes": [text]},
                {"kind": "decided", "at": T + 5, **about, "decision": "allow", "action": text, "repo": text},
                {"kind": "decided", "at": T + 6, **about, "decision": "deny", "needs": [text, f"read:{text}"]},
                {"kind": "login", "at": T + 7, "account": text},
                {"kind": "denied_unknown", "at": T + 8, "refusal": text, "count": 1},
            ]
        )
    )


EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></text></svg></style><script>alert(1)</script>",
    "<!--",
    "--><script>",
    "]]><script>",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "\x00\x1b]0;x\x07<svg/onload=alert(1)>",
    "‮<b>",
]


@pytest.mark.parametrize("text", EVIL)
def test_nothing_that_was_named_becomes_markup(text: str) -> None:
    read = Reader(day(text))
    assert read.tags <= {*HTML, *SVG}
    assert read.attributes <= ATTRIBUTES
    assert "could" in read.text.lower()


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'/=- \nabscript!"), max_size=40))
def test_nor_does_anything_else(text: str) -> None:
    read = Reader(day(text))
    assert read.tags <= {*HTML, *SVG}
    assert read.attributes <= ATTRIBUTES


def test_the_names_are_there_to_be_read() -> None:
    text = "</svg><script>alert('x') & \"y\"</script>"
    assert text in Reader(day(text)).text


def test_the_page_needs_nothing_and_lets_nothing_run() -> None:
    document = day("x")
    read = Reader(document)
    assert "default-src 'none'; style-src 'unsafe-inline'" in read.values
    assert not {"src", "href", "action", "data"} & read.attributes
    assert "url(" not in document
    assert "@import" not in document


def test_the_picture_has_a_row_for_each_grant_up_to_a_number_and_says_what_is_left_out() -> None:
    entries = [
        {"kind": "decided", "at": T + number, "grant": f"g{number}", "decision": "allow", "action": "read"}
        for number in range(MAX_ROWS + 5)
    ]
    report = summarize([*entries, {**entries[-1], "at": T + 100}])
    assert len(chart_rows(report)) == MAX_ROWS
    assert f"g{MAX_ROWS + 4}" in [grant.id for grant in chart_rows(report)], "the busiest is drawn"
    assert "5 grants that did less are not drawn" in render_html(report)


@pytest.mark.parametrize("ats", [[T], [T, T], [T, T + 400 * 86_400], [0, 10**15], [T + 5, T]], ids=str)
def test_marks_are_on_the_paper_whatever_the_times_are(ats: list[int]) -> None:
    report = summarize(
        [{"kind": "decided", "at": at, "grant": "g", "decision": "allow", "action": "write"} for at in ats]
    )
    places = [float(part.partition('"')[0]) for part in render_svg(report).split('cx="')[1:]]
    assert places
    assert all(0 <= place <= 1100 for place in places)


def test_an_empty_journal_is_a_page_too() -> None:
    assert "holds no entries" in render_html(summarize([]))
    assert render_svg(summarize([])) == ""


def cells(document: str) -> list[list[str]]:
    """The text of every table cell, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", document)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


class TestContent:
    """The words and numbers of the page."""

    ENTRIES = [
        {"kind": "minted", "at": T, "grant": "g", "account": "default", "program": "git", "scopes": ["read", "write:me/a"]},
        {"kind": "minted", "at": T + 1, "grant": "h", "account": "default", "parent": "g", "label": "nightly"},
        {"kind": "decided", "at": T + 5, "grant": "g", "decision": "allow", "action": "read", "repo": "models/me/b"},
        {"kind": "completed", "at": T + 6, "grant": "g", "action": "read", "repo": "models/me/b", "status": 200, "bytes_down": 1_234_567},
        {"kind": "decided", "at": T + 7, "grant": "g", "decision": "allow", "action": "write", "method": "POST", "repo": "models/me/a"},
        {"kind": "completed", "at": T + 8, "grant": "g", "action": "write", "repo": "models/me/a", "status": 500, "bytes_up": 999},
        {"kind": "decided", "at": T + 9, "grant": "g", "decision": "deny", "action": "write", "method": "POST", "repo": "models/me/a"},
        {"kind": "decided", "at": T + 10, "grant": "g", "decision": "anonymous", "action": "read", "repo": "models/me/a"},
        {"kind": "decided", "at": T + 11, "grant": "g", "decision": "allow", "action": "secrets", "method": "POST", "repo": "spaces/me/c"},
        {"kind": "revoked", "at": T + 60, "grant": "g", "account": "default"},
        {"kind": "login", "at": T + 61, "account": "work"},
        {"kind": "denied_unknown", "at": T + 62, "refusal": "peer", "count": 3},
        {"kind": "denied_unknown", "at": T + 62, "refusal": "host", "count": 2},
    ]  # fmt: skip
    DAY = "2027-01-15 08:00:"

    def test_every_count_has_its_column_and_every_place_its_row(self) -> None:
        table = cells(render_html(summarize(self.ENTRIES)))
        heads = [
            "where",
            "read",
            "changed",
            "secrets set",
            "without token",
            "refused",
            "failed",
            "up",
            "down",
            "first",
            "last",
        ]
        rows = [
            ["models/me/a", "", "1", "", "1", "1", "1", "999", "", f"{self.DAY}07", f"{self.DAY}10"],
            ["models/me/b", "1", "", "", "", "", "", "", "1.2 MB", f"{self.DAY}05", f"{self.DAY}05"],
            ["spaces/me/c", "", "", "1", "", "", "", "", "", f"{self.DAY}11", f"{self.DAY}11"],
            ["total", "1", "1", "1", "1", "1", "1", "999", "1.2 MB", f"{self.DAY}05", f"{self.DAY}11"],
        ]
        # Once for the account, once for the grant; then the events.
        assert table == [heads, *rows, heads, *rows, ["2027-01-15 08:01:01", "login", "work"]]

    def test_a_grant_tells_its_terms_and_its_life(self) -> None:
        document = html.unescape(render_html(summarize(self.ENTRIES)))
        assert "<h3>g git</h3>" in document
        assert f"account default; minted {self.DAY}00; revoked 2027-01-15 08:01:00<" in document
        assert "read, write:me/a</p>" in document
        assert "<h3>h “nightly”</h3>" in document
        assert "narrowed from g<" in document
        assert document.count("narrowed from") == 1
        assert document.count("no end is recorded") == 1
        assert document.count("not recorded</p>") == 1
        assert "2 host, 3 peer." in document
        assert f"From {self.DAY}00 to 2027-01-15 08:01:02" in document
        assert document.count("git.</p>") == 1

    def test_a_grant_from_before_the_journal_has_no_minting(self) -> None:
        document = render_html(summarize(self.ENTRIES[2:]))
        assert "minted before this journal" in document
        assert "unknown programs" in document
        assert "are not drawn" not in document

    @pytest.mark.parametrize(
        ("size", "text"),
        [
            (0, ""),
            (999, "999"),
            (1000, "1.0 kB"),
            (999_900, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (2_500_000_000, "2.5 GB"),
            (10**12, "1.0 TB"),
            (10**15, "1000.0 TB"),
        ],
    )
    def test_bytes_have_a_decimal_prefix(self, size: int, text: str) -> None:
        entry = {"kind": "completed", "at": T, "grant": "g", "status": 200, "bytes_up": size}
        assert cells(render_html(summarize([entry])))[1][7] == text

    def test_what_is_missing_is_said(self) -> None:
        document = render_html(summarize([{"kind": "login", "at": T, "account": "default"}]))
        assert "None.</p>" not in document
        assert "<svg" not in document
        assert "</p><h2>Accounts</h2>" in document
        document = render_html(summarize(self.ENTRIES[1:2]))
        assert "None.</p>" in document
        assert "Refused without" not in document
        assert "sent no requests" in document

    def test_programs_are_a_list(self) -> None:
        other = [{**entry, "grant": "x", "program": "hf"} for entry in self.ENTRIES[:1] + self.ENTRIES[2:3]]
        assert "<p>Used by git, hf.</p>" in render_html(summarize([*self.ENTRIES, *other]))

    def test_a_clock_that_was_set_back_does_not_turn_the_period_round(self) -> None:
        document = render_html(summarize([self.ENTRIES[2], {**self.ENTRIES[2], "at": T}]))
        assert f"From {self.DAY}00 to {self.DAY}05" in document

    def test_the_key_explains_every_colour(self) -> None:
        key = render_html(summarize(self.ENTRIES)).partition('<p class="key">')[2].partition("</p>")[0]
        assert re.findall(r"background:(#\w+)\"></i>([\w ]+)<", key) == [
            ("#a8b3bf", "without token"),
            ("#3b82c4", "read"),
            ("#e0a020", "refused"),
            ("#c2334d", "changed"),
            ("#7a2aa8", "secrets set"),
        ]
