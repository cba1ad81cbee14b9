"""Every reference leads somewhere: citations of `docs/` in code and tests, links between documents, modules and tests
that documents name. None leads out of the repository."""

import re
from pathlib import Path

import pytest

from toolchain.references import CITATION, ROOT, anchors, github, mkdocs, problems, tracked

THREATS = "docs/threat-model.md"
PAGE = "# Page\n\n## Create repo\n\n### T1\n\n## Two `words`: more\n"


def made_up(root: Path, files: dict[str, str]) -> list[str]:
    """The problems of a small tree, each as text."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return [str(problem) for problem in problems(root, files)]


def test_every_reference_leads_somewhere() -> None:
    found = problems(ROOT, tracked(ROOT))
    assert not found, "\n".join(map(str, found))


def test_code_cites_the_documents() -> None:
    """Otherwise the test above would pass because nothing is found."""
    code = [name for name in tracked(ROOT) if name.startswith("hfproxy/") and name.endswith(".py")]
    cited = [one for name in code for one in CITATION.findall((ROOT / name).read_text("utf-8"))]
    assert len(cited) >= 40
    assert len([one for one in cited if "#" in one]) >= 35


@pytest.mark.parametrize("number", range(1, 32))
def test_each_threat_says_what_stops_it_what_shows_it_and_what_is_not_stopped(number: int) -> None:
    section = re.search(rf"^### T{number}\n(.*?)(?=^##)", (ROOT / THREATS).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert section is not None
    for heading in ("Stopped by", "Shown by", "Not stopped"):
        assert f"- *{heading}:*" in section[1]
    assert re.search(r"^- \*Shown by:\* .*`test_\w+\.py`", section[1], re.MULTILINE)
    assert f"t{number}" in anchors(ROOT / THREATS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hfproxy/a.py", '"""See docs/page.md#create-repo, and docs/page.md."""\n'),
        ("unit.service", "# docs/page.md#t1\n"),
        ("hfproxy/a.py", "# RFC 9110 §5.3; RFC\n# 9106 §4\n"),
        ("docs/other.md", "[a](page.md#t1) [b](#here) [c](../hfproxy/) ![d](page.md)\n\n## Here\n"),
        ("docs/other.md", "[ref]\n\n[ref]: page.md#create-repo\n"),
        ("docs/other.md", "`core/here.py` and `hfproxy/core/here.py`, shown by `test_here.py`\n"),
        ("docs/other.md", "`[a](b.md)`\n\n```\n[c](d.md)\n```\n"),
        ("docs/adr/0001.md", "`core/long_gone.py`\n"),
        ("README.md", "[docs](docs/page.md#two-words-more) https://example.org/docs/none.md\n"),
    ],
)
def test_a_good_reference_is_no_problem(tmp_path: Path, name: str, text: str) -> None:
    tree = {"docs/page.md": PAGE, "hfproxy/core/here.py": "", "tests/unit/test_here.py": "", name: text}
    assert made_up(tmp_path, tree) == []


@pytest.mark.parametrize(
    ("name", "text", "line", "what"),
    [
        ("hfproxy/a.py", "\n# docs/gone.md", 2, "there is no docs/gone.md"),
        ("hfproxy/a.py", "# docs/page.md#gone", 1, "there is no #gone in docs/page.md"),
        ("unit.service", "# docs/page.md#gone", 1, "there is no #gone in docs/page.md"),
        ("pyproject.toml", "# docs/gone.md", 1, "there is no docs/gone.md"),
        ("docs/other.md", "text\n\n[a](gone.md)", 3, "there is no docs/gone.md"),
        ("docs/other.md", "[a](page.md#gone)", 1, "there is no #gone in docs/page.md"),
        ("docs/other.md", "[a](#gone)", 1, "there is no #gone in docs/other.md"),
        ("docs/other.md", "[a](../../page.md)", 1, "there is no ../page.md"),
        ("docs/other.md", "[ref]: gone.md", 1, "there is no docs/gone.md"),
        ("docs/other.md", '<img src="gone.svg">', 1, "there is no docs/gone.svg"),
        ("docs/other.md", "`core/gone.py`", 1, "there is no module core/gone.py"),
        ("docs/other.md", "`test_gone.py`", 1, "there is no test test_gone.py"),
        ("README.md", "[a](docs/page.md#gone)", 1, "there is no #gone in docs/page.md"),
        ("hfproxy/a.py", "# hub-wire, rule 1", 1, "a document that is not in the repository: 'hub-wire'"),
        ("hfproxy/a.py", '"""Design §7."""', 1, "a document that is not in the repository: 'Design §'"),
        ("hfproxy/a.py", '"§1.4"', 1, "a section sign outside of an RFC: '§'"),
        ("hfproxy/a.py", "# (threats\n# T25)", 1, "a threat without a link: 'threats\\n# T2'"),
        ("hfproxy/a.py", '"""Who may speak (T1, T2)."""', 1, "a threat without a link: '(T1, T2)'"),
        ("hfproxy/a.py", "# named in the issue", 1, "a document that is not in the repository: 'named in the issue'"),
        ("Makefile", "x: /work/shared/design.md", 1, "a document that is not in the repository: '/work/'"),
        (
            "docs/other.md",
            "../shared/reference/a.md",
            1,
            "a document that is not in the repository: '../shared/reference'",
        ),
    ],
)
def test_a_bad_reference_is_found(tmp_path: Path, name: str, text: str, line: int, what: str) -> None:
    assert f"{name}:{line}: {what}" in made_up(tmp_path, {"docs/page.md": PAGE, name: text})


def test_an_anchor_that_two_sites_spell_differently_is_none(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('# A & B\n\n## Twice\n\n## Twice\n\n```\n# a comment\n```\n\n<a id="own"></a>\n', "utf-8")
    assert (github("A & B"), mkdocs("A & B")) == ("a--b", "a-b")
    assert anchors(page) == {"twice", "own"}
