"""Links as `make docs` writes them for the site, and what it refuses."""

import pytest
from toolchain.docs_site import DOCS, REMOTE_LOAD, ROOT, in_nav, site_markdown

GUIDE = DOCS / "guide" / "git.md"


@pytest.mark.parametrize(
    ("source", "uri", "link", "on_site"),
    [
        (ROOT / "README.md", "index.md", "[a](docs/guide/git.md#x)", "[a](guide/git.md#x)"),
        (ROOT / "README.md", "index.md", "![a](docs/images/figures.svg)", "![a](images/figures.svg)"),
        (ROOT / "README.md", "index.md", "[`a`](docs/guide/git.md)", "[`a`](guide/git.md)"),
        (GUIDE, "guide/git.md", "[a](../../README.md)", "[a](../index.md)"),
        (GUIDE, "guide/git.md", "[a](scopes.md)", "[a](scopes.md)"),
        (GUIDE, "guide/git.md", "[`a`](../../Makefile)", "`a`"),
    ],
)
def test_a_link_leads_to_the_same_page_on_the_site(source, uri, link, on_site) -> None:
    assert site_markdown(f"see {link}.", source, uri) == f"see {on_site}."


@pytest.mark.parametrize(
    "text",
    [
        "[a](https://example.org/b.md)",
        "[a](#x)",
        "`[a](docs/b.md)`",
        "```text\n[a](../../Makefile)\n```",
        "[a](none.md)",
    ],
)
def test_other_text_is_unchanged(text) -> None:
    """A link that leads nowhere stays, so that the build reports it."""
    assert site_markdown(text, GUIDE, "guide/git.md") == text


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://cdn.example/x.js">',
        "<img alt=a src=//example.org/x.png>",
        '<link rel="stylesheet" href="https://e.org">',
    ],
)
def test_an_element_that_loads_from_another_host_is_found(element) -> None:
    assert REMOTE_LOAD.search(element)


@pytest.mark.parametrize(
    "element",
    [
        '<a href="https://e.org">',
        '<link rel="canonical" href="https://e.org">',
        '<script src="../x.js">',
        '<img src="x.svg">',
    ],
)
def test_links_that_a_reader_follows_and_local_files_are_not(element) -> None:
    assert not REMOTE_LOAD.search(element)


def test_the_pages_of_a_nav_are_found_at_any_depth() -> None:
    assert list(in_nav([{"A": "a.md"}, {"B": ["b.md", {"C": "c.md"}]}])) == ["a.md", "b.md", "c.md"]
