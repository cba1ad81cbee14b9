"""What each route of the Hub does: the table, and `classify`, which finds a request's row in it.

The method says nothing about what a request does: a POST may read, a GET may mint a write token (hub-wire,
rule 5). So every route has a row of its own, and a request that no row fits is refused. The table is
ordered for reading, not for matching: at most one row of a method fits a path.

In a path `{T}` is models, datasets or spaces; `{S}` spaces only; `{W}` the type as a web address has it (nothing for
models); `{R}` a repository id of two segments, or a legacy one; `{rev}` one segment, percent-encoded; `{sha}` a commit
id; `{path}` the rest.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote

from hfproxy.core import bodies, target
from hfproxy.core.access import (
    NEW_PULL_REQUEST,
    Access,
    Action,
    Deny,
    Need,
    Refusal,
    RepoType,
    Target,
    catalogue,
)


class Answer(Enum):
    """How a route answers, for what may be rewritten in it, and how a refusal is worded to its clients."""

    API = auto()  # JSON or text
    FILE = auto()  # the content of a repository, or the way to it
    LFS = auto()  # LFS JSON
    EVENTS = auto()  # server-sent events, without end


class Special(Enum):
    """Routes that no scope decides."""

    WHOAMI = auto()  # answered here, from the grant
    TELEMETRY = auto()  # answered here, with nothing
    KEYLESS = auto()  # clients call it without a credential; forwarded without token
    MINTING = auto()  # its answer holds a live credential, or it changes tokens


@dataclass(frozen=True, slots=True)
class Found:
    """What a path says: the repository, the ref it is about, and the policy keys of its query."""

    target: Target | None
    policy: frozenset[str] = frozenset()


Needs = Callable[[Found], tuple[Need, ...]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row. Exactly one of `needs`, `body` and `special` says what it takes."""

    methods: str
    path: str
    needs: Needs | None = None
    body: bodies.Body | None = None
    special: Special | None = None
    answer: Answer = Answer.API
    policy: frozenset[str] = frozenset()  # the policy keys it may have


def does(action: Action) -> Needs:
    """The action on the repository of the path, at its revision where it has one."""
    return lambda found: (Need(action, found.target),) if found.target else ()


def uploads_lfs(found: Found) -> tuple[Need, ...]:
    """A write whose objects belong to no ref."""
    return (Need(Action.WRITE, found.target, any_ref=True),) if found.target else ()


def commits(found: Found) -> tuple[Need, ...]:
    """A hot reload patches the running Space as well: that runs code."""
    write = does(Action.WRITE)(found)
    return (*write, *does(Action.RUN)(found)) if "hot_reload" in found.policy else write


def searches(found: Found) -> tuple[Need, ...]:
    """A catalogue lists repositories of everybody."""
    return (Need(Action.READ, catalogue(found.target.type if found.target else None)),)


READ, WRITE, RUN, SECRETS = (does(action) for action in (Action.READ, Action.WRITE, Action.RUN, Action.SECRETS))
PR = frozenset({"create_pr"})

# Sources: hub-wire §1.2-1.5, §4, §5, §8, and huggingface_hub 2.4.0 where named.
ROUTES = (
    # Repositories: finding, describing, listing
    Route("GET", "/api/{T}", searches),
    Route("GET HEAD", "/api/{T}/{R}", READ),
    Route("GET", "/api/{T}/{R}/revision/{rev}", READ),
    Route("GET", "/api/{T}/{R}/tree/{rev}", READ),
    Route("GET", "/api/{T}/{R}/tree/{rev}/{path}", READ),
    Route("POST", "/api/{T}/{R}/paths-info/{rev}", READ),  # a read; its form names files
    Route("GET", "/api/{T}/{R}/refs", READ),
    Route("GET", "/api/{T}/{R}/commits/{rev}", READ),
    Route("GET", "/api/{T}/{R}/auth-check", READ),
    Route("GET", "/api/{T}/{R}/auth-check/write", WRITE),
    # Their content
    Route("GET HEAD", "/{W}{R}/resolve/{rev}/{path}", READ, answer=Answer.FILE),
    Route("GET HEAD", "/{W}{R}/raw/{rev}/{path}", READ, answer=Answer.FILE),
    Route("GET HEAD", "/api/resolve-cache/{T}/{R}/{sha}/{path}", READ, answer=Answer.FILE),
    Route("GET", "/api/{T}/{R}/xet-read-token/{rev}", READ),
    # Writing to them
    Route("POST", "/api/repos/create", body=bodies.CREATE),
    Route("POST", "/api/{T}/{R}/preupload/{rev}", WRITE, policy=PR),
    Route("POST", "/api/{T}/{R}/commit/{rev}", commits, policy=PR | {"hot_reload"}),
    Route("GET", "/api/{T}/{R}/xet-write-token/{rev}", WRITE, policy=PR),
    Route("POST", "/{W}{R}.git/info/lfs/objects/batch", body=bodies.LFS_BATCH, answer=Answer.LFS),
    Route("POST", "/{W}{R}.git/info/lfs/objects/verify", uploads_lfs, answer=Answer.LFS),
    # Pull requests: `upload_folder(create_pr=True)` with hf_xet opens one first and looks at it
    Route("POST", "/api/{T}/{R}/discussions", does(Action.DISCUSS)),
    Route("GET", "/api/{T}/{R}/discussions/{word}", READ),
    # Spaces
    Route("GET", "/api/{S}/{R}/secrets", SECRETS),
    Route("POST DELETE", "/api/{S}/{R}/secrets", body=bodies.SETTING),
    Route("GET", "/api/{S}/{R}/variables", READ),
    Route("POST DELETE", "/api/{S}/{R}/variables", body=bodies.SETTING),
    Route("POST", "/api/{S}/{R}/restart", RUN),
    Route("GET", "/api/{S}/{R}/runtime", READ),
    Route("GET", "/api/{S}/{R}/logs/{word}", READ, answer=Answer.EVENTS),
    # Answered here, or forwarded without token (design §4)
    Route("GET", "/api/whoami-v2", special=Special.WHOAMI),
    Route("HEAD", "/api/telemetry/{path}", special=Special.TELEMETRY),
    Route("POST", "/api/complete_multipart", special=Special.KEYLESS),
    Route("POST", "/api/validate-yaml", special=Special.KEYLESS),
    Route("GET", "/api/agent-harnesses", special=Special.KEYLESS),
    # Never (design §6): each hands out a credential that nobody here could take back
    Route("GET HEAD POST", "/api/{T}/{R}/jwt", special=Special.MINTING),
    Route("GET HEAD POST", "/api/registry/token", special=Special.MINTING),
    Route("GET HEAD POST PUT DELETE", "/oauth/{path}", special=Special.MINTING),
    Route("POST", "/api/credentials/revoke", special=Special.MINTING),
    Route(
        "GET HEAD POST PUT PATCH DELETE",
        "/api/organizations/{word}/service-accounts",
        special=Special.MINTING,
    ),
    Route(
        "GET HEAD POST PUT PATCH DELETE",
        "/api/organizations/{word}/service-accounts/{path}",
        special=Special.MINTING,
    ),
    Route("POST", "/api/organizations/{word}/settings/tokens/{path}", special=Special.MINTING),
    Route("GET HEAD POST PUT DELETE", "/api/agentic/provisioning/{path}", special=Special.MINTING),
)

# Words that follow a repository id (hub-wire §1.10): in second place they end a one-segment id.
SUBWORDS = (
    "resolve tree blob raw refs commit commits discussions settings revision preupload paths-info branch tag"
    " super-squash lfs-files treesize compare scan notebook jwt likers like duplicate resource-group leaderboard"
    " safetensors-metadata auth-check user-access-request user-access-report ask-access xet-read-token"
    " xet-write-token secrets variables runtime hardware sleeptime pause restart dev-mode logs events metrics"
    " volumes storage host sql-console parquet info edit upload delete new"
).split()
# Words of the Hub's own that stand where a namespace could.
NOT_NAMESPACES = (
    "api models datasets spaces kernels buckets oauth settings docs papers collections organizations users join"
    " login logout new search tasks blog pricing chat posts notifications enterprise uploads resolve-cache jobs"
    " semantic-search templates hardware by-subdomain zero-gpu .well-known"
).split()


def _none_of(words: list[str]) -> str:
    # Whatever the case: the Hub's router may not care about it, so we must.
    return rf"(?!(?i:{'|'.join(map(re.escape, words))})(?:[/?]|$))"


# What git refuses in a ref name (git-check-ref-format): `main~3` is a way from one commit to another.
NOT_IN_A_REF = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{")
ID = r"[A-Za-z0-9_](?:(?!\.\.)[A-Za-z0-9._-]){0,95}(?<![.-])(?<!(?i:\.git))"
PLACES = {
    "{T}": r"(?P<type>models|datasets|spaces)",
    "{S}": r"(?P<type>spaces)",
    "{W}": r"(?:(?P<type>datasets|spaces)/)?",
    "{R}": rf"(?P<ns>{_none_of(NOT_NAMESPACES)}{ID})(?:/(?P<name>{_none_of(SUBWORDS)}{ID}))?",
    "{rev}": r"(?P<rev>[^/]+)",
    "{sha}": r"(?P<rev>[0-9a-f]{40})",
    "{path}": r"(?P<path>.+)",
    "{word}": r"[A-Za-z0-9_-]+",
}


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\})", path)
    return re.compile("".join(PLACES.get(part, re.escape(part)) for part in parts))


TABLE = tuple((_pattern(route.path), route) for route in ROUTES)


@dataclass(frozen=True, slots=True)
class Classified:
    """A request whose meaning is known. `access` is None for a special route."""

    route: Route
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class NeedBody:
    """What the request does is in its body: read at most `limit` bytes and go on with `classify_body`."""

    route: Route
    found: Found
    limit: int


def classify(method: str, raw_target: str, bill_to: str | None = None) -> Classified | NeedBody | Deny:
    """Say what a request attempts, from its method and its raw target.

    `bill_to` is the `X-HF-Bill-To` header: who pays is part of the access. Never raises; what it
    accepts is to be sent exactly as it was given.
    """
    address = target.read(raw_target)
    if isinstance(address, Deny):
        return address
    for pattern, route in TABLE:
        if method in route.methods.split() and (match := pattern.fullmatch(address.path)):
            return _matched(route, match, dict(address.policy), bill_to)
    return _unknown(method, address.path)


def classify_body(
    need: NeedBody, raw: bytes, content_type: str, content_encoding: str, bill_to: str | None = None
) -> Classified | Deny:
    """The same, once the body has been read."""
    body = need.route.body
    if body is None:
        return bodies.refused("this address takes none")
    decoded = bodies.decode(body, raw, content_type, content_encoding)
    if isinstance(decoded, Deny):
        return decoded
    needs = bodies.needs(body, need.found.target, decoded)
    return needs if isinstance(needs, Deny) else _access(need.route, needs, bill_to)


def _matched(
    route: Route, match: re.Match[str], policy: dict[str, str], bill_to: str | None
) -> Classified | NeedBody | Deny:
    found = _found(match, frozenset(policy))
    if isinstance(found, Deny):
        return found
    if not found.policy <= route.policy:
        return Deny(Refusal.BAD_TARGET, f"{', '.join(sorted(found.policy))} has no meaning at this address")
    if route.special is not None:
        return Classified(route)
    if route.body is not None:
        return NeedBody(route, found, route.body.limit)
    return _access(route, route.needs(found) if route.needs else (), bill_to)


def _access(route: Route, needs: tuple[Need, ...], bill_to: str | None) -> Classified | Deny:
    if bill_to is not None and not bodies.ID.fullmatch(bill_to):
        return Deny(Refusal.BAD_TARGET, "X-HF-Bill-To is not a valid organisation name")
    return Classified(route, Access(needs, bill_to=bill_to))


def _found(match: re.Match[str], policy: frozenset[str]) -> Found | Deny:
    """Read the named parts of a path. `%2F` passes in a revision, and in the path of a tree listing."""
    parts = match.groupdict()
    if "%" in (parts.get("path") or "") and "%2f" in parts["path"].lower() and "/tree/" not in match.re.pattern:
        return Deny(Refusal.BAD_TARGET, "an encoded slash has no place in this address")
    if "type" not in parts:
        return Found(None, policy)
    kind = RepoType(parts["type"] or "models")
    ref = unquote(parts["rev"]) if parts.get("rev") else None
    if ref == NEW_PULL_REQUEST:
        return Deny(Refusal.BAD_TARGET, f"'{NEW_PULL_REQUEST}' is not a revision; use create_pr=1")
    if ref is not None and NOT_IN_A_REF.search(ref):
        return Deny(Refusal.BAD_TARGET, "the revision in this address is not the name of a ref or a commit")
    if "create_pr" in policy:
        ref = NEW_PULL_REQUEST
    return Found(Target(kind, parts.get("ns"), parts.get("name"), ref), policy)


def _unknown(method: str, path: str) -> Deny:
    """No row: refused. An address that would have one without its encoding is told so."""
    plain = unquote(path)
    if plain != path and any(pattern.fullmatch(plain) for pattern, _ in TABLE):
        return Deny(Refusal.BAD_TARGET, "this address is encoded where it must be plain")
    return Deny(
        Refusal.UNKNOWN_ROUTE,
        f"{method[:10]} {path[:120]} is not an operation this hf-proxy knows, so no scope can allow it",
    )
