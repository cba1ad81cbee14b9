"""Bodies that say what a request does: strict JSON, read here and forwarded as the original bytes.

Two parsers must not disagree about a body, so anything that could make them is refused: duplicate keys, another
content type, a content encoding. What the fields mean is in `core.asks`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hfproxy.core.policy import credential
from hfproxy.core.policy.access import SEE_AUDIT, Need, Target
from hfproxy.core.policy.decision import Deny, Refusal

JSON = "application/json"
NDJSON = "application/x-ndjson"
LFS_JSON = "application/vnd.git-lfs+json"

Object = Mapping[str, object]


class BodyError(ValueError):
    """A body is not what its route takes; becomes a `bad_body` refusal and goes no further."""


@dataclass(frozen=True, slots=True)
class BodySpec:
    """How a route's body is read: its content type, its limit in bytes, and what it asks for.

    `asks` gets the target of the path (None where the path names none) and one decoded object: the body, or each of
    its lines where the content type is NDJSON.
    """

    content_type: str
    limit: int
    derive: Callable[[Target | None, Object], tuple[Need, ...]]


def parse_needs(
    body: BodySpec, target: Target | None, raw: bytes, content_type: str, encoding: str
) -> tuple[Need, ...] | Deny:
    """What a body asks for, read strictly; `bad_body` if it could be read in two ways."""
    try:
        objects = _objects(body, raw, content_type, encoding)
        _no_credential_in(objects)
        found = [need for one in objects for need in body.derive(target, one)]
    except BodyError as error:
        return bad_body(str(error))
    except RecursionError:
        return bad_body("it is nested too deep")
    return tuple(dict.fromkeys(found))


def bad_body(why: str) -> Deny:
    """No to a body, with the reason."""
    return Deny(Refusal.BAD_BODY, f"this request's body is refused: {why}{SEE_AUDIT}")


def _objects(body: BodySpec, raw: bytes, content_type: str, encoding: str) -> list[Object]:
    given, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if given != body.content_type or parameters not in ([], ["charset=utf-8"]):
        raise BodyError(f"its Content-Type must be {body.content_type}")
    if encoding.strip().lower() not in {"", "identity"}:
        raise BodyError("it must not be compressed")
    if body.content_type != NDJSON:
        return [_object(raw)]
    return [_object(line) for line in raw.removesuffix(b"\n").split(b"\n")]


def _object(raw: bytes) -> Object:
    try:
        decoded = json.loads(raw.decode("utf-8"), object_pairs_hook=_reject_duplicate_keys, parse_constant=_no_constant)
    except BodyError:
        raise
    except ValueError:
        raise BodyError("it is not valid JSON") from None
    if not isinstance(decoded, dict):
        raise BodyError("it must be a JSON object")
    return decoded


def _reject_duplicate_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise BodyError("a key appears twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise BodyError(f"{name} is not JSON")


def _no_credential_in(objects: list[Object]) -> None:
    """A scoped credential is worthless on the Hub's machines; sending one there is a mistake
    (docs/hub-protocol.md#trap-14)."""
    if credential.PATTERN.search(json.dumps(objects)):
        raise BodyError(
            "it holds an hf-proxy credential, which works on this machine only; give the Space or job a fine-grained"
            " token of its own, made at https://huggingface.co/settings/tokens"
        )
