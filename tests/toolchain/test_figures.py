"""The figures that `make bench` shows, and that docs/guide/performance.md shows all of them."""

from xml.etree import ElementTree

import pytest
from bench import bench_proxy, figures

ROWS = tuple(bench_proxy.ROWS)
PAGE = figures.PAGE.read_text("utf-8")
FASTER = figures.Figure("small", "requests a second, × nginx", (0.25, 1.0, 2.0), 0.5, True, "2026-01-02")
SMALLER = figures.Figure("idle", "resident <memory>, MiB", (32.0, 128.0, 256.0), 64, False, "2026-01-03")
SVG = "{http://www.w3.org/2000/svg}"


def bars(text: str) -> list[tuple[float, float]]:
    """From where to where the bars of a picture go."""
    lines = ElementTree.fromstring(text).iter(f"{SVG}line")
    return [(float(line.get("x1", "")), float(line.get("x2", ""))) for line in lines if "bar" in line.get("class", "")]


def reached(text: str) -> float:
    """Where the line stands that is to be reached."""
    lines = ElementTree.fromstring(text).iter(f"{SVG}line")
    return next(float(line.get("x1", "")) for line in lines if line.get("class") == "reach")


@pytest.mark.parametrize(("value", "share"), [(0.25, 0.5), (0.5, 1), (2.0, 4)])
def test_what_is_to_be_at_least_something_gets_further_the_more_it_is(value: float, share: float) -> None:
    assert FASTER.of_reach(value) == share


@pytest.mark.parametrize(("value", "share"), [(128, 0.5), (64, 1), (16, 4), (0, float("inf")), (-1, float("inf"))])
def test_what_is_to_be_at_most_something_gets_further_the_less_it_is(value: float, share: float) -> None:
    assert SMALLER.of_reach(value) == share


def test_the_median_decides_whether_a_figure_is_held() -> None:
    assert FASTER.held
    assert not SMALLER.held


def test_the_table_says_least_median_most_what_is_to_be_reached_and_when_it_was_measured() -> None:
    _, _, *lines = figures.table([SMALLER, FASTER], ["small", "idle", "cold"]).splitlines()
    assert lines == [
        "| `small` | requests a second, × nginx | 0.25 | 1.00 | 2.00 | ≥ 0.5 | held, 2026-01-02 |",
        "| `idle` | resident <memory>, MiB | 32.00 | 128 | 256 | ≤ 64 | not yet, 2026-01-03 |",
        "| `cold` | not measured yet | | | | | |",
    ]


def test_further_right_is_better_in_the_picture_whichever_way_a_figure_goes() -> None:
    drawn = figures.picture([FASTER, SMALLER], ["small", "idle", "cold"])
    (left, right), (left_of_other, right_of_other) = bars(drawn)
    assert left < reached(drawn) < right
    assert right - left == pytest.approx(right_of_other - left_of_other, abs=0.2)  # both span eight times
    assert left_of_other < left


def test_what_is_off_the_scale_is_drawn_at_its_edge() -> None:
    far = figures.Figure("cold", "x", (-1.0, 1e9), 1, False, "2026-01-02")
    drawn = figures.picture([far], ["cold"])
    assert bars(drawn) == [(figures.LEFT, figures.RIGHT)]


def test_a_row_measured_alone_takes_the_place_of_its_older_self_and_of_nothing_else() -> None:
    newer = figures.Figure("small", "requests a second, × nginx", (3.0,), 0.5, True, "2026-01-04")
    assert figures.merged([SMALLER, FASTER], [newer], ["small", "idle"]) == [newer, SMALLER]


def test_a_row_that_is_no_more_is_not_shown() -> None:
    assert figures.merged([SMALLER, FASTER], [], ["small"]) == [FASTER]


def test_the_text_between_two_comments_is_replaced_and_nothing_else() -> None:
    text = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n"
    assert figures.replaced(text, "x", "n\\1w\n") == "a\n<!-- x -->\nn\\1w\n<!-- end of x -->\nb\n"


def test_the_page_has_every_row_of_the_bench_and_no_other() -> None:
    table = figures.between(PAGE, "figures")
    assert table.startswith(figures.HEADINGS)
    named = [line.split("`")[1] for line in table.splitlines()[2:]]
    assert tuple(dict.fromkeys(named)) == ROWS


def test_the_picture_has_every_figure_of_the_page() -> None:
    texts = [text.text or "" for text in ElementTree.fromstring(figures.PICTURE.read_text("utf-8")).iter(f"{SVG}text")]
    shown = texts[len(figures.TICKS) :]
    lines = [line.split(" | ") for line in figures.between(PAGE, "figures").splitlines()[2:]]
    assert len(shown) == len(lines)
    for text, (row, name, *_) in zip(shown, lines, strict=True):
        assert text.startswith(f"{row.split('`')[1]}: {name}")
