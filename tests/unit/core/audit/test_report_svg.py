"""The chart of a report: rows, bars, marks, events and ticks at the places of their times."""

import re
import time
from xml.etree import ElementTree

import pytest

from hfproxy.core.audit.report import summarize
from hfproxy.core.audit.report_svg import COLOURS, HEAD, LEFT, ROW, WIDTH, chart_rows, render_svg, utc

T = 1_800_000_000
SPACE = "{http://www.w3.org/2000/svg}"
RIGHT = WIDTH - 20


def minted(grant: str, at: int, **fields: object) -> dict[str, object]:
    return {"kind": "minted", "at": at, "grant": grant, "account": "default", **fields}


def decided(grant: str, at: int, **fields: object) -> dict[str, object]:
    return {"kind": "decided", "at": at, "grant": grant, "decision": "allow", "action": "read", **fields}


def elements(entries: list[dict[str, object]], name: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(render_svg(summarize(entries))).iter(SPACE + name))


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def test_a_bar_reaches_from_mint_to_end() -> None:
    entries = [
        minted("long", T),
        minted("short", T + 250),
        {"kind": "revoked", "at": T + 500, "grant": "short"},
        decided("long", T + 1000),
    ]
    long, short = elements(entries, "rect")
    span = RIGHT - LEFT
    assert numbers(long, "x", "y", "width", "height") == [LEFT, HEAD + 4, span, ROW - 8]
    assert numbers(short, "x", "y", "width") == [LEFT + span / 4, HEAD + ROW + 4, span / 4]


def test_a_bar_is_seen_even_without_a_length() -> None:
    entries = [minted("g", T), {"kind": "revoked", "at": T, "grant": "g"}, minted("h", T + 1000)]
    assert [numbers(bar, "width") for bar in elements(entries, "rect")] == [[2], [2]]


def test_rows_are_in_the_order_of_minting_and_named() -> None:
    entries = [decided("later", T + 9), minted("later", T + 5, program="python", label="x"), minted("first-of-all", T)]
    assert [grant.id for grant in chart_rows(summarize(entries))] == ["first-of-all", "later"]
    names = [text.text for text in elements(entries, "text") if text.attrib["text-anchor"] == "end"]
    assert names == ["first-of", "later python x"]


@pytest.mark.parametrize(
    ("length", "shown"), [(30, "g " + "x" * 30), (36, "g " + "x" * 36), (37, "g " + "x" * 35 + "…")]
)
def test_a_long_name_is_cut(length: int, shown: str) -> None:
    texts = elements([minted("g", T, program="x" * length)], "text")
    assert [text.text for text in texts if text.attrib["text-anchor"] == "end"] == [shown]


def test_marks_of_one_slot_and_kind_are_one_and_grow_with_their_number() -> None:
    entries = [minted("g", T), *[decided("g", T)] * 12, decided("g", T, action="write"), decided("g", T + 100_000)]
    marks = elements(entries, "circle")
    assert [mark[0].text for mark in marks] == ["12 read", "1 read", "1 changed"]
    assert [mark.attrib["r"] for mark in marks] == ["4.5", "3.5", "3.5"]
    assert [mark.attrib["fill"] for mark in marks] == [COLOURS["read"], COLOURS["read"], COLOURS["changed"]]
    assert {mark.attrib["cy"] for mark in marks} == {str(HEAD + ROW / 2)}
    first, last, changed = (numbers(mark, "cx")[0] for mark in marks)
    assert LEFT <= first == changed < LEFT + 10
    assert RIGHT - 10 < last <= RIGHT


def test_a_mark_has_a_largest_size() -> None:
    marks = elements([minted("g", T), *[decided("g", T)] * 10_001], "circle")
    assert [mark.attrib["r"] for mark in marks] == ["6.5"]


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"decision": "anonymous"}, "anonymous"),
        ({"decision": "deny"}, "refused"),
        ({"action": "secrets", "method": "POST"}, "secrets_set"),
        ({"action": "write"}, "changed"),
        ({}, "read"),
    ],
)
def test_each_kind_of_request_has_its_colour(fields: dict[str, str], column: str) -> None:
    (mark,) = elements([decided("g", T, **fields)], "circle")
    assert (mark.attrib["fill"], mark[0].text) == (COLOURS[column], f"1 {column.replace('_', ' ')}")


def test_what_weighs_more_is_drawn_over_the_rest() -> None:
    kinds = [{"action": "secrets"}, {"action": "write"}, {"decision": "deny"}, {}, {"decision": "anonymous"}]
    marks = elements([decided("g", T, **fields) for fields in kinds], "circle")
    assert [mark[0].text for mark in marks] == ["1 anonymous", "1 read", "1 refused", "1 changed", "1 secrets set"]


def test_events_are_lines_and_a_lockdown_is_red() -> None:
    entries = [
        minted("g", T),
        {"kind": "login", "at": T + 500, "account": "work"},
        {"kind": "lockdown", "at": T + 1000},
    ]
    lines = [line for line in elements(entries, "line") if "stroke-dasharray" in line.attrib]
    assert [line[0].text for line in lines] == ["login work", "lockdown"]
    assert [line.attrib["stroke"] for line in lines] == ["#5b7083", "#c2334d"]
    middle = (LEFT + RIGHT) / 2
    assert [numbers(line, "x1", "x2", "y1", "y2") for line in lines] == [
        [middle, middle, HEAD - 6, HEAD + ROW + 8],
        [RIGHT, RIGHT, HEAD - 6, HEAD + ROW + 8],
    ]


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (6 * 3600, ["08:00", "09:00", "10:00", "11:00", "12:00", "13:00", "14:00"]),
        (6 * 86_400, [f"{day} Jan 08:00" for day in range(15, 22)]),
        (86_400, [f"15 Jan {hour:02}:00" for hour in (8, 12, 16, 20)] + [f"16 Jan {hour:02}:00" for hour in (0, 4, 8)]),
    ],
)
def test_ticks_share_the_time_out_evenly(seconds: int, labels: list[str]) -> None:
    entries = [minted("g", T), decided("g", T + seconds)]
    texts = [text for text in elements(entries, "text") if text.attrib["text-anchor"] == "middle"]
    assert [text.text for text in texts] == labels
    places = [numbers(text, "x")[0] for text in texts]
    assert places[0] == LEFT
    assert places[-1] == RIGHT
    assert max(b - a for a, b in zip(places, places[1:])) < (RIGHT - LEFT) / 6 + 1


def test_the_chart_is_as_high_as_its_rows() -> None:
    entries = [minted(f"g{number}", T) for number in range(5)]
    assert re.search(r'viewBox="0 0 (\d+) (\d+)"', render_svg(summarize(entries))).groups() == (
        str(WIDTH),
        str(HEAD + 5 * ROW + 8),
    )


def test_times_are_utc_wherever_the_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert utc(T, "%d %b %H:%M") == "15 Jan 08:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("at", [10**15, -(10**15), 10**30])
def test_a_time_that_no_calendar_has_is_a_number(at: int) -> None:
    assert utc(at, "%H:%M") == str(at)
