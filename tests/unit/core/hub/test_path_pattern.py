"""The grammar of paths: what each placeholder takes, and what it must not take."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.hub.path_pattern import NOT_NAMESPACES, PLACEHOLDERS, REPO_SUBPATHS, PathPattern

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("pattern", "path", "parts"),
    [
        ("/api/{T}/{R}", "/api/models/me/a", {"type": "models", "ns": "me", "name": "a"}),
        ("/api/{T}/{R}", "/api/kernels/gpt2", {"type": "kernels", "ns": "gpt2", "name": None}),
        ("/api/{T}/{R}", "/api/spaces/me/a", {"type": "spaces", "ns": "me", "name": "a"}),
        ("/api/{S}/{R}", "/api/spaces/me/a", {"type": "spaces", "ns": "me", "name": "a"}),
        ("/{W}{R}{git}/info/refs", "/me/a.git/info/refs", {"type": None, "ns": "me", "name": "a"}),
        ("/{W}{R}{git}/info/refs", "/datasets/me/a/info/refs", {"type": "datasets", "ns": "me", "name": "a"}),
        ("/api/{B}", "/api/buckets/me/a", {"type": "buckets", "ns": "me", "name": "a"}),
        ("/api/{buckets}/{ns}", "/api/buckets/me", {"type": "buckets", "ns": "me"}),
        ("/x/{rev}", "/x/main", {"rev": "main"}),
        ("/x/{rev}", "/x/refs%2Fheads%2Fa", {"rev": "refs%2Fheads%2Fa"}),
        ("/x/{rev}", "/x/refs/pr/12", {"rev": "refs/pr/12"}),
        ("/x/{rev}", "/x/refs/convert/parquet", {"rev": "refs/convert/parquet"}),
        ("/x/{sha}", f"/x/{SHA}", {"rev": SHA}),
        ("/x/{tag}", "/x/v1.0", {"tag": "v1.0"}),
        ("/x/{compare}", "/x/main..dev", {"rev": "main", "other": "dev"}),
        ("/x/{compare}", "/x/main...dev", {"rev": "main", "other": "dev"}),
        ("/x/{compare}", "/x/v1.0..v2.0", {"rev": "v1.0", "other": "v2.0"}),
        ("/x/{id}", "/x/a-b_1.c", {}),
        ("/x/{num}", "/x/12", {}),
        ("/x/{path}", "/x/a/b", {"path": "a/b"}),
        ("/x/{coded}", "/x/a%2Fb", {"coded": "a%2Fb"}),
        ("/x.y", "/x.y", {}),
    ],
)
def test_a_path_gives_its_parts(pattern: str, path: str, parts: dict[str, str | None]) -> None:
    match = PathPattern(pattern).fullmatch(path)
    assert match is not None
    assert match.groupdict() == parts


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/api/{T}/{R}", "/api/buckets/me/a"),
        ("/api/{T}/{R}", "/api/models/me/a/b"),
        ("/api/{T}/{R}", "/api/models/"),
        ("/api/{S}/{R}", "/api/models/me/a"),
        ("/{W}{R}", "/models/me/a"),
        ("/api/{B}", "/api/buckets/me"),
        ("/x/{rev}", "/x/a/b"),
        ("/x/{rev}", "/x/refs/heads/a"),
        ("/x/{rev}", "/x/refs/pr/a"),
        ("/x/{rev}", "/x/refs/"),
        ("/x/{rev}", "/x/"),
        ("/x/{sha}", f"/x/{SHA[:-1]}"),
        ("/x/{sha}", f"/x/{SHA}0"),
        ("/x/{sha}", f"/x/{SHA.upper()}"),
        ("/x/{tag}", "/x/a/b"),
        ("/x/{compare}", "/x/main"),
        ("/x/{compare}", "/x/main.dev"),
        ("/x/{compare}", "/x/..dev"),
        ("/x/{compare}", "/x/main.."),
        ("/x/{id}", "/x/a..b"),
        ("/x/{id}", "/x/.a"),
        ("/x/{id}", "/x/a/b"),
        ("/x/{num}", "/x/a"),
        ("/x/{num}", "/x/"),
        ("/x/{path}", "/x/"),
        ("/x.y", "/xzy"),
        ("/x", "/x/"),
        ("/x", "/y"),
        ("/a/{num}/b", "/a/1/c"),
    ],
)
def test_a_path_outside_of_the_grammar_fits_nothing(pattern: str, path: str) -> None:
    assert PathPattern(pattern).fullmatch(path) is None


@pytest.mark.parametrize("name", ["a", "_a", "A-b", "a.b", "a_b", "0", "a" * 96])
def test_ids(name: str) -> None:
    assert PathPattern("/{ns}").fullmatch(f"/{name}") is not None


@pytest.mark.parametrize("name", ["", "-a", ".a", "a.", "a-", "a..b", "a.git", "a.GIT", "a b", "a%41", "é", "a" * 97])
def test_an_id_that_two_routers_could_read_differently_is_none(name: str) -> None:
    assert PathPattern("/{ns}").fullmatch(f"/{name}") is None
    assert PathPattern("/api/{T}/{R}").fullmatch(f"/api/models/me/{name}") is None


@pytest.mark.parametrize("word", [*NOT_NAMESPACES, "API", "Models"])
def test_a_word_of_the_hub_is_no_namespace(word: str) -> None:
    for pattern, path in (
        ("/{ns}", f"/{word}"),
        ("/{W}{R}", f"/datasets/{word}/a"),
        ("/api/{B}", f"/api/buckets/{word}/a"),
    ):
        assert PathPattern(pattern).fullmatch(path) is None
    assert PathPattern("/{ns}").fullmatch(f"/x{word}") is not None


@pytest.mark.parametrize("word", [*REPO_SUBPATHS, "Resolve", "TREE"])
def test_a_word_that_follows_an_id_is_no_name(word: str) -> None:
    for pattern, path in (("/api/{T}/{R}", f"/api/models/me/{word}"), ("/api/{B}", f"/api/buckets/me/{word}")):
        assert PathPattern(pattern).fullmatch(path) is None
    assert PathPattern("/{W}{R}").fullmatch(f"/me/{word}x") is not None


@given(st.sampled_from(sorted(PLACEHOLDERS)), st.text(st.sampled_from("/amn.12é%-_"), max_size=12))
@law()
def test_a_pattern_agrees_with_its_expression_at_every_call(placeholder: str, text: str) -> None:
    """The expression is compiled late, so the first call and the second take different ways."""
    pattern = PathPattern(f"/x/{placeholder}/y")
    whole = re.fullmatch(f"/x/{PLACEHOLDERS[placeholder]}/y", f"/x/{text}/y")
    for _ in range(2):
        match = pattern.fullmatch(f"/x/{text}/y")
        assert (match and match.groupdict()) == (whole and whole.groupdict())
        assert pattern.fullmatch(f"/z/{text}/y") is None
        assert pattern.fullmatch(f"/x/{text}/z") is None
