"""Reads the project's Markdown: fenced blocks, headings, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.+?)(?: *\{#([\w-]+)\})?$", re.MULTILINE)
ANCHOR = re.compile(r"""<\w+ (?:id|name)=["']([\w-]+)["']""")
LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, first line, language, text, and the `##` heading above it."""

    page: Path
    line: int
    language: str
    text: str
    section: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    found = []
    for fence in FENCE.finditer(text):
        before = text[: fence.start()]
        sections = re.findall(r"^## (.+)$", before, re.MULTILINE) or [""]
        found.append(Block(page, before.count("\n") + 1, fence["language"], dedent(fence["body"]), sections[-1]))
    return found


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def slug(heading: str) -> str:
    """The anchor that a forge derives from a heading: lower case, no punctuation, hyphens for spaces."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The anchors of a page: of headings (a repeated one gets `-1`, `-2`) and of HTML elements."""
    text, found, times = prose(page), set(ANCHOR.findall(page.read_text("utf-8"))), {}
    for heading, explicit in HEADING.findall(text):
        name = explicit or slug(heading)
        times[name] = times.get(name, -1) + 1
        found.add(f"{name}-{times[name]}" if times[name] else name)
    return found


def links(page: Path) -> Iterator[str]:
    """The targets of links and images outside of code."""
    for link, image in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        yield link or image
