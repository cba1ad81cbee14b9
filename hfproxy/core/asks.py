"""What a body asks for: the repositories it names besides those of the address, and what is done to them.

`organization: null` and a bare name mean the account's own user. Where a field this version does not know could name
one more repository, or run something, unknown fields are refused. Sources: the Hub's OpenAPI and hub-wire §1.5 to §1.8.
"""

import re
from collections.abc import Iterable

from hfproxy.core.access import Action, Need, RepoType, Target, everything_of
from hfproxy.core.address import names_a_ref
from hfproxy.core.bodies import JSON, LFS_JSON, NDJSON, Body, BodyError, Object

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


def creates(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/repos/create`. No `type` means a model; visibility is part of creating."""
    _only(body, CREATE_KEYS)
    target = _named(body)
    if target.type is RepoType.BUCKETS:
        raise BodyError("a bucket is created at /api/buckets")
    return (Need(Action.CREATE, target), *_furnished(target, body))


def deletes(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`DELETE /api/repos/delete`."""
    _only(body, DELETE_KEYS)
    return (Need(Action.DELETE, _named(body)),)


def moves(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/repos/move`: away from one place and to another."""
    _only(body, MOVE_KEYS)
    kind = _type_or_model(body.get("type"))
    return tuple(Need(Action.MOVE, _repo(kind, end, body.get(end))) for end in ("fromRepo", "toRepo"))


def duplicates(source: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/duplicate`. Anything but private could publish what the source keeps to itself."""
    _only(body, DUPLICATE_KEYS)
    origin = _in_path(source)
    target = _repo(origin.type, "repository", body.get("repository"))
    publishes = body.get("visibility") not in (None, "private") or body.get("private") not in (None, True)
    return (
        Need(Action.READ, origin),
        Need(Action.CREATE, target),
        *([Need(Action.SETTINGS, target)] if publishes else []),
        *_furnished(target, body),
    )


def duplicates_files(source: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/lfs-files/duplicate`: read in the path's repository, written in `target`'s."""
    _only(body, DUPLICATE_FILES_KEYS)
    target = _object("target", body.get("target"))
    written = _repo(_type(target.get("type")), "target.name", target.get("name"))
    return Need(Action.READ, _in_path(source)), Need(Action.WRITE, written)


def batches(bucket: Target | None, line: Object) -> tuple[Need, ...]:
    """One line of `POST /api/{B}/batch` (huggingface_hub 2.4, `_batch_bucket_files`)."""
    write = Need(Action.WRITE, _in_path(bucket))
    match line.get("type"):
        case "addFile" | "deleteFile":
            return (write,)
        case "copyFile":
            kind = _type(line.get("sourceRepoType"))
            return write, Need(Action.READ, _repo(kind, "sourceRepoId", line.get("sourceRepoId")))
        case _:
            raise BodyError("'type' must be addFile, copyFile or deleteFile")


def branches(branch: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/branch/{rev}`. To overwrite a branch is to lose what was on it."""
    target = _in_path(branch)
    start = body.get("startingPoint")
    return (
        Need(Action.WRITE, target),
        *([] if start is None else [Need(Action.READ, target.at(_ref("startingPoint", start)))]),
        *([Need(Action.DELETE, target)] if body.get("overwrite") else []),
    )


def tags(revision: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/{T}/{R}/tag/{rev}`: the tag is in the body, what it is put on in the path."""
    target = _in_path(revision)
    return Need(Action.WRITE, target.at(f"refs/tags/{_ref('tag', body.get('tag'))}")), Need(Action.READ, target)


def transfers(repo: Target | None, body: Object) -> tuple[Need, ...]:
    """An LFS batch: its `operation` decides; uploaded objects belong to no ref."""
    target = _in_path(repo)
    match body.get("operation"):
        case "download":
            return (Need(Action.READ, target),)
        case "upload":
            return (Need(Action.WRITE, target, any_ref=True),)
        case _:
            raise BodyError("'operation' must be download or upload")


def keeps_secrets(space: Target | None, _: Object) -> tuple[Need, ...]:
    """A Space's secret or variable is set or deleted."""
    return (Need(Action.SECRETS, _in_path(space)),)


def mounts(space: Target | None, body: Object) -> tuple[Need, ...]:
    """`PUT /api/spaces/{R}/volumes`: the Space's code will see what is mounted."""
    return (Need(Action.RUN, _in_path(space)), *_volumes(body.get("volumes")))


def runs_job(namespace: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/jobs/{ns}`: a Space's image is read, volumes are read or written."""
    _only(body, JOB_KEYS)
    space = body.get("spaceId")
    return (
        Need(Action.JOBS, _in_path(namespace)),
        *([] if space is None else [Need(Action.READ, _repo(RepoType.SPACES, "spaceId", space))]),
        *_volumes(body.get("volumes")),
    )


def schedules_job(namespace: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/scheduled-jobs/{ns}`: as the job that it will start."""
    _only(body, SCHEDULE_KEYS)
    return runs_job(namespace, _object("jobSpec", body.get("jobSpec")))


def watches(_: Target | None, body: Object) -> tuple[Need, ...]:
    """A webhook tells what happens in what it watches, and may start a job."""
    _only(body, WEBHOOK_KEYS)
    own = Target(None, None)
    job = body.get("job")
    return (
        Need(Action.WEBHOOKS, own),
        *(_watched(one) for one in _objects("watched", body.get("watched"))),
        *([Need(Action.JOBS, own)] if body.get("jobSourceId") is not None else []),
        *([] if job is None else runs_job(own, _object("job", job))),
    )


def collects(_: Target | None, body: Object) -> tuple[Need, ...]:
    """`POST /api/collections`: the namespace is in the body."""
    namespace = body.get("namespace")
    return (Need(Action.COLLECTIONS, Target(None, None if namespace is None else _id("namespace", namespace))),)


def _furnished(target: Target, body: Object) -> Iterable[Need]:
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


def _watched(one: Object) -> Need:
    kind, name = one.get("type"), one.get("name")
    if kind in ("user", "org"):
        return Need(Action.READ, everything_of(_id("name", name)))
    return Need(Action.READ, _repo(_type(kind), "name", name))


def _named(body: Object) -> Target:
    """`name`, `organization` and `type` (hub-wire §1.5)."""
    organization = body.get("organization")
    namespace = None if organization is None else _id("organization", organization)
    return Target(_type_or_model(body.get("type")), namespace, _id("name", body.get("name")))


def _type(value: object) -> RepoType:
    """A type as bodies spell it."""
    if not isinstance(value, str) or value not in TYPES:
        raise BodyError(f"a repository's type must be one of {', '.join(TYPES)}")
    return TYPES[value]


def _type_or_model(value: object) -> RepoType:
    """Where no type is given, a model is meant (hub-wire §1.5)."""
    return RepoType.MODELS if value is None else _type(value)


def _repo(kind: RepoType | None, field: str, value: object) -> Target:
    """`NAMESPACE/NAME`, or a bare name of the account's own user."""
    segments = value.split("/") if isinstance(value, str) else []
    if not 1 <= len(segments) <= 2:
        raise BodyError(f"'{field}' must be NAMESPACE/NAME")
    *namespace, name = (_id(field, segment) for segment in segments)
    return Target(kind, namespace[0] if namespace else None, name)


def _in_path(target: Target | None) -> Target:
    if target is None:
        raise BodyError("there is no repository in its address")
    return target


def _id(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 96 or not ID.fullmatch(value) or ".." in value:
        raise BodyError(f"'{field}' is not a valid name")
    return value


def _ref(field: str, value: object) -> str:
    if not isinstance(value, str) or not names_a_ref(value):
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


def _only(body: Object, known: frozenset[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise BodyError(f"unknown field '{ascii(unknown[0][:60])[1:-1]}'")


MIB = 1024 * 1024
CREATE = Body(JSON, 16 * MIB, creates)  # `files` may hold a small Space whole
DELETE = Body(JSON, MIB, deletes)
MOVE = Body(JSON, MIB, moves)
DUPLICATE = Body(JSON, MIB, duplicates)
DUPLICATE_FILES = Body(JSON, MIB, duplicates_files)
BATCH = Body(NDJSON, 8 * MIB, batches)  # at most 1,000 lines (hub-wire §9)
BRANCH = Body(JSON, MIB, branches)
TAG = Body(JSON, MIB, tags)
SETTING = Body(JSON, MIB, keeps_secrets)
MOUNT = Body(JSON, MIB, mounts)
JOB = Body(JSON, MIB, runs_job)
SCHEDULE = Body(JSON, MIB, schedules_job)
WEBHOOK = Body(JSON, MIB, watches)
COLLECTION = Body(JSON, MIB, collects)
TRANSFER = Body(LFS_JSON, 4 * MIB, transfers)
