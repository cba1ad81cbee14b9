"""`make docs`: builds the documentation as a site in build/site. Exits 1 for a broken link, or a page that loads from another host.

    python tests/toolchain/docs_site.py

The pages are written for a forge, where a link leads to a file. The site contains docs/ and the Markdown of the repository's root;
a link to any other file, source code say, becomes plain text there.
"""

import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = ROOT / "zensical.toml"
STAGED, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
PUBLISHED = {
    ROOT / "README.md": "index.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "SECURITY.md": "security.md",
    ROOT / "CHANGELOG.md": "changelog.md",
}
# Fenced and inline code is left unchanged; otherwise a link or an image: `!`, text, path, anchor.
CODE_OR_LINK = re.compile(
    r"^ *```.*?^ *```$|(?<!\[)`[^`\n]+`|(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]*)(#[^)\s]*)?\)",
    re.MULTILINE | re.DOTALL,
)
EXTERNAL = re.compile(r"[a-z]+:")
# What a browser fetches by itself; a link that a reader follows is none.
REMOTE_LOAD = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>"
    r"|<link\b(?![^>]*\brel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>"
)


def site_markdown(text: str, source: Path, uri: str) -> str:
    """The Markdown of the file `source`, with its relative links as they are right in the site's page `uri`."""
    return CODE_OR_LINK.sub(lambda found: _rewritten(found, source, uri), text)


def _rewritten(found: re.Match[str], source: Path, uri: str) -> str:
    image, text, path, anchor = found.groups()
    if not path or EXTERNAL.match(path):  # code, an anchor of this page, another site
        return found[0]
    target = (source.parent / path).resolve()
    if target in PUBLISHED:
        new = PUBLISHED[target]
    elif target.is_relative_to(DOCS):
        new = target.relative_to(DOCS).as_posix()
    elif target.is_relative_to(ROOT) and target.exists():
        return str(text)
    else:
        return found[0]
    return f"{image}[{text}]({posixpath.relpath(new, posixpath.dirname(uri) or '.')}{anchor or ''})"


def stage() -> set[str]:
    """Write all pages to build/docs; returns their names there."""
    shutil.rmtree(STAGED, ignore_errors=True)
    shutil.copytree(DOCS, STAGED)
    sources = {file: file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md")}
    sources |= {file: uri for file, uri in PUBLISHED.items() if file.exists()}
    for source, uri in sources.items():
        (STAGED / uri).write_text(site_markdown(source.read_text("utf-8"), source, uri), "utf-8")
    return set(sources.values())


def in_nav(entry: Any) -> Iterator[str]:
    """The pages in a `nav` of the configuration."""
    if isinstance(entry, str):
        yield entry
    else:
        for one in entry.values() if isinstance(entry, dict) else entry:
            yield from in_nav(one)


def listed(name: str) -> bool:
    """Whether a page needs no place in the nav: a decision that adr/README.md lists, or the template of decisions."""
    overview = STAGED / "adr" / "README.md"
    decision = name.startswith("adr/") and overview.exists() and f"({name[4:]})" in overview.read_text("utf-8")
    return decision or name == "adr/template.md"


def remote_loads() -> Iterator[str]:
    """The elements of the built pages that load from another host."""
    for page in SITE.rglob("*.html"):
        for found in REMOTE_LOAD.finditer(page.read_text("utf-8")):
            yield f"{page.relative_to(SITE)} loads from another host: {found[0]}"


def main() -> int:
    """Returns 0 if the site is complete."""
    pages = stage()
    nav = set(in_nav(tomllib.loads(CONFIG.read_text("utf-8"))["project"]["nav"]))
    wrong = [f"zensical.toml, nav: there is no page {name}" for name in sorted(nav - pages)]
    wrong += [f"zensical.toml, nav: the page {name} is missing" for name in sorted(pages - nav) if not listed(name)]
    shutil.rmtree(SITE, ignore_errors=True)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", CONFIG],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if built.returncode == 0:
        wrong += remote_loads()
    else:
        report = built.stdout.partition("Traceback (most")[0]  # --strict ends with an exception
        wrong.insert(0, re.sub(r"\x1b\[[0-9;]*m", "", report))
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
