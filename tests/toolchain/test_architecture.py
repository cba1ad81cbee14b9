"""docs/architecture.md and the other pages for developers name the modules that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hfproxy"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = [ARCHITECTURE, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs" / "adr").glob("*.md"))]
# `core/policy/broker.py`, `hfproxy/cli/journal/`; below hfproxy/, or below hfproxy/daemon/ in a table about the daemon.
PATH = re.compile(r"`(?:hfproxy/)?((?:\w+/)+(?:\w+\.py)?)`")
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def layout() -> str:
    """The tree under the heading "The layout"."""
    _, _, rest = ARCHITECTURE.read_text("utf-8").partition("\n## The layout\n")
    return rest.split("```")[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_path_leads_to_a_module_or_a_folder(page: Path) -> None:
    paths = PATH.findall(page.read_text("utf-8"))
    places = (PACKAGE, PACKAGE / "daemon", ROOT)
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []


def test_paths_are_found_at_all() -> None:
    assert len(PATH.findall(ARCHITECTURE.read_text("utf-8"))) > 40


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(PACKAGE.parent)))
def test_the_layout_names_every_module(folder: Path) -> None:
    words = set(re.findall(r"\w+", layout()))
    assert folder.name in words
    assert {module.stem for module in folder.glob("*.py")} - {"__init__"} <= words


def test_the_layout_names_no_module_that_is_gone() -> None:
    modules = {module.name for module in PACKAGE.rglob("*.py")}
    assert set(re.findall(r"\w+\.py", layout())) <= modules
