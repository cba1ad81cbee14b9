"""Scopes: their grammar, what they admit, against an independent reading of the same rules."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SHA, SHORT_SHA, law, needs, scope_texts

from hfproxy.core.policy.access import NEW_PULL_REQUEST, Action, Need, RepoType, Target, catalogue
from hfproxy.core.policy.scope import NAMESPACED, Scope, parse, scope_for
from hfproxy.errors import UsageError

MODELS, DATASETS, SPACES = RepoType.MODELS, RepoType.DATASETS, RepoType.SPACES


def need(action: str, place: str, *, lfs: bool = False) -> Need:
    """`need("read", "models/me/a@main")`: the need of a request, written short."""
    repo, _, ref = place.partition("@")
    kind, namespace, *name = repo.split("/")
    return Need(Action(action), Target(RepoType(kind), namespace, name[0] if name else None, ref or None), any_ref=lfs)


# --- grammar -----------------------------------------------------------------------------------------------


@given(scope_texts())
@law(400)
def test_a_scope_prints_back_as_it_was_typed(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("read", Scope(Action.READ)),
        ("read:models", Scope(Action.READ, MODELS)),
        ("read:models@main", Scope(Action.READ, MODELS, ref="main")),
        ("read:meta-llama/*", Scope(Action.READ, None, "meta-llama", "*")),
        ("read:meta-llama", Scope(Action.READ, None, "meta-llama")),
        ("read:models/gpt2", Scope(Action.READ, MODELS, "gpt2")),
        ("write:spaces/me/demo", Scope(Action.WRITE, SPACES, "me", "demo")),
        ("write:me/data@refs/pr/*", Scope(Action.WRITE, None, "me", "data", "refs/pr/*")),
        ("create:spaces/me", Scope(Action.CREATE, SPACES, "me")),
        ("read:models/models/x", Scope(Action.READ, MODELS, "models", "x")),
        ("infer", Scope(Action.INFER)),
        ("jobs:me", Scope(Action.JOBS, None, "me")),
        ("billing:ac*", Scope(Action.BILLING, None, "ac*")),
        ("read:me/a@x@y", Scope(Action.READ, None, "me", "a", "x@y")),
    ],
)
def test_what_the_grammar_allows_is_read_as_meant(text: str, scope: Scope) -> None:
    assert parse(text) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "read:",
        "Read:me/a",
        "READ",
        "read me/a",
        " read",
        "read ",
        "read\n",
        "read:me/a\n",
        "read:me/a ",
        "root:me/a",
        "*:me/a",
        "read:/",
        "read:/me",
        "read:me/",
        "read:me//a",
        "read:models/",
        "read:models/me/a/b",
        "read:me/a/b",
        "read:me/../b",
        "read:me/a@",
        "read:@main",
        "read:me/a@a b",
        "read:me/a@a..b",
        "read:me/a@a:b",
        "read:me/a@a~1",
        "read:me/a@a^",
        "read:me/a@[ab]",
        "read:me/a@a\\b",
        "read:me/a@a\x00",
        "read:me/a@ä",
        "read:me/a?",
        "read:me/a#x",
        "read:me/%61",
        "read:me\\a",
        "read:mé/a",
        "read:me/a\u202e",
        "read:ｍe/a",
        "read:me/{a,b}",
        "read:me/[ab]",
        "read:me/a:write",
        "jobs:models/me",
        "jobs:me/a",
        "jobs:me@main",
        "billing:spaces",
        "org:",
        "read:me/a;write:me/b",
        "read:me/a,write:me/b",
        "x" * 100_000,
        "read:" + "a/" * 50_000,
    ],
)
def test_what_the_grammar_does_not_know_is_refused_in_one_short_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 400
    assert "for example" in said


@given(st.text())
@law(400)
def test_any_text_is_a_scope_or_a_usage_error(text: str) -> None:
    try:
        scope = parse(text)
    except UsageError as error:
        assert str(error).isprintable()
    else:
        assert str(scope) == text


@given(st.sampled_from(Action), st.text(alphabet="ab*/@.:-%\\é \n", max_size=12))
@law(400)
def test_any_place_is_a_scope_or_a_usage_error(action: Action, place: str) -> None:
    try:
        scope = parse(f"{action}:{place}")
    except UsageError:
        return
    assert str(scope) == f"{action}:{place}"


# --- what a scope admits -----------------------------------------------------------------------------------

ADMITS = [
    # TYPE words, one segment, legacy ids
    ("read", "read models/me/a"),
    ("read:models", "read models/me/a"),
    ("read:models", "read models/gpt2"),
    ("read:models/gpt2", "read models/gpt2"),
    ("read:models/gpt2", "read models/gpt2/any"),
    ("read:gpt2", "read datasets/gpt2"),
    ("read:gpt2/*", "read models/gpt2"),
    ("read:me", "read spaces/me/a"),
    ("read:me/*", "read spaces/me/a"),
    ("read:*", "read spaces/me/a"),
    ("read:*/a", "read spaces/me/a"),
    ("read:ME/A", "read models/me/a"),
    ("read:me/a", "read models/ME/a"),
    ("read:me/foo-*", "read models/me/foo-bar"),
    ("read:me/foo-*", "read models/me/foo-"),
    # write includes read
    ("write:me/a", "read models/me/a"),
    ("write:me/a@main", "read models/me/a@main"),
    # refs
    ("write:me/a@main", "write models/me/a@main"),
    ("write:me/a@main", "write models/me/a@refs/heads/main"),
    ("write:me/a@refs/heads/main", "write models/me/a@main"),
    ("write:me/a@feature/*", "write models/me/a@refs/heads/feature/x"),
    ("write:me/a@refs/pr/*", "write models/me/a@refs/pr/7"),
    (f"read:me/a@{SHA}", f"read models/me/a@{SHA}"),
    ("write:me/a", f"read models/me/a@{SHA}"),
    # a ref-bound scope: ref-less reads and LFS uploads
    ("write:me/a@main", "read models/me/a"),
    ("read:me/a@main", "read models/me/a"),
    ("write:me/a@main", "lfs models/me/a"),
    # pull requests
    ("discuss:me/a", f"write models/me/a@{NEW_PULL_REQUEST}"),
    ("write:me/a", f"write models/me/a@{NEW_PULL_REQUEST}"),
    ("write:me/a@refs/pr/*", f"write models/me/a@{NEW_PULL_REQUEST}"),
    (f"write:me/a@{NEW_PULL_REQUEST}", f"write models/me/a@{NEW_PULL_REQUEST}"),
]
OBJECTS = [
    ("read:models", "read datasets/me/a"),
    ("read:models/gpt2", "read datasets/gpt2"),
    ("read:models/gpt2", "read models/gpt"),
    ("read:models/gpt2", "read models/gpt22"),
    ("read:gpt2/x", "read models/gpt2"),
    ("read:me/a", "read models/me/b"),
    ("read:me/a", "read models/me"),
    ("read:me/foo-*", "read models/me/foo"),
    ("read:me/foo-*", "read models/me/xfoo-bar"),
    # a star never leaves its segment
    ("read:m*a", "read models/me/a"),
    ("write:me/a@feature*", "write models/me/a@feature/x"),
    ("write:me/a@*", "write models/me/a@feature/x"),
    ("write:me/a@refs/*", "write models/me/a@refs/pr/1"),
    # refs compare with regard to case, and whole
    ("write:me/a@main", "write models/me/a@Main"),
    ("write:me/a@main", "write models/me/a@main2"),
    ("write:me/a@main", "write models/me/a@refs/tags/main"),
    ("write:me/a@main", "write models/me/a@refs/heads/refs/heads/main"),
    # a commit is no branch, whatever glob there is
    ("read:me/a@main", f"read models/me/a@{SHA}"),
    ("read:me/a@*", f"read models/me/a@{SHA}"),
    ("read:me/a@*", f"read models/me/a@{SHORT_SHA}"),
    ("read:me/a@0*", f"read models/me/a@{SHA}"),
    (f"read:me/a@{SHA}", f"read models/me/a@{SHORT_SHA}"),
    (f"read:me/a@{SHORT_SHA}", f"read models/me/a@{SHA}"),
    (f"read:me/a@{SHORT_SHA}", f"read models/me/a@refs/heads/{SHORT_SHA}"),
    # no other ref-less operation under a ref
    ("write:me/a@main", "write models/me/a"),
    ("delete:me/a@main", "delete models/me/a"),
    ("settings:me/a@*", "settings models/me/a"),
    ("secrets:me/a@main", "secrets spaces/me/a"),
    ("run:me/a@main", "run spaces/me/a"),
    ("read:me/a@main", "lfs models/me/a"),
    ("discuss:me/a@main", "lfs models/me/a"),
    # pull requests
    ("write:me/a@main", f"write models/me/a@{NEW_PULL_REQUEST}"),
    ("discuss:me/b", f"write models/me/a@{NEW_PULL_REQUEST}"),
    ("discuss:me/a", "write models/me/a@refs/pr/1"),
    ("discuss:me/a", "write models/me/a@main"),
    ("discuss:me/a", "write models/me/a"),
    ("discuss:me/a", "lfs models/me/a"),
    ("discuss:me/a", f"merge models/me/a@{NEW_PULL_REQUEST}"),
    ("discuss:me/a", f"run models/me/a@{NEW_PULL_REQUEST}"),
]


def spelled(text: str) -> Need:
    action, place = text.split(" ")
    return need("write", place, lfs=True) if action == "lfs" else need(action, place)


@pytest.mark.parametrize(("scope", "text"), ADMITS)
def test_a_scope_admits_what_it_covers(scope: str, text: str) -> None:
    assert parse(scope).admits(spelled(text))


@pytest.mark.parametrize(("scope", "text"), OBJECTS)
def test_a_scope_admits_nothing_else(scope: str, text: str) -> None:
    assert not parse(scope).admits(spelled(text))


@pytest.mark.parametrize("held", Action)
@pytest.mark.parametrize("wanted", Action)
def test_write_includes_read_and_nothing_else_implies_another(held: Action, wanted: Action) -> None:
    admitted = parse(held.value).admits(Need(wanted, Target(MODELS, "me", "a", "main")))
    assert admitted == (held is wanted or (held is Action.WRITE and wanted is Action.READ))


@pytest.mark.parametrize("text", ["read", "read:models", "read:*", "read:*/*", "read:models/*", "write"])
def test_the_catalogue_is_read_by_a_scope_for_all_of_it(text: str) -> None:
    assert parse(text).admits(Need(Action.READ, catalogue(MODELS)))


@pytest.mark.parametrize("text", ["read:datasets", "read:me", "read:models/me", "read:*/a", "read:m*", "infer"])
def test_the_catalogue_is_not_read_by_a_narrower_scope(text: str) -> None:
    assert not parse(text).admits(Need(Action.READ, catalogue(MODELS)))


@given(scope_texts(), needs())
@law(1500)
def test_scopes_agree_with_an_independent_reading_of_the_design(text: str, wanted: Need) -> None:
    assert parse(text).admits(wanted) == admits_by_the_book(text, wanted)


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=8))
@law(1500)
def test_globs_agree_with_a_slow_oracle(pattern: str, text: str) -> None:
    name = Scope(Action.READ, None, "me", f"x{pattern}")
    assert name.admits(Need(Action.READ, Target(MODELS, "me", f"x{text}"))) == glob_by_the_book(pattern, text)
    ref = Scope(Action.WRITE, None, "me", "a", f"x{pattern}/y")
    given_ref = Target(MODELS, "me", "a", f"x{text}/y")
    assert ref.admits(Need(Action.WRITE, given_ref)) == glob_by_the_book(pattern, text)


def test_a_row_of_stars_is_matched_at_once() -> None:
    # A backtracking matcher would need longer than the universe has had.
    scope = parse("read:me/" + "a*" * 40 + "b")
    assert not scope.admits(need("read", "models/me/" + "a" * 96))
    assert scope.admits(need("read", "models/me/" + "a" * 95 + "b"))


@given(needs())
@law(400)
def test_the_scope_that_is_advised_would_admit_the_need(wanted: Need) -> None:
    advised = scope_for(wanted)
    assert advised.admits(wanted)
    assert parse(str(advised)) == advised


@pytest.mark.parametrize("kind", [None, *RepoType])
def test_the_scope_advised_for_a_search_would_admit_it(kind: RepoType | None) -> None:
    wanted = Need(Action.READ, catalogue(kind))
    assert parse(str(scope_for(wanted))).admits(wanted)


@pytest.mark.parametrize(
    ("text", "namespace", "reached"),
    [
        ("read", "acme", True),
        ("read:ACME/x", "acme", True),
        ("read:ac*", "acme", True),
        ("read:me", "acme", False),
        ("read:models", "acme", True),
    ],
)
def test_a_scope_knows_which_namespaces_it_reaches(text: str, namespace: str, reached: bool) -> None:
    assert parse(text).covers_namespace(namespace) is reached


# --- the oracles: slow, plain, sharing nothing with the code ----------------------------------------------------


def glob_by_the_book(pattern: str, text: str) -> bool:
    """`*` is any run, every other character is itself."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob_by_the_book(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and glob_by_the_book(pattern[1:], text[1:])


def admits_by_the_book(text: str, wanted: Need) -> bool:
    """The rules of docs/guide/scopes.md, one by one, on the text of the scope."""
    action, _, rest = text.partition(":")
    place, _, ref = rest.partition("@")
    segments = place.split("/") if place else []
    kind = segments.pop(0) if segments and segments[0] in {"models", "datasets", "spaces", "kernels", "buckets"} else ""
    target = wanted.target
    opens_pull_request = wanted.action.value == "write" and target.ref == "refs/pr/new"
    if action != wanted.action.value:
        reads_by_write = action == "write" and wanted.action.value == "read"
        if not reads_by_write and not (action == "discuss" and opens_pull_request):
            return False
    if kind and (target.type is None or kind != target.type.value):
        return False
    if segments and not glob_by_the_book(segments[0].lower(), (target.namespace or "").lower()):
        return False
    if len(segments) > 1 and segments[1] != "*":
        if target.name is None or not glob_by_the_book(segments[1].lower(), target.name.lower()):
            return False
    if not ref:
        return True
    if target.ref is None:
        return wanted.action.value == "read" or wanted.any_ref
    return ref_by_the_book(ref, target.ref)


def ref_by_the_book(pattern: str, ref: str) -> bool:
    def commit(name: str) -> bool:
        return re.fullmatch(r"[0-9a-fA-F]{7,64}", name) is not None

    if commit(ref):
        return pattern == ref
    if ref.startswith("refs/heads/") and commit(ref[11:]):
        return pattern == ref
    wanted = pattern[11:] if pattern.startswith("refs/heads/") and not commit(pattern[11:]) else pattern
    given_ref = ref.removeprefix("refs/heads/")
    if wanted.count("/") != given_ref.count("/"):
        return False
    return all(map(glob_by_the_book, wanted.split("/"), given_ref.split("/")))


def test_the_namespaced_words_are_those_of_the_design() -> None:
    assert {word.value for word in NAMESPACED} == {
        "endpoints", "jobs", "webhooks", "collections", "profile", "billing", "org",
    }  # fmt: skip
