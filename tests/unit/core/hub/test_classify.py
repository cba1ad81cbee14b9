"""`classify`: every trick with an address by a corpus, no other reading by a naive router beside it, and its laws."""

import re
from urllib.parse import unquote

import pytest
import vectors
from hypothesis import given
from hypothesis import strategies as st
from strategies import law
from vectors import Vector
from vectors.mutated import CALLS, CONFUSION, METHODS, OF_ROUTES, mutated

from hfproxy.core.hub import classify
from hfproxy.core.policy.access import Action, Need, Target
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.hub.strict_json import BodySpec
from hfproxy.core.policy.decision import decide
from hfproxy.core.policy.caveats import InScopes, Usage
from hfproxy.core.hub.classify import Classified, BodyRequired, RefUpdatesRequired
from hfproxy.core.policy.scope import parse, scope_for
from hfproxy.core.hub.route_table import ReceivePack, SpecialRoute


# --- path confusion: docs/threat-model.md#t9, docs/threat-model.md#t10 -----------------------------------------------


@pytest.mark.parametrize("vector", vectors.cases(CONFUSION))
def test_a_target_that_can_be_read_in_two_ways_is_refused(vector: Vector) -> None:
    found, expected = vectors.spelled(vectors.attempt(vector)), vectors.expected(vector)
    assert found in ("bad_target", "unknown_route") if expected == "any" else found == expected


WORDS = (
    "resolve tree blob raw refs commit commits revision preupload paths-info jwt auth-check xet-read-token likers like"
    " xet-write-token secrets variables runtime restart pause hardware sleeptime dev-mode storage volumes logs events"
    " metrics discussions settings info branch tag super-squash lfs-files treesize compare scan notebook duplicate host"
    " resource-group leaderboard safetensors-metadata user-access-request user-access-report ask-access sql-console"
    " parquet git-upload-pack git-receive-pack"
).split()
REPOSITORIES = {"models", "datasets", "spaces", "kernels"}
NAMESPACED = {"jobs", "scheduled-jobs", "inference-endpoints", "collections", "organizations", "users"}


def naive_repos(path: str) -> set[tuple[str, ...]]:
    """The repositories or namespaces a router without any of our care could take a path to be about."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        parts = parts[1:]
        cached = parts[:1] == ["resolve-cache"]
        kind, *rest = parts[1:] if cached else parts
        if cached:
            # The Hub puts a commit after the id; without one, the id may end anywhere.
            ends = [end for end in (1, 2) if re.fullmatch("[0-9a-f]{40}", rest[end : end + 1][0] if rest[end:] else "")]
            return {(kind, *rest[:end]) for end in (ends[:1] or (1, 2))}
        if kind in NAMESPACED:
            return {(rest[0],)}
    else:
        kind, *rest = parts if parts[0] in {*REPOSITORIES, "buckets"} - {"models"} else ["models", *parts]
    if kind == "buckets":
        return {(kind, *rest[:2])}
    end = 1 if len(rest) == 1 or rest[1] in WORDS else 2
    if rest[end - 1].endswith(".git"):
        rest[end - 1] = rest[end - 1][:-4]
    return {(kind, *rest[:end])}


def lenient_readings(path: str) -> set[str]:
    """What decoding once or twice, and tidying up afterwards, may make of a path."""
    found = {path}
    for change in (unquote, unquote, strip_parameters, tidy, str.lower):
        found |= {change(reading) for reading in found}
    return found


def strip_parameters(path: str) -> str:
    return "/".join(part.split(";")[0] for part in path.split("/"))


def tidy(path: str) -> str:
    stack: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            del stack[-1:]
        elif part not in {"", "."}:
            stack.append(part)
    return "/" + "/".join(stack)


def assert_one_reading(method: str, raw: str) -> bool:
    """Whatever is accepted is about the repository that every lenient reader would find as well."""
    found = classify.classify(method, raw)
    if isinstance(found, Deny):
        return False
    target = first_target(found) if isinstance(found, Classified) else found.target
    if target is None or not target.namespace:
        return False
    ours = tuple(part.lower() for part in (target.type or "", target.namespace, target.name) if part)
    for reading in lenient_readings(raw.split("?")[0]):
        others = {tuple(map(str.lower, repo)) for repo in naive_repos(reading)}
        assert others == {ours}, f"{raw} may be read as {reading}"
    return True


def first_target(found: Classified) -> Target | None:
    return None if found.access is None else found.access.needs[0].target


def test_the_naive_reader_reads_every_accepted_vector_as_we_do() -> None:
    read = [assert_one_reading(str(one["method"]), str(one["target"])) for one in [*OF_ROUTES, *CONFUSION, *CALLS]]
    assert sum(read) > 500


@given(mutated())
@law(3000)
def test_no_mutated_target_is_about_another_repository_than_we_say(request: tuple[str, str]) -> None:
    assert_one_reading(*request)


# --- classify never raises --------------------------------------------------------------------------------------------


def assert_decided(method: str, raw: str, bill_to: str | None = None) -> None:
    found = classify.classify(method, raw, bill_to)
    match found:
        case Deny():
            assert found.refusal in {Refusal.BAD_TARGET, Refusal.UNKNOWN_ROUTE}
            assert found.why.isascii()
        case BodyRequired():
            assert isinstance(found.route.derives, BodySpec)
            assert 0 < found.limit <= 16 * 1024 * 1024
        case RefUpdatesRequired():
            assert found.route.derives is ReceivePack.COMMANDS
        case Classified(access=None):
            assert isinstance(found.route.derives, SpecialRoute)
        case Classified(access=access):
            assert access is not None
            for need in access.needs:
                assert_plain(need)


def assert_plain(need: Need) -> None:
    """Nothing in an id could widen the scope that is advised for it, or break a line of the journal."""
    advised = scope_for(need)
    assert parse(str(advised)) == advised
    for part in (need.target.namespace, need.target.name):
        assert part is None or part == "" or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", part)


@given(st.text(max_size=8), st.text(max_size=40), st.none() | st.text(max_size=8))
@law(500)
def test_classify_never_raises_whatever_it_is_given(method: str, raw: str, bill_to: str | None) -> None:
    classify.classify(method, raw, bill_to)
    classify.classify(method, "/api/models/me/a" + raw, bill_to)


@given(mutated(), st.none() | st.sampled_from(["me", "acme", "", "a/b", "a b", "é", "a\nb", "-a"]))
@law(1000)
def test_every_answer_of_classify_is_one_that_the_daemon_knows(request: tuple[str, str], bill_to: str | None) -> None:
    assert_decided(*request, bill_to)


@given(mutated())
@law(500)
def test_what_classify_accepts_is_sent_as_it_came(request: tuple[str, str]) -> None:
    # There is no other form of it: what was classified is the argument itself, and it is plain ASCII.
    method, raw = request
    if not isinstance(classify.classify(method, raw), Deny):
        assert raw == raw.encode("ascii").decode("latin-1")
        assert raw.startswith("/")
        assert not raw.startswith("//")


def test_a_long_target_is_answered_at_once() -> None:
    for raw in ("/" + "a/" * 30_000, "/api/models/" + "a" * 60_000, "/" + "a.git" * 10_000, "/" + "%41" * 20_000):
        assert isinstance(classify.classify("GET", raw), Deny)
    assert not isinstance(classify.classify("GET", "/me/a/resolve/main/" + "a/" * 30_000 + "a"), Deny)


# --- minting -----------------------------------------------------------------------------------------------------

MINTING = sorted(
    {(one["method"], str(one["target"]).split("?")[0]) for one in OF_ROUTES if one.get("special") == "MINTING"}
)


@pytest.mark.parametrize(("method", "path"), MINTING)
@given(query=st.none() | st.text(alphabet="abwrite=&;10%[]_createpr", max_size=20).filter(bool))
@law(40)
def test_a_minting_route_is_refused_whatever_its_query_and_method(method: str, path: str, query: str | None) -> None:
    raw = path if query is None else f"{path}?{query}"
    for word in {method, *METHODS}:
        found = classify.classify(word, raw)
        assert isinstance(found, Deny) or (
            isinstance(found, Classified) and found.route.derives is SpecialRoute.MINTING
        )
        if isinstance(found, Classified):
            assert found.access is None


# --- who pays ------------------------------------------------------------------------------------------------------


def test_the_payer_is_part_of_the_access() -> None:
    found = classify.classify("GET", "/api/models/me/a", "acme")
    assert isinstance(found, Classified)
    assert found.access is not None
    assert found.access.bill_to == "acme"
    # A foreign payer makes even a public read something that only a scope allows.
    access = found.access.resolved_for("me")
    scopes = InScopes((parse("read"),))
    assert isinstance(decide(access, scopes.prohibits(access, Usage(0))), Deny)


@pytest.mark.parametrize("payer", ["", " ", "a b", "a/b", "acme, me", "é", "a\nb", "acme\x00", "-a", "../x", "*"])
def test_a_payer_that_is_no_name_is_refused(payer: str) -> None:
    assert isinstance(classify.classify("GET", "/api/models/me/a", payer), Deny)


def test_the_payer_of_a_body_named_access_counts_too() -> None:
    need = classify.classify("POST", "/api/repos/create", "acme")
    assert isinstance(need, BodyRequired)
    found = classify.classify_body(need, b'{"name":"demo"}', "application/json", "", "acme")
    assert isinstance(found, Classified)
    assert found.access is not None
    assert Need(Action.BILLING, Target(None, "acme")) in found.access.resolved_for("me").needs


# --- what the address names ------------------------------------------------------------------------------------------

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("method", "target", "needs"),
    [
        ("GET", "/api/models/me/a", ["read models/me/a"]),
        ("GET", "/api/models/me/a/revision/dev", ["read models/me/a@dev"]),
        ("GET", "/api/models/me/a/revision/refs%2Fpr%2F1", ["read models/me/a@refs/pr/1"]),
        ("GET", "/datasets/me/a/resolve/main/x/y", ["read datasets/me/a@main"]),
        ("GET", f"/me/a/resolve/{SHA}/x", [f"read models/me/a@{SHA}"]),
        ("GET", "/api/models/me/a/compare/main..dev", ["read models/me/a@main", "read models/me/a@dev"]),
        ("DELETE", "/api/models/me/a/tag/v1", ["delete models/me/a@refs/tags/v1"]),
        ("POST", "/api/models/me/a/commit/main", ["write models/me/a@main"]),
        ("POST", "/api/models/me/a/commit/main?create_pr=1", ["write models/me/a@refs/pr/new"]),
    ],
)
def test_the_repository_and_its_refs_come_from_the_path(method: str, target: str, needs: list[str]) -> None:
    assert vectors.spelled(vectors.attempt({"method": method, "target": target})) == needs


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/me/a/resolve/main/x%2Fy", "encoded slash"),
        ("/me/a/resolve/main~3/x", "not the name of a ref"),
        ("/api/models/me/a?create_pr=1", "has no meaning"),
        ("/me/a.git/info/refs", "without a service"),
        ("/api/models/me/a/revision/refs%2Fpr%2Fnew", "not the name of a ref"),
    ],
)
def test_an_address_without_one_meaning_is_a_bad_target(target: str, why: str) -> None:
    found = classify.classify("GET", target)
    assert isinstance(found, Deny)
    assert found.refusal is Refusal.BAD_TARGET
    assert why in found.why


def test_a_path_without_a_repository_has_no_target() -> None:
    found = classify.classify("POST", "/api/repos/create")
    assert isinstance(found, BodyRequired)
    assert found.target is None


@pytest.mark.parametrize(
    ("method", "target", "refusal"),
    [
        ("GET", "/api/models/me/%61", Refusal.BAD_TARGET),
        ("GET", "/api/no-such-thing/%61/b/c/d", Refusal.UNKNOWN_ROUTE),
        ("GET", "/api/no-such-thing/a/b/c/d", Refusal.UNKNOWN_ROUTE),
        ("PATCH", "/api/models/me/a", Refusal.UNKNOWN_ROUTE),
        ("NONSENSE", "/api/models/me/a", Refusal.UNKNOWN_ROUTE),
    ],
)
def test_an_address_without_a_row_is_unknown_and_one_that_has_one_decoded_is_bad(
    method: str, target: str, refusal: Refusal
) -> None:
    found = classify.classify(method, target)
    assert isinstance(found, Deny)
    assert found.refusal is refusal
