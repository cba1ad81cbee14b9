"""Bodies that say what a request does: strict JSON, read here and forwarded as the original bytes.

Two parsers must not disagree about a body, so anything that could make them is refused: duplicate
keys, another content type, a content encoding, fields this version does not know.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hfproxy.core import credential
from hfproxy.core.access import Action, Deny, Need, Refusal, RepoType, Target

JSON = "application/json"
LFS_JSON = "application/vnd.git-lfs+json"
ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
TYPES = {
    "model": RepoType.MODELS,
    "dataset": RepoType.DATASETS,
    "space": RepoType.SPACES,
    "bucket": RepoType.BUCKETS,
}
# `POST /api/repos/create`: what clients 0.36 to 2.4 send, and what the Hub's OpenAPI names (hub-wire §1.5).
CREATE_KEYS = frozenset(
    "name organization type visibility private sdk template license files lfsmultipartthresh resourceGroupId region"
    " secrets variables hardware sleepTimeSeconds devModeEnabled volumes".split()
)
CREATE_RUNS = ("hardware", "sleepTimeSeconds", "devModeEnabled", "volumes")

Object = Mapping[str, object]


class BodyError(ValueError):
    """A body is not what its route takes; becomes a `bad_body` refusal and goes no further."""


@dataclass(frozen=True, slots=True)
class Body:
    """How a route's body is read: its content type, its limit in bytes, and what it adds to the needs.

    `needs` gets the repository of the path (None where the path names none) and the decoded object.
    """

    content_type: str
    limit: int
    needs: Callable[[Target | None, Object], tuple[Need, ...]]


def decode(body: Body, raw: bytes, content_type: str, content_encoding: str) -> Object | Deny:
    """Read a policy-bearing body strictly; `bad_body` if it could be read in two ways."""
    given, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if given != body.content_type or parameters not in ([], ["charset=utf-8"]):
        return refused(f"its Content-Type must be {body.content_type}")
    if content_encoding.strip().lower() not in {"", "identity"}:
        return refused("it must not be compressed")
    try:
        decoded = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return refused(str(error) if isinstance(error, BodyError) else "it is not valid JSON")
    return decoded if isinstance(decoded, dict) else refused("it must be a JSON object")


def needs(body: Body, target: Target | None, decoded: Object) -> tuple[Need, ...] | Deny:
    """What the body of a matched route asks for."""
    try:
        return body.needs(target, decoded)
    except BodyError as error:
        return refused(str(error))
    except RecursionError:
        return refused("it is nested too deep")


def refused(why: str) -> Deny:
    """No to a body, with the reason."""
    return Deny(Refusal.BAD_BODY, f"this request's body is refused: {why}")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise BodyError("a key appears twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise BodyError(f"{name} is not JSON")


def _create(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`organization` null means the token's owner; no `type` means a model (hub-wire §1.5)."""
    unknown = sorted(set(body) - CREATE_KEYS)
    if unknown:
        raise BodyError(f"unknown field '{ascii(unknown[0][:60])[1:-1]}'")
    kind = "model" if body.get("type") is None else body["type"]
    if not isinstance(kind, str) or kind not in TYPES or kind == "bucket":
        raise BodyError("'type' must be model, dataset or space")
    organization = body.get("organization")
    namespace = None if organization is None else _id("organization", organization)
    target = Target(TYPES[str(kind)], namespace, _id("name", body.get("name")))
    found = [Need(Action.CREATE, target)]
    found += [Need(Action.SECRETS, target)] if body.get("secrets") or body.get("variables") else []
    found += [Need(Action.RUN, target)] if any(body.get(key) is not None for key in CREATE_RUNS) else []
    _no_credential_in(body)
    return (*found, *_volume_sources(body.get("volumes")))


def _volume_sources(volumes: object) -> tuple[Need, ...]:
    """A volume lets the Space's code read its source, so the credential must be allowed to."""
    if volumes is None:
        return ()
    if not isinstance(volumes, list) or not all(isinstance(volume, dict) for volume in volumes):
        raise BodyError("'volumes' must be a list of objects")
    return tuple(_volume_source(volume) for volume in volumes)


def _volume_source(volume: Object) -> Need:
    kind, source = volume.get("type"), volume.get("source")
    if not isinstance(kind, str) or kind not in TYPES or not isinstance(source, str):
        raise BodyError("a volume must name its 'type' and 'source'")
    revision = volume.get("revision")
    if revision is not None and not isinstance(revision, str):
        raise BodyError("a volume's 'revision' must be a text")
    parts = source.split("/")
    if len(parts) != 2:
        raise BodyError("a volume's 'source' must be NAMESPACE/NAME")
    return Need(Action.READ, Target(TYPES[kind], _id("source", parts[0]), _id("source", parts[1]), revision))


def _id(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 96 or not ID.fullmatch(value) or ".." in value:
        raise BodyError(f"'{field}' is not a valid name")
    return value


def _lfs_batch(target: Target | None, body: Object) -> tuple[Need, ...]:
    """The batch's `operation` decides; uploaded objects belong to no ref (hub-wire §1.5)."""
    if target is None:
        raise BodyError("there is no repository in its address")
    match body.get("operation"):
        case "download":
            return (Need(Action.READ, target),)
        case "upload":
            return (Need(Action.WRITE, target, any_ref=True),)
        case _:
            raise BodyError("'operation' must be download or upload")


def _setting(target: Target | None, body: Object) -> tuple[Need, ...]:
    if target is None:
        raise BodyError("there is no repository in its address")
    _no_credential_in(body)
    return (Need(Action.SECRETS, target),)


def _no_credential_in(body: Object) -> None:
    """A scoped credential is worthless on the Hub's machines; sending one there is a mistake (trap 14)."""
    if credential.SHAPE.search(json.dumps(body)):
        raise BodyError(
            "it holds an hf-proxy credential, which works on this machine only; give the Space a fine-grained"
            " token of its own, made at https://huggingface.co/settings/tokens"
        )


MIB = 1024 * 1024
CREATE = Body(JSON, MIB, _create)
SETTING = Body(JSON, MIB, _setting)
LFS_BATCH = Body(LFS_JSON, 4 * MIB, _lfs_batch)
