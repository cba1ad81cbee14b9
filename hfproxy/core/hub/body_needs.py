"""What a body asks for: the repositories it names besides those of the address, and what is done to them.

`organization: null` and a bare name mean the account's own user. Where a field this version does not know could name
one more repository, or run something, unknown fields are refused. Sources: the Hub's OpenAPI document and
docs/hub-protocol.md#create-repo and the sections after it.
"""

import re
from collections.abc import Iterable

from hfproxy.core.git.refs import is_ref_name
from hfproxy.core.hub.strict_json import JSON, LFS_JSON, NDJSON, BodyError, BodySpec, Object
from hfproxy.core.policy.access import Action, Need, RepoType, Target, everything_of

ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
TYPES = {kind.value.removesuffix("s"): kind for kind in RepoType}
RUNS = ("hardware", "storageTier", "sleepTimeSeconds", "devModeEnabled", "volumes")
CREATE_KEYS = frozenset(
    "name organization type visibility private sdk sdkVersion template license license_name license_link"
    " short_description files lfsmultipartthresh resourceGroupId region secrets variables hardware storageTier"
    " sleepTimeSeconds devModeEnabled volumes".split()
)
DUPLICATE_KEYS = frozenset(
    "repository private visibility resourceGroupId region hardware storageTier sleepTimeSeconds devModeEnabled secrets"
    " variables volumes".split()
)
JOB_KEYS = frozenset(
    "spaceId dockerImage arguments command environment secrets flavor arch timeoutSeconds attempts labels volumes"
    " expose ssh network resourceGroupId".split()
)
DELETE_KEYS = frozenset("name organization type".split())
MOVE_KEYS = frozenset("fromRepo toRepo type".split())
DUPLICATE_FILES_KEYS = frozenset("target files".split())
SCHEDULE_KEYS = frozenset("jobSpec schedule suspend concurrency".split())
WEBHOOK_KEYS = frozenset("watched url domains secret secrets job jobSourceId".split())


def needs_of_create(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/repos/create`. No `type` means a model; visibility is part of creating."""
    _reject_unknown(body, CREATE_KEYS)
    target = _named(body)
    if target.type is RepoType.BUCKETS:
        raise BodyError("a bucket is created at /api/buckets")
    return (Need(Action.CREATE, target), *_space_extras(target, body))


def needs_of_delete(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`DELETE /api/repos/delete`."""
    _reject_unknown(body, DELETE_KEYS)
    return (Need(Action.DELETE, _named(body)),)


def needs_of_move(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/repos/move`: away from one place and to another."""
    _reject_unknown(body, MOVE_KEYS)
    kind = _type_or_model(body.get("type"))
    return tuple(Need(Action.MOVE, _repo(kind, end, body.get(end))) for end in ("fromRepo", "toRepo"))


def needs_of_duplicate(source: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/duplicate`. Anything but private could publish what the source keeps to itself."""
    _reject_unknown(body, DUPLICATE_KEYS)
    origin = _require_target(source)
    target = _repo(origin.type, "repository", body.get("repository"))
    publishes = body.get("visibility") not in (None, "private") or body.get("private") not in (None, True)
    return (
        Need(Action.READ, origin),
        Need(Action.CREATE, target),
        *([Need(Action.SETTINGS, target)] if publishes else []),
        *_space_extras(target, body),
    )


def needs_of_file_duplicate(source: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/lfs-files/duplicate`: read in the path's repository, written in `target`'s."""
    _reject_unknown(body, DUPLICATE_FILES_KEYS)
    target = _object("target", body.get("target"))
    written = _repo(_type(target.get("type")), "target.name", target.get("name"))
    return Need(Action.READ, _require_target(source)), Need(Action.WRITE, written)


def needs_of_batch(bucket: Target | None, line: Object) -> tuple[Need, ...]:
    """One line of `POST /api/{B}/batch` (huggingface_hub 2.4, `_batch_bucket_files`)."""
    write = Need(Action.WRITE, _require_target(bucket))
    match line.get("type"):
        case "addFile" | "deleteFile":
            return (write,)
        case "copyFile":
            kind = _type(line.get("sourceRepoType"))
            return write, Need(Action.READ, _repo(kind, "sourceRepoId", line.get("sourceRepoId")))
        case _:
            raise BodyError("'type' must be addFile, copyFile or deleteFile")


def needs_of_branch(branch: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/branch/{rev}`. To overwrite a branch is to lose what was on it."""
    target = _require_target(branch)
    start = body.get("startingPoint")
    return (
        Need(Action.WRITE, target),
        *([] if start is None else [Need(Action.READ, target.at(_ref("startingPoint", start)))]),
        *([Need(Action.DELETE, target)] if body.get("overwrite") else []),
    )


def needs_of_tag(revision: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/tag/{rev}`: the tag is in the body, what it is put on in the path."""
    target = _require_target(revision)
    return Need(Action.WRITE, target.at(f"refs/tags/{_ref('tag', body.get('tag'))}")), Need(Action.READ, target)


def needs_of_transfer(repo: Target | None, body: Object) -> tuple[Need, ...]:
    """An LFS batch: its `operation` decides; uploaded objects belong to no ref."""
    target = _require_target(repo)
    match body.get("operation"):
        case "download":
            return (Need(Action.READ, target),)
        case "upload":
            return (Need(Action.WRITE, target, any_ref=True),)
        case _:
            raise BodyError("'operation' must be download or upload")


def needs_of_setting(space: Target | None, _: Object) -> tuple[Need, ...]:
    """A Space's secret or variable is set or deleted."""
    return (Need(Action.SECRETS, _require_target(space)),)


def needs_of_mounts(space: Target | None, body: Object) -> tuple[Need, ...]:
    """`PUT /api/spaces/{R}/volumes`: the Space's code will see what is mounted."""
    return (Need(Action.RUN, _require_target(space)), *_volumes(body.get("volumes")))


def needs_of_job(namespace: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/jobs/{ns}`: a Space's image is read, volumes are read or written."""
    _reject_unknown(body, JOB_KEYS)
    space = body.get("spaceId")
    return (
        Need(Action.JOBS, _require_target(namespace)),
        *([] if space is None else [Need(Action.READ, _repo(RepoType.SPACES, "spaceId", space))]),
        *_volumes(body.get("volumes")),
    )


def needs_of_schedule(namespace: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/scheduled-jobs/{ns}`: as the job that it will start."""
    _reject_unknown(body, SCHEDULE_KEYS)
    return needs_of_job(namespace, _object("jobSpec", body.get("jobSpec")))


def needs_of_webhook(_: Target | None, body: Object) -> tuple[Need, ...]:
    """A webhook tells what happens in what it watches, and may start a job."""
    _reject_unknown(body, WEBHOOK_KEYS)
    own = Target(None, None)
    job = body.get("job")
    return (
        Need(Action.WEBHOOKS, own),
        *(_watched_repos(one) for one in _objects("watched", body.get("watched"))),
        *([Need(Action.JOBS, own)] if body.get("jobSourceId") is not None else []),
        *([] if job is None else needs_of_job(own, _object("job", job))),
    )


def needs_of_collection(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/collections`: the namespace is in the body."""
    namespace = body.get("namespace")
    return (Need(Action.COLLECTIONS, Target(None, None if namespace is None else _id("namespace", namespace))),)


def _space_extras(target: Target, body: Object) -> Iterable[Need]:
    """What may come along with a new Space: secrets, hardware that costs money, other repositories' content."""
    if body.get("secrets") or body.get("variables"):
        yield Need(Action.SECRETS, target)
    if any(body.get(key) is not None for key in RUNS):
        yield Need(Action.RUN, target)
    yield from _volumes(body.get("volumes"))


def _volumes(volumes: object) -> list[Need]:
    return [] if volumes is None else [_volume(volume) for volume in _objects("volumes", volumes)]


def _volume(volume: Object) -> Need:
    """A bucket is mounted for writing unless the volume says otherwise (OpenAPI, `readOnly`)."""
    kind = _type(volume.get("type"))
    revision = volume.get("revision")
    source = _repo(kind, "source", volume.get("source"))
    if kind is RepoType.BUCKETS and volume.get("readOnly") is not True:
        return Need(Action.WRITE, source)
    return Need(Action.READ, source if revision is None else source.at(_ref("revision", revision)))


def _watched_repos(one: Object) -> Need:
    kind, name = one.get("type"), one.get("name")
    if kind in ("user", "org"):
        return Need(Action.READ, everything_of(_id("name", name)))
    return Need(Action.READ, _repo(_type(kind), "name", name))


def _named(body: Object) -> Target:
    """`name`, `organization` and `type` (docs/hub-protocol.md#create-repo)."""
    organization = body.get("organization")
    namespace = None if organization is None else _id("organization", organization)
    return Target(_type_or_model(body.get("type")), namespace, _id("name", body.get("name")))


def _type(value: object) -> RepoType:
    """A type as bodies spell it."""
    if not isinstance(value, str) or value not in TYPES:
        raise BodyError(f"a repository's type must be one of {', '.join(TYPES)}")
    return TYPES[value]


def _type_or_model(value: object) -> RepoType:
    """Where no type is given, a model is meant (docs/hub-protocol.md#create-repo)."""
    return RepoType.MODELS if value is None else _type(value)


def _repo(kind: RepoType | None, field: str, value: object) -> Target:
    """`NAMESPACE/NAME`, or a bare name of the account's own user."""
    segments = value.split("/") if isinstance(value, str) else []
    if not 1 <= len(segments) <= 2:
        raise BodyError(f"'{field}' must be NAMESPACE/NAME")
    *namespace, name = (_id(field, segment) for segment in segments)
    return Target(kind, namespace[0] if namespace else None, name)


def _require_target(target: Target | None) -> Target:
    if target is None:
        raise BodyError("there is no repository in its address")
    return target


def _id(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 96 or not ID.fullmatch(value) or ".." in value:
        raise BodyError(f"'{field}' is not a valid name")
    return value


def _ref(field: str, value: object) -> str:
    if not isinstance(value, str) or not is_ref_name(value):
        raise BodyError(f"'{field}' is not the name of a ref or a commit")
    return value


def _object(field: str, value: object) -> Object:
    if not isinstance(value, dict):
        raise BodyError(f"'{field}' must be an object")
    return value


def _objects(field: str, value: object) -> list[Object]:
    if not isinstance(value, list):
        raise BodyError(f"'{field}' must be a list of objects")
    return [_object(field, one) for one in value]


def _reject_unknown(body: Object, known: frozenset[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise BodyError(f"unknown field '{ascii(unknown[0][:60])[1:-1]}'")


MIB = 1024 * 1024
CREATE = BodySpec(JSON, 16 * MIB, needs_of_create)  # `files` may hold a small Space whole
DELETE = BodySpec(JSON, MIB, needs_of_delete)
MOVE = BodySpec(JSON, MIB, needs_of_move)
DUPLICATE = BodySpec(JSON, MIB, needs_of_duplicate)
DUPLICATE_FILES = BodySpec(JSON, MIB, needs_of_file_duplicate)
BATCH = BodySpec(NDJSON, 8 * MIB, needs_of_batch)  # at most 1,000 lines (docs/hub-protocol.md#buckets)
BRANCH = BodySpec(JSON, MIB, needs_of_branch)
TAG = BodySpec(JSON, MIB, needs_of_tag)
SETTING = BodySpec(JSON, MIB, needs_of_setting)
MOUNT = BodySpec(JSON, MIB, needs_of_mounts)
JOB = BodySpec(JSON, MIB, needs_of_job)
SCHEDULE = BodySpec(JSON, MIB, needs_of_schedule)
WEBHOOK = BodySpec(JSON, MIB, needs_of_webhook)
COLLECTION = BodySpec(JSON, MIB, needs_of_collection)
TRANSFER = BodySpec(LFS_JSON, 4 * MIB, needs_of_transfer)
