"""The report as a page: whatever a program was called, it is text on it and nothing more."""

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
