"""The vectors: data that says what must come out. This page reads them, and spells what came out the way they do.

One JSON object a line. A request is `method`, `target` and what it brings: `body` (JSON), `lines` (NDJSON) or `raw`
(text as it stands), its `type` and `encoding`, `push` (`OLD NEW REF`, a commit as one digit), `bill_to`; `call` says which
client sent it. Then what it is:

    needs    `ACTION TYPE/NAMESPACE/NAME@REF`; `~` is the account's own user, `*` all of them, `lfs` a write to no ref
    special  a route that no scope decides
    refused  why it is refused whatever the scope; `any`: its address, one way or another

and, for needs, what each of some scopes makes of it for an account whose user is `me` (`decide`).
"""

import json
from pathlib import Path
from typing import Any

import pytest

from hfproxy.core.hub import classify
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny
from hfproxy.core.policy.access import Need
from hfproxy.core.hub.strict_json import JSON
from hfproxy.core.policy.decision import decide
from hfproxy.core.policy.caveats import InScopes, Usage
from hfproxy.core.git.push_commands import RefUpdateReader
from hfproxy.core.hub.classify import Classification, Classified, BodyRequired, RefUpdatesRequired
from hfproxy.core.policy.scope import parse
from hfproxy.core.hub.route_table import SpecialRoute

HERE = Path(__file__).parent
USER = "me"
Vector = dict[str, Any]


def load(name: str) -> list[Vector]:
    """Every vector of a file."""
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def cases(found: list[Vector]) -> list[Any]:
    """The vectors as parameters of a test, each under a name of its own that every terminal can show."""
    return [pytest.param(vector, id=f"{number}-{_label(vector)}") for number, vector in enumerate(found)]


def _label(vector: Vector) -> str:
    return f"{vector['method']} {vector['target']}"[:90].encode("ascii", "backslashreplace").decode()


def expected(vector: Vector) -> list[str] | str:
    """What a vector says it is."""
    found: list[str] | str = vector.get("needs") or vector.get("special") or vector["refused"]
    return found


def accepted(vector: Vector) -> bool:
    """Whether a vector is of a request that some scope allows, or that is answered."""
    return "refused" not in vector


def attempt(vector: Vector) -> Classification:
    """A vector's request, classified as far as it goes."""
    bill_to = vector.get("bill_to")
    found = classify.classify(vector["method"], vector["target"], bill_to)
    match found:
        case BodyRequired():
            return classify.classify_body(
                found, body(vector), vector.get("type", JSON), vector.get("encoding", ""), bill_to
            )
        case RefUpdatesRequired():
            commands = RefUpdateReader().feed(command_list(vector["push"]))
            assert commands is not None
            if isinstance(commands, Deny):
                return commands
            return commands.deny or classify.classified(found.route, commands.needs(found.target), bill_to)
        case _:
            return found


def body(vector: Vector) -> bytes:
    """A vector's body."""
    if "body" in vector:
        return json.dumps(vector["body"]).encode()
    if "lines" in vector:
        return b"".join(json.dumps(line).encode() + b"\n" for line in vector["lines"])
    return str(vector.get("raw", "")).encode()


def command_list(lines: list[str]) -> bytes:
    """`OLD NEW REF` as git sends it, a commit of forty times its digit."""
    said = b"\0report-status side-band-64k"
    texts = [" ".join(word * 40 if len(word) == 1 else word for word in line.split(" ", 2)).encode() for line in lines]
    return b"".join(packet(text + (b"" if number else said)) for number, text in enumerate(texts)) + b"0000"


def packet(data: bytes) -> bytes:
    """A pkt-line."""
    return f"{len(data) + 4:04x}".encode() + data


def decision(vector: Vector, scopes: str, *, strict: bool = False) -> str:
    """What these scopes make of a vector's request: `allow`, `anonymous` or the refusal."""
    found = attempt(vector)
    assert isinstance(found, Classified)
    assert found.access is not None
    access = found.access.resolved_for(USER)
    caveat = InScopes(tuple(map(parse, scopes.split())), strict=strict)
    match decide(access, caveat.prohibits(access, Usage(0))):
        case Allow():
            return "allow"
        case AllowAnonymous():
            return "anonymous"
        case Deny(refusal=refusal):
            return refusal.value


def spelled(found: Classification) -> list[str] | str:
    """What came out, as a vector says it."""
    match found:
        case Deny():
            return found.refusal.value
        case Classified(access=None):
            assert isinstance(found.route.derives, SpecialRoute)
            return found.route.derives.name
        case Classified(access=access):
            assert access is not None
            return [spell(need) for need in access.needs]
        case BodyRequired():
            return "needs its body"
        case RefUpdatesRequired():
            return "needs its commands"


def spell(need: Need) -> str:
    """A need, as a vector says it."""
    target = need.target
    action = "lfs" if need.any_ref else need.action.value
    namespace = {"": "*", None: "~"}.get(target.namespace, target.namespace)
    name = "*" if target.name == "" and target.namespace else target.name
    place = "/".join(part for part in (target.type, namespace, name) if part)
    return f"{action} {place}" + (f"@{target.ref}" if target.ref else "")
