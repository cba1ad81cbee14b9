"""References between the files of the repository: citations of `docs/`, Markdown links, names of modules and tests.

An anchor counts only if GitHub and MkDocs make the same one of a heading, so that a link works on a forge and on the
site. Both rules are implemented here: GitHub keeps every hyphen and space, Python-Markdown's `toc` collapses them.
"""

import re
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
# They hold the patterns, and made-up references that have to fail.
OWN = frozenset(f"tests/toolchain/{name}.py" for name in ("references", "test_references", "test_docs_site"))

CITATION = re.compile(r"(?<![\w./-])docs/[\w/.-]*\.md(?:#[\w-]*)?")
BANNED = {
    "a document that is not in the repository": re.compile(
        r"hub-wire|\b[Dd]esign\s+(?:#\s*)?§|\bstyle\s+§|\b(?:named in|as) the issue\b"
        r"|(?<![\w.~-])/work/|(?<![\w/.-])(?:\.\./)*shared/(?:reference|design)"
    ),
    "a section sign outside of an RFC": re.compile(r"(?<!§)§"),
    "a threat without a link": re.compile(r"\bthreats?\s+(?:#\s*)?T[0-9]|\(T[1-9][0-9]?(?:, T[1-9][0-9]?)*\)"),
}
RFC_BEFORE = re.compile(r"\bRFC\s+(?:#\s*)?[0-9]+,?\s+(?:#\s*)?\Z")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*\s*?$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(
    r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)|(?:href|src)=\"([^\"]+)\"", re.MULTILINE
)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
EXPLICIT = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
MODULE = re.compile(r"(?<![\w/.-])(?:hfproxy/)?(?:core|daemon|cli|vault|scan|detect|tests)/[\w/]+\.py\b")
TEST = re.compile(r"(?<![\w/])test_\w+\.py\b")
# Decisions are a record of their time; the modules they name may have moved since.
RECORDS = "docs/adr/"


@dataclass(frozen=True, order=True)
class Problem:
    """A reference that leads nowhere, or that must not be made."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def tracked(root: Path) -> list[str]:
    """The files that git knows or would add, by path relative to the root."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    return sorted(name for name in listed if name and (root / name).is_file())


def problems(root: Path, files: Iterable[str]) -> list[Problem]:
    """Check every reference in these files, which are all that may be referred to."""
    tree = Tree(root, frozenset(files))
    return sorted(problem for name in tree.texts() for problem in tree.check(name))


class Tree:
    """The files of one repository."""

    def __init__(self, root: Path, files: frozenset[str]) -> None:
        self.root, self.files = root, files
        self.folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}

    def texts(self) -> Iterator[str]:
        """The names of the files that are UTF-8 text and are checked."""
        for name in self.files - OWN:
            try:
                (self.root / name).read_text("utf-8")
            except UnicodeDecodeError:
                continue
            yield name

    def check(self, name: str) -> Iterator[Problem]:
        """The problems of one file."""
        text = (self.root / name).read_text("utf-8")
        for at, what in (*self._citations(text), *_banned(text)):
            yield Problem(name, line_of(text, at), what)
        if name.endswith(".md"):
            for at, what in (*self._links(name, text), *self._names(name, text)):
                yield Problem(name, line_of(text, at), what)

    def _citations(self, text: str) -> Iterator[tuple[int, str]]:
        for match in CITATION.finditer(text):
            path, _, anchor = match[0].partition("#")
            if why := self._missing(path, anchor):
                yield match.start(), why

    def _links(self, name: str, text: str) -> Iterator[tuple[int, str]]:
        for match in LINK.finditer(without_code(text)):
            target = match[1] or match[2] or match[3]
            if ELSEWHERE.match(target):
                continue
            path, _, anchor = target.partition("#")
            if why := self._missing(resolved(name, path), anchor):
                yield match.start(), why

    def _names(self, name: str, text: str) -> Iterator[tuple[int, str]]:
        """Modules and tests of ours that a document names."""
        if not name.startswith("docs/") or name.startswith(RECORDS):
            return
        for match in MODULE.finditer(text):
            if not {match[0], f"hfproxy/{match[0]}"} & self.files:
                yield match.start(), f"there is no module {match[0]}"
        basenames = {PurePosixPath(file).name for file in self.files}
        for match in TEST.finditer(text):
            if match[0] not in basenames:
                yield match.start(), f"there is no test {match[0]}"

    def _missing(self, path: str, anchor: str) -> str | None:
        if path not in self.files and path.rstrip("/") not in self.folders:
            return f"there is no {path}"
        if anchor and path.endswith(".md") and anchor not in anchors(self.root / path):
            return f"there is no #{anchor} in {path}"
        return None


def _banned(text: str) -> Iterator[tuple[int, str]]:
    for what, pattern in BANNED.items():
        for match in pattern.finditer(text):
            if match[0] == "§" and RFC_BEFORE.search(text, 0, match.start()):
                continue
            yield match.start(), f"{what}: {match[0]!r}"


def resolved(name: str, path: str) -> str:
    """The target of a relative link in a file; the file itself for an empty one."""
    if not path:
        return name
    parts: list[str] = [] if path.startswith("/") else list(PurePosixPath(name).parent.parts)
    for part in path.split("/"):
        if part == "..":
            parts = [*parts[:-1]] if parts else [".."]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts) or "."


def anchors(file: Path) -> frozenset[str]:
    """The anchors of a Markdown file that work on GitHub and on the site."""
    return _anchors(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=None)
def _anchors(file: Path, _changed_at: int) -> frozenset[str]:
    text = FENCE.sub("", file.read_text("utf-8"))
    headings = [plain(match[1]) for match in HEADING.finditer(text)]
    return numbered(map(github, headings), "-") & numbered(map(mkdocs, headings), "_") | set(EXPLICIT.findall(text))


def numbered(slugs: Iterable[str], separator: str) -> frozenset[str]:
    """Anchors of headings in order: one that comes again is given a number."""
    seen: dict[str, int] = {}
    found = set()
    for slug in slugs:
        times = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}{separator}{times}" if times else slug)
    return frozenset(found)


def github(heading: str) -> str:
    """GitHub's anchor of a heading (github-slugger)."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def mkdocs(heading: str) -> str:
    """MkDocs' anchor of a heading (markdown.extensions.toc.slugify)."""
    ascii_only = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


def plain(heading: str) -> str:
    """A heading without its inline markup."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")


def without_code(text: str) -> str:
    """Markdown with its code blanked out, so that every offset stays."""
    for pattern in (FENCE, CODE):
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return text


def line_of(text: str, offset: int) -> int:
    """The number of the line that an offset is in, from 1."""
    return text.count("\n", 0, offset) + 1
