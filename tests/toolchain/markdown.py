"""Reads fenced blocks from the project's Markdown."""

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


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
