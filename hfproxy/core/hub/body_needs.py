"""Derives needs from request bodies: the repositories a body names besides that of the path, and the actions on them.

`organization: null` and a bare name mean the account's own user. Unknown fields are refused in bodies that create,
delete, move or copy repositories, start jobs or set webhooks: such a field could name another repository or run code.
The other bodies act on the repository of their path, or on the namespace they name: a branch, a tag, a bucket's batch,
an LFS batch, a Space's secrets and volumes, a collection. Of these the fields that lead elsewhere are read
(`startingPoint`, `sourceRepoId`, `volumes`), and unknown ones are forwarded. Sources: the Hub's OpenAPI document, and
docs/hub-protocol.md#create-repo and the sections after it.
"""

import re
from collections.abc import Iterable

from hfproxy.core.git.refs import is_ref_name
from hfproxy.core.hub.strict_json import JSON, LFS_JSON, NDJSON, BodyError, BodySpec, Object
from hfproxy.core.policy.access import Action, Need, RepoType, Target, everything_of

ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
TYPES = {kind.value.removesuffix("s"): kind for kind in RepoType}
RUN_KEYS = ("hardware", "storageTier", "sleepTimeSeconds", "devModeEnabled", "volumes")
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
    """Return the needs of `POST /api/repos/create`. No `type` means a model; setting the visibility needs no more."""
    _reject_unknown(body, CREATE_KEYS)
    target = _named_repo(body)
    if target.type is RepoType.BUCKETS:
        raise BodyError("a bucket is created at /api/buckets")
    return (Need(Action.CREATE, target), *_space_extras(target, body))


def needs_of_delete(_: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of `DELETE /api/repos/delete`."""
    _reject_unknown(body, DELETE_KEYS)
    return (Need(Action.DELETE, _named_repo(body)),)


def needs_of_move(_: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of `POST /api/repos/move`: MOVE at both the old and the new place."""
    _reject_unknown(body, MOVE_KEYS)
    kind = _type_or_model(body.get("type"))
    return tuple(Need(Action.MOVE, _repo(kind, end, body.get(end))) for end in ("fromRepo", "toRepo"))


def needs_of_duplicate(source: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of `POST /api/{T}/{R}/duplicate`; a copy that is not private could publish a private source."""
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
    """Return the needs of `POST /api/{T}/{R}/lfs-files/duplicate`: READ of the path's repository, WRITE of `target`."""
    _reject_unknown(body, DUPLICATE_FILES_KEYS)
    target = _object("target", body.get("target"))
    destination = _repo(_type(target.get("type")), "target.name", target.get("name"))
    return Need(Action.READ, _require_target(source)), Need(Action.WRITE, destination)


def needs_of_batch(bucket: Target | None, line: Object) -> tuple[Need, ...]:
    """Return the needs of one line of `POST /api/{B}/batch` (huggingface_hub 2.4, `_batch_bucket_files`)."""
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
    """Return the needs of `POST /api/{T}/{R}/branch/{rev}`; overwriting a branch loses its commits: DELETE."""
    target = _require_target(branch)
    start = body.get("startingPoint")
    return (
        Need(Action.WRITE, target),
        *([] if start is None else [Need(Action.READ, target.at(_ref("startingPoint", start)))]),
        *([Need(Action.DELETE, target)] if body.get("overwrite") else []),
    )


def needs_of_tag(revision: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of `POST /api/{T}/{R}/tag/{rev}`: the tag is in the body, the tagged revision in the path."""
    target = _require_target(revision)
    return Need(Action.WRITE, target.at(f"refs/tags/{_ref('tag', body.get('tag'))}")), Need(Action.READ, target)


def needs_of_transfer(repo: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of an LFS batch, by its `operation`; uploaded objects belong to no ref."""
    target = _require_target(repo)
    match body.get("operation"):
        case "download":
            return (Need(Action.READ, target),)
        case "upload":
            return (Need(Action.WRITE, target, any_ref=True),)
        case _:
            raise BodyError("'operation' must be download or upload")


def needs_of_setting(space: Target | None, _: Object) -> tuple[Need, ...]:
    """Return the need of setting or deleting a Space's secret or variable."""
    return (Need(Action.SECRETS, _require_target(space)),)


def needs_of_mounts(space: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of `PUT /api/spaces/{R}/volumes`: the Space's code gets access to the mounted repositories."""
    return (Need(Action.RUN, _require_target(space)), *_volumes(body.get("volumes")))


def needs_of_job(namespace: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of `POST /api/jobs/{ns}`: JOBS, READ of a Space whose image runs, and the mounted volumes."""
    _reject_unknown(body, JOB_KEYS)
    space = body.get("spaceId")
    return (
        Need(Action.JOBS, _require_target(namespace)),
        *([] if space is None else [Need(Action.READ, _repo(RepoType.SPACES, "spaceId", space))]),
        *_volumes(body.get("volumes")),
    )


def needs_of_schedule(namespace: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of `POST /api/scheduled-jobs/{ns}`: those of the job that the schedule starts."""
    _reject_unknown(body, SCHEDULE_KEYS)
    return needs_of_job(namespace, _object("jobSpec", body.get("jobSpec")))


def needs_of_webhook(_: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the needs of a webhook, which reports events of the repositories it watches and may start a job."""
    _reject_unknown(body, WEBHOOK_KEYS)
    own = Target(None, None)
    job = body.get("job")
    return (
        Need(Action.WEBHOOKS, own),
        *(_watched_repos(entry) for entry in _objects("watched", body.get("watched"))),
        *([Need(Action.JOBS, own)] if body.get("jobSourceId") is not None else []),
        *([] if job is None else needs_of_job(own, _object("job", job))),
    )


def needs_of_collection(_: Target | None, body: Object) -> tuple[Need, ...]:
    """Return the need of `POST /api/collections`; the namespace is in the body."""
    namespace = body.get("namespace")
    return (Need(Action.COLLECTIONS, Target(None, None if namespace is None else _id("namespace", namespace))),)


def _space_extras(target: Target, body: Object) -> Iterable[Need]:
    """Yield the needs of the options of a new Space: secrets, paid hardware, mounted repositories."""
    if body.get("secrets") or body.get("variables"):
        yield Need(Action.SECRETS, target)
    if any(body.get(key) is not None for key in RUN_KEYS):
        yield Need(Action.RUN, target)
    yield from _volumes(body.get("volumes"))


def _volumes(volumes: object) -> list[Need]:
    return [] if volumes is None else [_volume(volume) for volume in _objects("volumes", volumes)]


def _volume(volume: Object) -> Need:
    """Return the need of one volume; a bucket is mounted for writing unless `readOnly` is true (OpenAPI)."""
    kind = _type(volume.get("type"))
    revision = volume.get("revision")
    source = _repo(kind, "source", volume.get("source"))
    if kind is RepoType.BUCKETS and volume.get("readOnly") is not True:
        return Need(Action.WRITE, source)
    return Need(Action.READ, source if revision is None else source.at(_ref("revision", revision)))


def _watched_repos(entry: Object) -> Need:
    kind, name = entry.get("type"), entry.get("name")
    if kind in ("user", "org"):
        return Need(Action.READ, everything_of(_id("name", name)))
    return Need(Action.READ, _repo(_type(kind), "name", name))


def _named_repo(body: Object) -> Target:
    """Return the repository named by `name`, `organization` and `type` (docs/hub-protocol.md#create-repo)."""
    organization = body.get("organization")
    namespace = None if organization is None else _id("organization", organization)
    return Target(_type_or_model(body.get("type")), namespace, _id("name", body.get("name")))


def _type(value: object) -> RepoType:
    """Parse a repository type as it is spelled in bodies (singular)."""
    if not isinstance(value, str) or value not in TYPES:
        raise BodyError(f"a repository's type must be one of {', '.join(TYPES)}")
    return TYPES[value]


def _type_or_model(value: object) -> RepoType:
    """Parse a repository type; a missing one means a model (docs/hub-protocol.md#create-repo)."""
    return RepoType.MODELS if value is None else _type(value)


def _repo(kind: RepoType | None, field: str, value: object) -> Target:
    """Parse `NAMESPACE/NAME`, or the bare name of a repository of the account's own user."""
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
    return [_object(field, item) for item in value]


def _reject_unknown(body: Object, known: frozenset[str]) -> None:
    unknown = sorted(set(body) - known)
    if unknown:
        raise BodyError(f"unknown field '{ascii(unknown[0][:60])[1:-1]}'")


MIB = 1024 * 1024
CREATE_BODY = BodySpec(JSON, 16 * MIB, needs_of_create)  # `files` may hold all files of a small Space
DELETE_BODY = BodySpec(JSON, MIB, needs_of_delete)
MOVE_BODY = BodySpec(JSON, MIB, needs_of_move)
DUPLICATE_BODY = BodySpec(JSON, MIB, needs_of_duplicate)
DUPLICATE_FILES_BODY = BodySpec(JSON, MIB, needs_of_file_duplicate)
BATCH_BODY = BodySpec(NDJSON, 8 * MIB, needs_of_batch)  # at most 1,000 lines (docs/hub-protocol.md#buckets)
BRANCH_BODY = BodySpec(JSON, MIB, needs_of_branch)
TAG_BODY = BodySpec(JSON, MIB, needs_of_tag)
SETTING_BODY = BodySpec(JSON, MIB, needs_of_setting)
MOUNT_BODY = BodySpec(JSON, MIB, needs_of_mounts)
JOB_BODY = BodySpec(JSON, MIB, needs_of_job)
SCHEDULE_BODY = BodySpec(JSON, MIB, needs_of_schedule)
WEBHOOK_BODY = BodySpec(JSON, MIB, needs_of_webhook)
COLLECTION_BODY = BodySpec(JSON, MIB, needs_of_collection)
TRANSFER_BODY = BodySpec(LFS_JSON, 4 * MIB, needs_of_transfer)
