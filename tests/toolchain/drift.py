"""`make drift OPENAPI=FILE`: how the route table and an OpenAPI document of the Hub differ.

Prints the operations that no row fits (new), and the rows with source `api` that no operation fits any more (gone), one a
line. Exit codes: 0 no difference; 1 there are some; 2 the file cannot be read.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hfproxy.core.hub import classify
from hfproxy.core.hub.route_table import ROUTES, Route

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
PARAMETER = re.compile(r"\{(\w+)\}")
# What stands in a place whose values the document does not list. A commit is a revision everywhere.
EXAMPLES = {"num": "1", "rev": "0123456789abcdef0123456789abcdef01234567", "compare": "main..dev", "path": "dir/file"}
EXAMPLE = "x1"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, and the values its parameters may have, where the document lists them."""

    method: str
    path: str
    listed: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def addresses(self) -> Iterator[str]:
        """The path with every combination of the values its parameters may have."""
        names = dict.fromkeys(PARAMETER.findall(self.path))
        choices = (self.listed.get(name, (EXAMPLES.get(name, EXAMPLE),)) for name in names)
        for values in product(*choices):
            chosen = dict(zip(names, values, strict=True))
            yield PARAMETER.sub(lambda place: chosen[place[1]], self.path)  # noqa: B023  called at once

    def rows(self) -> Iterator[tuple[Route, ...]]:
        """For each of its addresses, the rows that fit it."""
        for address in self.addresses():
            yield tuple(
                route for row, route in classify.ROUTES_BY_METHOD.get(self.method, ()) if row.fullmatch(address)
            )


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Every operation of an OpenAPI document (3.x, JSON)."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                parameters = [*item.get("parameters", []), *item[method].get("parameters", [])]
                yield Operation(method.upper(), path, dict(_listed(parameters)))


def _listed(parameters: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for parameter in parameters:
        schema = parameter.get("schema", {})
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if parameter.get("in") == "path" and values:
            yield parameter["name"], tuple(values)


def differences(document: Mapping[str, Any]) -> Iterator[str]:
    """What is new, then what is gone."""
    fitted: set[int] = set()
    for operation in operations(document):
        rows = list(operation.rows())
        if not all(rows):
            yield f"new   {operation}"
        fitted.update(id(route) for fits in rows for route in fits)
    for route in ROUTES:
        if route.source == "api" and id(route) not in fitted:
            yield f"gone  {route.methods} {route.path}"


def main(arguments: list[str]) -> int:
    """Compare the table with the one file that is named."""
    if len(arguments) != 1 or not arguments[0]:
        print("usage: make drift OPENAPI=path/to/openapi.json", file=sys.stderr)
        return 2
    try:
        found = list(differences(json.loads(Path(arguments[0]).read_text())))
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        print(f"{arguments[0]} is no OpenAPI document in JSON: {error}", file=sys.stderr)
        return 2
    for difference in found:
        print(difference)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
