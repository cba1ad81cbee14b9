"""`make drift` on small made-up OpenAPI documents."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toolchain.drift import differences, main
from vectors.mutated import OF_ROUTES

from vectors import accepted

ROOT = Path(__file__).parents[2]
KNOWN = "/api/models/{namespace}/{repo}/scan"


def in_path(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "schema": {"type": "string", **({"enum": list(values)} if values else {})}}


def whole() -> dict[str, Any]:
    """A document with an operation for every row: the addresses of the vectors, as they stand."""
    paths: dict[str, Any] = {}
    for vector in filter(accepted, OF_ROUTES):
        paths.setdefault(vector["target"].split("?")[0], {})[vector["method"].lower()] = {"summary": "x"}
    return {"openapi": "3.1.0", "paths": paths}


def new(paths: dict[str, Any]) -> list[str]:
    return [line.removeprefix("new   ") for line in differences({"paths": paths}) if line.startswith("new")]


def test_a_document_with_an_operation_for_every_row_differs_in_nothing() -> None:
    assert list(differences(whole())) == []


def test_an_operation_that_no_row_fits_is_new() -> None:
    document = whole()
    document["paths"]["/api/models/{namespace}/{repo}/transmogrify/{rev}"] = {"post": {}, "get": {}}
    document["paths"]["/api/models/{namespace}/{repo}/scan"] = {"get": {}, "patch": {}}
    assert list(differences(document)) == [
        "new   GET /api/models/{namespace}/{repo}/transmogrify/{rev}",
        "new   POST /api/models/{namespace}/{repo}/transmogrify/{rev}",
        "new   PATCH /api/models/{namespace}/{repo}/scan",
    ]


def test_a_row_that_no_operation_fits_any_more_is_gone() -> None:
    document = whole()
    paths = document["paths"]
    document["paths"] = {path: item for path, item in paths.items() if not path.endswith(("/scan", "/likers"))}
    # Likers are not in the Hub's document at all, so they cannot be gone from it.
    assert list(differences(document)) == ["gone  GET /api/{T}/{R}/scan"]


def test_parameters_take_every_value_that_is_listed() -> None:
    path = "/api/{repoType}/{namespace}/{repo}/discussions/{num}/{action}"
    known = [in_path("repoType", "models", "kernels"), in_path("namespace"), in_path("action", "title", "pin")]
    assert new({path: {"post": {"parameters": known}}}) == []
    odd = [in_path("repoType", "models", "worlds"), in_path("action", "title")]
    assert new({path: {"post": {"parameters": odd}}}) == [f"POST {path}"]
    odd = [in_path("repoType", "models"), in_path("action", "title", "frobnicate")]
    assert new({path: {"post": {"parameters": odd}}}) == [f"POST {path}"]


def test_parameters_of_the_path_count_for_each_of_its_methods() -> None:
    path = "/api/{repoType}/me/a/scan"
    assert new({path: {"parameters": [in_path("repoType", "datasets")], "get": {}}}) == []
    assert new({path: {"parameters": [in_path("repoType", "worlds")], "get": {}}}) == [f"GET {path}"]
    constant = {"name": "repoType", "in": "path", "schema": {"const": "spaces"}}
    assert new({path: {"parameters": [constant], "get": {}}}) == []


def test_a_value_of_the_query_is_not_one_of_the_path() -> None:
    query = {"name": "namespace", "in": "query", "schema": {"enum": ["a/b"]}}
    assert new({KNOWN: {"get": {"parameters": [query]}}}) == []


def test_what_stands_where_is_made_up_to_fit() -> None:
    paths = ["/api/models/{namespace}/{repo}/compare/{compare}", "/api/collections/{namespace}/{slug}-{id}"]
    paths += ["/api/resolve-cache/models/{namespace}/{repo}/{rev}/{path}", "/api/models/me/a/discussions/{num}"]
    assert new({path: {"get": {}} for path in paths}) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"paths":[]}', '{"paths":{"/x":{"get":null}}}'])
def test_a_file_that_is_no_document_is_said_to_be_none(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(text)
    assert main([str(file)]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
    assert main([]) == main([""]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert str(file) in err


def test_make_drift_prints_the_differences_and_fails_where_there_are_any(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    document = whole()
    for rc, expected in ((0, ""), (1, "new   GET /api/x\n")):
        file.write_text(json.dumps(document))
        command = [sys.executable, ROOT / "tests/toolchain/drift.py", file]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert (ran.returncode, ran.stdout, ran.stderr) == (rc, expected, "")
        document["paths"]["/api/x"] = {"get": {}}
