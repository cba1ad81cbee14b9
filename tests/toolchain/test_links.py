"""Every relative link in the project's Markdown leads to a file, and to an anchor of it, in the repository."""

from pathlib import Path

import pytest
from toolchain.markdown import PAGES, README, ROOT, anchors, links, slug


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_a_file_and_an_anchor(page: Path) -> None:
    broken = [link for link in links(page) if not is_external(link) and not leads_somewhere(page, link)]
    assert broken == []


def is_external(link: str) -> bool:
    return link.startswith(("https://", "http://", "mailto:"))


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


def test_the_readme_has_links_and_they_are_relative() -> None:
    assert len(list(links(README))) > 20
    assert not any(is_external(link) for link in links(README))


def test_a_missing_file_and_a_missing_anchor_are_found() -> None:
    assert leads_somewhere(README, "#install")
    assert leads_somewhere(README, "docs/guide/install.md#upgrade")
    assert not leads_somewhere(README, "#instal")
    assert not leads_somewhere(README, "docs/guide/install.md#downgrade")
    assert not leads_somewhere(README, "docs/guide/none.md")
    assert not leads_somewhere(README, "../outside.md")


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Machines without a keyring", "machines-without-a-keyring"),
        ("What `write` lets a push do", "what-write-lets-a-push-do"),
        ("T1: DNS rebinding (web page)", "t1-dns-rebinding-web-page"),
        ("[A link](x.md), and more", "a-link-and-more"),
    ],
)
def test_anchors_are_those_of_a_forge(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor
