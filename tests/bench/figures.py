"""The figures of the data plane as a table and a picture: `bench_proxy.py` writes both into build/, this module publishes them.

    python tests/bench/figures.py        copies build/ into docs/guide/performance.md and docs/images/figures.svg

Rows may be measured one at a time: build/bench.json keeps of each what was measured last, and when.
"""

import json
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
PAGE = ROOT / "docs" / "guide" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "figures.svg"
HEADINGS = "| row | figure | min | median | max | goal | |\n|---|---|---|---|---|---|---|\n"
# The picture, in pixels; what lies outside of its scale is drawn at its edge.
WIDTH, LEFT, RIGHT, TOP, LINE = 860, 400, 830, 34, 24
TICKS = {1 / 16: "1/16", 1 / 4: "1/4", 1.0: "reached", 4.0: "4 ×", 16.0: "16 ×"}
STYLE = """
    rect { fill: #ffffff } text { fill: #1f2328; font: 13px sans-serif } .tick { text-anchor: middle; font-size: 12px }
    .grid { stroke: #d1d9e0 } .reach { stroke: #59636e; stroke-width: 2 }
    .held { stroke: #1a7f37; fill: #1a7f37 } .not { stroke: #bc4c00; fill: #bc4c00 } .bar { stroke-width: 4 }
    @media (prefers-color-scheme: dark) {
        rect { fill: #0d1117 } text { fill: #f0f6fc } .grid { stroke: #3d444d } .reach { stroke: #9198a1 }
        .held { stroke: #3fb950; fill: #3fb950 } .not { stroke: #f0883e; fill: #f0883e }
    }"""


@dataclass(frozen=True)
class Figure:
    """One ratio over all rounds, what it is to reach (at least, or at most), and the day on which it was measured."""

    row: str
    name: str
    values: Sequence[float]
    reach: float
    at_least: bool
    date: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def held(self) -> bool:
        return self.median >= self.reach if self.at_least else self.median <= self.reach

    @property
    def sign(self) -> str:
        return "≥" if self.at_least else "≤"

    def of_reach(self, value: float) -> float:
        """How far it gets: 1 just reaches it, more is better, whichever way the figure goes."""
        if self.at_least:
            return value / self.reach
        return self.reach / value if value > 0 else math.inf

    def __str__(self) -> str:
        verdict = "held" if self.held else "NOT HELD"
        spread = f"{min(self.values):.2f} … {max(self.values):.2f}"
        return f"{self.row:<10} {self.name:<44} {self.median:8.2f}  ({spread})  {self.sign} {self.reach:g}  {verdict}"


def merged(old: Iterable[Figure], new: Iterable[Figure], rows: Iterable[str]) -> list[Figure]:
    """Of each row what was measured last, in the order of the rows."""
    latest = {row: [figure for figure in old if figure.row == row] for row in rows}
    latest |= {row: [figure for figure in new if figure.row == row] for row in {figure.row for figure in new}}
    return [figure for figures in latest.values() for figure in figures]


def read() -> list[Figure]:
    """What was measured before; nothing where the file is of another form."""
    try:
        return [Figure(**entry) for entry in json.loads((BUILD / "bench.json").read_text())["figures"]]
    except (FileNotFoundError, TypeError):
        return []


def write(figures: list[Figure], rows: Iterable[str]) -> None:
    """All of build/: the figures, the table, the picture."""
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps({"figures": [asdict(figure) for figure in figures]}, indent=1))
    (BUILD / "figures.md").write_text(table(figures, rows))
    (BUILD / "figures.svg").write_text(picture(figures, rows))


def table(figures: Iterable[Figure], rows: Iterable[str]) -> str:
    """In Markdown, one line a figure; a row that was not measured says so."""
    figures = list(figures)
    lines = []
    for row in rows:
        own = [_line(figure) for figure in figures if figure.row == row]
        lines += own or [f"| `{row}` | not measured yet | | | | | |"]
    return HEADINGS + "\n".join(lines) + "\n"


def _line(figure: Figure) -> str:
    numbers = [min(figure.values), figure.median, max(figure.values)]
    cells = [f"`{figure.row}`", figure.name, *map(_number, numbers), f"{figure.sign} {figure.reach:g}"]
    return f"| {' | '.join(cells)} | {'held' if figure.held else 'not yet'}, {figure.date} |"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def picture(figures: Iterable[Figure], rows: Iterable[str]) -> str:
    """As SVG: each figure's least, median and most, as shares of what it is to reach; further right is better."""
    figures, drawn = list(figures), []
    for row in rows:
        own = [figure for figure in figures if figure.row == row]
        drawn += [(f"{row}: {figure.name} {figure.sign} {figure.reach:g}", figure) for figure in own]
        drawn += [] if own else [(f"{row}: not measured yet", None)]
    bottom = TOP + LINE * len(drawn)
    marks = [_tick(at, word, bottom) for at, word in TICKS.items()]
    marks += [_mark(TOP + LINE * (number + 0.5), label, figure) for number, (label, figure) in enumerate(drawn)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + 12}" role="img"'
        f' viewBox="0 0 {WIDTH} {bottom + 12}">\n'
        "<title>Minimum, median and maximum of each figure, as a share of its goal</title>\n"
        f'<style>{STYLE}\n</style>\n<rect width="100%" height="100%"/>\n' + "\n".join(marks) + "\n</svg>\n"
    )


def _x(share: float) -> float:
    least, most = min(TICKS), max(TICKS)
    within = min(max(share, least), most)
    return LEFT + (RIGHT - LEFT) * math.log(within / least) / math.log(most / least)


def _tick(at: float, word: str, bottom: float) -> str:
    kind, x = ("reach" if at == 1 else "grid"), f"{_x(at):.1f}"
    return (
        f'<line class="{kind}" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>'
        f'<text class="tick" x="{x}" y="{TOP - 12}">{word}</text>'
    )


def _mark(y: float, label: str, figure: Figure | None) -> str:
    text = f'<text x="12" y="{y + 4:.1f}">{escape(label)}</text>'
    if figure is None:
        return text
    kind = "held" if figure.held else "not"
    ends = sorted(_x(figure.of_reach(value)) for value in figure.values)
    return (
        f'{text}<line class="bar {kind}" x1="{ends[0]:.1f}" x2="{ends[-1]:.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="{kind}" cx="{_x(figure.of_reach(figure.median)):.1f}" cy="{y}" r="5"/>'
    )


def between(text: str, name: str) -> str:
    """What stands in a text between the two comments of this name."""
    return _around(name).search(text)[2]


def replaced(text: str, name: str, inner: str) -> str:
    """The text with something else between them."""
    return _around(name).sub(lambda found: f"{found[1]}{inner}{found[3]}", text)


def _around(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- end of {name} -->)", re.DOTALL)


def main() -> None:
    """Copy the measured tables and the picture from build/ into the documentation."""
    for name in ("figures", "steps"):
        made = BUILD / f"{name}.md"
        if made.exists():
            PAGE.write_text(replaced(PAGE.read_text("utf-8"), name, made.read_text()), "utf-8")
    if (BUILD / "figures.svg").exists():
        PICTURE.write_text((BUILD / "figures.svg").read_text())


if __name__ == "__main__":
    main()
