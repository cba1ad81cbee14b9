"""Parses JSON bodies that determine the operation of a request; the original bytes are forwarded.

Two parsers must not disagree about a body, so duplicate keys, an unexpected content type and a content encoding are
refused. The fields of each body are interpreted in `hfproxy.core.hub.body_needs`.
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
    """A body that its route does not accept. Caught in `parse_needs`, which returns a `bad_body` refusal."""


@dataclass(frozen=True, slots=True)
class BodySpec:
    """The specification of a route's body.

    Attributes:
        content_type: the only accepted content type.
        limit: the largest accepted size in bytes.
        derive: returns the needs, given the target of the path (None if the path names none) and one decoded object:
            the body, or each of its lines if the content type is NDJSON.
    """

    content_type: str
    limit: int
    derive: Callable[[Target | None, Object], tuple[Need, ...]]


def parse_needs(
    body: BodySpec, target: Target | None, raw: bytes, content_type: str, encoding: str
) -> tuple[Need, ...] | Deny:
    """Parse a body strictly and derive its needs; returns a `bad_body` refusal if two parsers could disagree on it."""
    try:
        objects = _objects(body, raw, content_type, encoding)
        _reject_credential(objects)
        needs = [need for item in objects for need in body.derive(target, item)]
    except BodyError as error:
        return bad_body(str(error))
    except RecursionError:
        return bad_body("it is nested too deep")
    return tuple(dict.fromkeys(needs))


def bad_body(why: str) -> Deny:
    """Return the refusal of a body, with the reason."""
    return Deny(Refusal.BAD_BODY, f"this request's body is refused: {why}{SEE_AUDIT}")


def _objects(body: BodySpec, raw: bytes, content_type: str, encoding: str) -> list[Object]:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if media_type != body.content_type or parameters not in ([], ["charset=utf-8"]):
        raise BodyError(f"its Content-Type must be {body.content_type}")
    if encoding.strip().lower() not in {"", "identity"}:
        raise BodyError("it must not be compressed")
    if body.content_type != NDJSON:
        return [_object(raw)]
    return [_object(line) for line in raw.removesuffix(b"\n").split(b"\n")]


def _object(raw: bytes) -> Object:
    try:
        decoded = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_reject_duplicate_keys, parse_constant=_reject_constant
        )
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


def _reject_constant(name: str) -> None:
    raise BodyError(f"{name} is not JSON")


def _reject_credential(objects: list[Object]) -> None:
    """Reject a body that holds a credential of hf-proxy, which would be useless on the Hub's machines
    (docs/hub-protocol.md#trap-14)."""
    if credential.PATTERN.search(json.dumps(objects)):
        raise BodyError(
            "it holds an hf-proxy credential, which works on this machine only; give the Space or job a fine-grained"
            " token of its own, made at https://huggingface.co/settings/tokens"
        )
