"""The table: every row by vectors that were labelled without it, what its scopes decide, and what holds for all rows."""

import pytest
import vectors
from hypothesis import given
from strategies import law
from toolchain.references import ROOT, anchors
from vectors import Vector, accepted
from vectors.mutated import METHODS, OF_ROUTES, mutated

from hfproxy.core.hub import classify
from hfproxy.core.policy.decision import Deny
from hfproxy.core.hub import route_table
from hfproxy.core.hub.route_table import ROUTES, PathMatch, Route, SpecialRoute
from hfproxy.core.policy.access import Action, Need, RepoType, Target

DECIDED = [vector for vector in OF_ROUTES if "decide" in vector]
PROTOCOL = anchors(ROOT / "docs" / "hub-protocol.md")


def row_name(route: Route) -> str:
    return f"{route.methods} {route.path}"


def fitting(method: str, target: str) -> list[Route]:
    path = target.split("?")[0]
    return [route for row, route in classify.ROUTES_BY_METHOD.get(method, ()) if row.fullmatch(path)]


@pytest.mark.parametrize("vector", vectors.cases(OF_ROUTES))
def test_each_request_needs_what_its_vector_says(vector: Vector) -> None:
    assert vectors.spelled(vectors.attempt(vector)) == vectors.expected(vector)


@pytest.mark.parametrize("vector", vectors.cases(DECIDED))
def test_each_scope_decides_as_its_vector_says(vector: Vector) -> None:
    assert {scopes: vectors.decision(vector, scopes) for scopes in vector["decide"]} == vector["decide"]


def test_strict_turns_anonymous_reads_off_and_nothing_else() -> None:
    for vector in DECIDED:
        for scopes, decision in vector["decide"].items():
            strict = vectors.decision(vector, scopes, strict=True)
            assert strict in ({"strict", "scope"} if decision == "scope" else {decision.replace("anonymous", "strict")})


@pytest.mark.parametrize("route", ROUTES, ids=row_name)
def test_every_row_has_a_vector_that_passes_for_each_method_and_one_that_is_refused(route: Route) -> None:
    for method in route.methods.split():
        mine = [one for one in OF_ROUTES if one["method"] == method and route in fitting(method, one["target"])]
        if isinstance(route.derives, SpecialRoute):
            assert route.derives.name in {one.get("special") for one in mine}
            continue
        decided = {decision for one in mine for decision in one.get("decide", {}).values()}
        assert "allow" in decided
        assert decided & {"scope", "anonymous"}


MODEL = Target(RepoType.MODELS, "me", "a", "main")
OWN = Target(None, None)


@pytest.mark.parametrize(
    ("derive", "match", "needs"),
    [
        (route_table.READ, PathMatch(MODEL), [Need(Action.READ, MODEL)]),
        (route_table.WRITE, PathMatch(None), [Need(Action.WRITE, OWN)]),
        (route_table.on_account(Action.PROFILE), PathMatch(MODEL), [Need(Action.PROFILE, OWN)]),
        (
            route_table.needs_of_compare,
            PathMatch(MODEL, other_ref="dev"),
            [Need(Action.READ, MODEL), Need(Action.READ, MODEL.at("dev"))],
        ),
        (route_table.needs_of_compare, PathMatch(None), [Need(Action.READ, OWN), Need(Action.READ, OWN.at(""))]),
        (route_table.needs_of_lfs_upload, PathMatch(MODEL), [Need(Action.WRITE, MODEL, any_ref=True)]),
        (route_table.needs_of_lfs_upload, PathMatch(None), [Need(Action.WRITE, OWN, any_ref=True)]),
        (route_table.needs_of_commit, PathMatch(MODEL), [Need(Action.WRITE, MODEL)]),
        (
            route_table.needs_of_commit,
            PathMatch(MODEL, (("hot_reload", "1"),)),
            [Need(Action.WRITE, MODEL), Need(Action.RUN, MODEL)],
        ),
        (
            route_table.needs_of_search,
            PathMatch(Target(RepoType.SPACES, None)),
            [Need(Action.READ, Target(RepoType.SPACES, "", ""))],
        ),
        (route_table.needs_of_search, PathMatch(None), [Need(Action.READ, Target(None, "", ""))]),
        (
            route_table.needs_of_listing,
            PathMatch(Target(RepoType.BUCKETS, "me")),
            [Need(Action.READ, Target(RepoType.BUCKETS, "me", ""))],
        ),
        (route_table.needs_of_listing, PathMatch(None), [Need(Action.READ, Target(None, "", ""))]),
        (route_table.needs_of_refs, PathMatch(MODEL, (("service", "git-upload-pack"),)), [Need(Action.READ, MODEL)]),
        (
            route_table.needs_of_refs,
            PathMatch(MODEL, (("service", "git-receive-pack"),)),
            [Need(Action.WRITE, MODEL, any_ref=True)],
        ),
    ],
)
def test_needs_come_from_the_path_and_fall_back_to_the_own_user(
    derive: route_table.Needs, match: PathMatch, needs: list[Need]
) -> None:
    assert list(derive(match)) == needs


@pytest.mark.parametrize("route", ROUTES, ids=row_name)
def test_every_row_says_where_it_was_seen(route: Route) -> None:
    assert route.source in {"api", "git"} or route.source.removeprefix("#") in PROTOCOL


def test_every_accepted_vector_fits_exactly_one_row() -> None:
    for vector in filter(accepted, OF_ROUTES):
        assert len(fitting(vector["method"], vector["target"])) == 1, vector


@given(mutated())
@law(2000)
def test_where_two_rows_fit_they_take_the_same(request: tuple[str, str]) -> None:
    # `POST /api/jobs/me/auth-check/cancel` is one or the other: so the order of the rows decides nothing.
    assert len({(route.derives, route.policy_keys) for route in fitting(*request)}) <= 1


def test_no_row_appears_twice() -> None:
    rows = [(method, route.path) for route in ROUTES for method in route.methods.split()]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_no_row_names_is_refused(method: str) -> None:
    for vector in filter(accepted, OF_ROUTES):
        path = str(vector["target"]).split("?")[0]
        known = {
            word for row, route in classify.COMPILED_ROUTES if row.fullmatch(path) for word in route.methods.split()
        }
        if method not in known:
            assert isinstance(classify.classify(method, str(vector["target"])), Deny), vector


def test_every_method_and_nothing_else_is_upper_case() -> None:
    for route in ROUTES:
        assert set(route.methods.split()) <= set(METHODS)
        assert isinstance(classify.classify(route.methods.split()[0].lower(), route.path), Deny)
