"""The vectors: data that says what must come out. This page reads them, and spells what came out the way they do."""

import json
from pathlib import Path
from typing import Any

import pytest

from hfproxy.core import routes
from hfproxy.core.access import Deny, Need
from hfproxy.core.routes import Classification, NeedBody, NeedCommands, Classified
from hfproxy.core.table import Special

HERE = Path(__file__).parent


def load(name: str) -> list[dict[str, Any]]:
    """Every vector of a file, which is one JSON list."""
    found: list[dict[str, Any]] = json.loads((HERE / name).read_text())
    return found


def cases(found: list[dict[str, Any]]) -> list[Any]:
    """The vectors as parameters of a test, each under a name of its own that every terminal can show."""
    return [pytest.param(vector, id=f"{number}-{_label(vector)}") for number, vector in enumerate(found)]


def _label(vector: dict[str, Any]) -> str:
    return f"{vector['method']} {vector['target']}"[:90].encode("ascii", "backslashreplace").decode()


def outcome(vector: dict[str, Any]) -> list[str] | str:
    """`["write models/me/a@main"]`, the name of a special, or the refusal."""
    found = routes.classify(vector["method"], vector["target"])
    if isinstance(found, NeedBody):
        raw = json.dumps(vector["body"]).encode() if not isinstance(vector["body"], str) else vector["body"].encode()
        found = routes.classify_body(found, raw, vector.get("content_type", ""), "")
    return spelled(found)


def spelled(found: Classification) -> list[str] | str:
    match found:
        case Deny():
            return found.refusal.value
        case Classified(access=None):
            assert isinstance(found.route.takes, Special)
            return found.route.takes.name
        case Classified(access=access):
            assert access is not None
            return [spell(need) for need in access.needs]
        case NeedBody():
            return "needs its body"
        case NeedCommands():
            return "needs its commands"


def spell(need: Need) -> str:
    target = need.target
    action = "lfs" if need.any_ref else need.action.value
    namespace = "*" if target.namespace == "" else "~" if target.namespace is None else target.namespace
    place = "/".join(part for part in (target.type, namespace, target.name) if part)
    return f"{action} {place}" + (f"@{target.ref}" if target.ref else "")
