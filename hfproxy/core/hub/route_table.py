"""What each route of the Hub does: the table.

The method says nothing about what a request does: a POST may read, a GET may mint a write token
(docs/hub-protocol.md#methods). So every route has a row of its own, and a request that no row fits is refused
(`core.routes`). The table is ordered for reading, not for matching: at most one row of a method fits a path. To add a
route, add a line: its methods, its path in the grammar of `core.address`, what it takes, and where it was seen:

    api     the Hub's own OpenAPI document, the dump of 2026-08-18; `make drift` compares it with another
    #…      the section of docs/hub-protocol.md with this anchor, which names client, file and version
    git     git's http-protocol(5) and git-lfs's API documents
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from hfproxy.core.hub import body_needs
from hfproxy.core.hub.strict_json import BodySpec
from hfproxy.core.policy.access import Action, Need, Target, catalogue, everything_of


class ResponseKind(Enum):
    """How a route answers, for what may be rewritten in it, and how a refusal is worded to its clients."""

    API = auto()  # JSON or text
    FILE = auto()  # the content of a repository, or the way to it
    LFS = auto()  # LFS JSON
    EVENTS = auto()  # server-sent events, without end
    GIT = auto()  # git's own protocol


class SpecialRoute(Enum):
    """Routes that no scope decides."""

    WHOAMI = auto()  # answered here, from the grant
    TELEMETRY = auto()  # answered here, with nothing
    UNAUTHENTICATED = auto()  # clients call it without a credential; forwarded without token
    MINTING = auto()  # its answer holds a live credential, or it changes tokens


class ReceivePack(Enum):
    """What a push does is in its command list, and in the pack behind it: `core.push`."""

    COMMANDS = auto()


@dataclass(frozen=True, slots=True)
class PathMatch:
    """What an address says: whose or which repository at which ref, a second ref, and its query's policy keys."""

    target: Target | None
    policy: tuple[tuple[str, str], ...] = ()
    other: str | None = None


Needs = Callable[[PathMatch], tuple[Need, ...]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row."""

    methods: str
    path: str
    derives: Needs | BodySpec | ReceivePack | SpecialRoute
    source: str
    answer: ResponseKind = ResponseKind.API
    policy: frozenset[str] = frozenset()  # the policy keys it may have


OWN = Target(None, None)


def on_target(action: Action) -> Needs:
    """The action on what the path names, at its revision where it has one; without any, on the account's own user."""
    return lambda found: (Need(action, found.target or OWN),)


def on_account(action: Action) -> Needs:
    """The action on the account itself, whatever repository the path names."""
    return lambda _: (Need(action, OWN),)


def compares(found: PathMatch) -> tuple[Need, ...]:
    """What differs between two revisions tells of both."""
    target = found.target or OWN
    return Need(Action.READ, target), Need(Action.READ, target.at(found.other or ""))


def uploads_lfs(found: PathMatch) -> tuple[Need, ...]:
    """A write whose objects belong to no ref."""
    return (Need(Action.WRITE, found.target or OWN, any_ref=True),)


def commits(found: PathMatch) -> tuple[Need, ...]:
    """A hot reload patches the running Space as well: that runs code."""
    return (*WRITE(found), *(RUN(found) if ("hot_reload", "1") in found.policy else ()))


def searches(found: PathMatch) -> tuple[Need, ...]:
    """A catalogue lists what everybody has."""
    return (Need(Action.READ, catalogue(found.target.type if found.target else None)),)


def lists_namespace(found: PathMatch) -> tuple[Need, ...]:
    """All repositories of a namespace."""
    target = found.target or OWN
    return (Need(Action.READ, everything_of(target.namespace or "", target.type)),)


def negotiates(found: PathMatch) -> tuple[Need, ...]:
    """git asks for the refs before it fetches or pushes; to push, the right to write to any of them will do."""
    return uploads_lfs(found) if ("service", "git-receive-pack") in found.policy else READ(found)


READ, WRITE, DISCUSS, MERGE, DELETE, SETTINGS, SECRETS, RUN = map(
    on_target, map(Action, "read write discuss merge delete settings secrets run".split())
)
CREATE, JOBS, ENDPOINTS, WEBHOOKS, COLLECTIONS, PROFILE, BILLING, ORG = map(
    on_target, map(Action, "create jobs endpoints webhooks collections profile billing org".split())
)
PR = frozenset({"create_pr"})
SERVICE = frozenset({"service"})
FILE, EVENTS, LFS, GIT = ResponseKind.FILE, ResponseKind.EVENTS, ResponseKind.LFS, ResponseKind.GIT
ANY = "GET HEAD POST PUT PATCH DELETE"

ROUTES = (
    # Repositories: finding, describing, listing
    Route("GET", "/api/{T}", searches, "#repository-reads"),
    Route("GET", "/api/spaces/semantic-search", searches, "#repository-reads"),
    Route("GET", "/api/spaces/templates", searches, "api"),
    Route("GET", "/api/spaces/hardware", searches, "api"),
    Route("GET", "/api/spaces/by-subdomain/{id}", searches, "#repository-reads"),
    Route("GET", "/api/spaces/zero-gpu/quota", PROFILE, "api"),
    Route("GET HEAD", "/api/{T}/{R}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/revision/{rev}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/tree/{rev}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/tree/{rev}/{coded}", READ, "api"),
    Route("GET", "/api/{T}/{R}/treesize/{rev}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/treesize/{rev}/{coded}", READ, "api"),
    Route("POST", "/api/{T}/{R}/paths-info/{rev}", READ, "api"),  # a read; its form names files
    Route("GET", "/api/{T}/{R}/refs", READ, "api"),
    Route("GET", "/api/{T}/{R}/commits/{rev}", READ, "api"),
    Route("GET", "/api/{T}/{R}/compare/{compare}", compares, "api"),
    Route("GET", "/api/{T}/{R}/scan", READ, "api"),
    Route("GET", "/api/{T}/{R}/notebook/{rev}/{path}", READ, "api"),
    Route("GET", "/api/{T}/{R}/lfs-files", READ, "api"),
    Route("GET", "/api/{T}/{R}/likers", READ, "#users-and-catalog"),
    Route("GET", "/api/{T}/{R}/leaderboard", READ, "api"),
    Route("GET", "/api/{T}/{R}/parquet", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/parquet/{path}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/safetensors-metadata/{path}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/auth-check", READ, "#users-and-catalog"),
    Route("GET", "/api/{T}/{R}/auth-check/write", WRITE, "#users-and-catalog"),
    # Their content
    Route("GET HEAD", "/{W}{R}/resolve/{rev}/{path}", READ, "api", FILE),
    Route("GET HEAD", "/{W}{R}/raw/{rev}/{path}", READ, "#repository-reads", FILE),
    Route("GET HEAD", "/api/resolve-cache/{T}/{R}/{sha}/{path}", READ, "api", FILE),
    Route("GET", "/api/{T}/{R}/xet-read-token/{rev}", READ, "api"),
    # Writing to them
    Route("POST", "/api/{T}/{R}/preupload/{rev}", WRITE, "api", policy=PR),
    Route("POST", "/api/{T}/{R}/commit/{rev}", commits, "api", policy=PR | {"hot_reload"}),
    Route("GET", "/api/{T}/{R}/xet-write-token/{rev}", WRITE, "api", policy=PR),
    Route("POST", "/api/{T}/{R}/lfs-files/duplicate", body_needs.DUPLICATE_FILES, "api"),
    Route("POST", "/api/{T}/{R}/branch/{rev}", body_needs.BRANCH, "api"),
    Route("POST", "/api/{T}/{R}/tag/{rev}", body_needs.TAG, "api"),
    Route("POST", "/api/{T}/{R}/sql-console/embed", WRITE, "api"),
    Route("PATCH DELETE", "/api/{T}/{R}/sql-console/embed/{id}", WRITE, "api"),
    # What loses history
    Route("DELETE", "/api/{T}/{R}/branch/{rev}", DELETE, "api"),
    Route("DELETE", "/api/{T}/{R}/tag/{tag}", DELETE, "api"),
    Route("POST", "/api/{T}/{R}/super-squash/{rev}", DELETE, "api"),
    Route("POST", "/api/{T}/{R}/lfs-files/batch", DELETE, "api"),
    Route("DELETE", "/api/{T}/{R}/lfs-files/{id}", DELETE, "api"),
    # Repositories as wholes
    Route("POST", "/api/repos/create", body_needs.CREATE, "api"),
    Route("DELETE", "/api/repos/delete", body_needs.DELETE, "#delete-repo"),
    Route("POST", "/api/repos/move", body_needs.MOVE, "api"),
    Route("POST", "/api/{T}/{R}/duplicate", body_needs.DUPLICATE, "api"),
    Route("PUT", "/api/{T}/{R}/settings", SETTINGS, "api"),
    Route("GET", "/api/{T}/{R}/resource-group", READ, "api"),
    Route("POST", "/api/{T}/{R}/resource-group", SETTINGS, "api"),
    Route("GET", "/api/{T}/{R}/user-access-request/{id}", SETTINGS, "api"),  # who asked, with their addresses
    Route("POST", "/api/{T}/{R}/user-access-request/{id}", SETTINGS, "api"),
    Route("GET", "/{W}{R}/user-access-report", SETTINGS, "api"),
    Route("POST", "/{W}{R}/ask-access", on_account(Action.PROFILE), "api"),
    Route("DELETE", "/api/{T}/{R}/like", on_account(Action.PROFILE), "#users-and-catalog"),
    # git and git-lfs
    Route("GET", "/{W}{R}{git}/info/refs", negotiates, "git", GIT, SERVICE),
    Route("POST", "/{W}{R}{git}/git-upload-pack", READ, "git", GIT),
    Route("POST", "/{W}{R}{git}/git-receive-pack", ReceivePack.COMMANDS, "git", GIT),
    Route("POST", "/{W}{R}{git}/info/lfs/objects/batch", body_needs.TRANSFER, "git", LFS),
    Route("POST", "/{W}{R}{git}/info/lfs/objects/verify", uploads_lfs, "#lfs", LFS),
    Route("GET", "/{W}{R}{git}/info/lfs/locks", READ, "git", LFS),
    Route("POST", "/{W}{R}{git}/info/lfs/locks/verify", READ, "git", LFS),  # lists the locks before a push
    Route("POST", "/{W}{R}{git}/info/lfs/locks", uploads_lfs, "git", LFS),
    Route("POST", "/{W}{R}{git}/info/lfs/locks/{id}/unlock", uploads_lfs, "git", LFS),
    # Discussions and pull requests
    Route("GET", "/api/{T}/{R}/discussions", READ, "api"),
    Route("POST", "/api/{T}/{R}/discussions", DISCUSS, "api"),
    Route("GET", "/api/{T}/{R}/discussions/{num}", READ, "api"),
    Route("DELETE", "/api/{T}/{R}/discussions/{num}", DELETE, "api"),
    Route("GET", "/api/{T}/{R}/discussions/{num}/storage", READ, "api"),
    Route("POST", "/api/{T}/{R}/discussions/{num}/comment", DISCUSS, "api"),
    Route("POST", "/api/{T}/{R}/discussions/{num}/comment/{id}/edit", DISCUSS, "#discussions"),
    Route("POST", "/api/{T}/{R}/discussions/{num}/comment/{id}/hide", DISCUSS, "#discussions"),
    Route("POST", "/api/{T}/{R}/discussions/{num}/title", DISCUSS, "api"),
    Route("POST", "/api/{T}/{R}/discussions/{num}/status", DISCUSS, "api"),
    Route("POST", "/api/{T}/{R}/discussions/{num}/pin", DISCUSS, "api"),
    Route("POST", "/api/{T}/{R}/discussions/{num}/merge", MERGE, "api"),
    Route("DELETE", "/api/{T}/{R}/discussions/{num}/ref", DELETE, "api"),
    # The discussion that an upload is attached to is not known.
    Route("POST", "/uploads", lambda _: (Need(Action.DISCUSS, catalogue(None)),), "#users-and-catalog"),
    # Spaces
    Route("GET", "/api/{S}/{R}/host", READ, "#repository-reads"),
    Route("GET", "/api/{S}/{R}/secrets", SECRETS, "api"),
    Route("POST DELETE", "/api/{S}/{R}/secrets", body_needs.SETTING, "api"),
    Route("GET", "/api/{S}/{R}/variables", READ, "api"),
    Route("POST DELETE", "/api/{S}/{R}/variables", body_needs.SETTING, "api"),
    Route("GET", "/api/{S}/{R}/runtime", READ, "#spaces"),
    Route("GET", "/api/{S}/{R}/logs/{id}", READ, "api", EVENTS),
    Route("GET", "/api/{S}/{R}/events", READ, "api", EVENTS),
    Route("GET", "/api/{S}/{R}/metrics", READ, "api", EVENTS),
    Route("POST", "/api/{S}/{R}/restart", RUN, "#spaces"),
    Route("POST", "/api/{S}/{R}/pause", RUN, "#spaces"),
    Route("POST", "/api/{S}/{R}/hardware", RUN, "#spaces"),
    Route("POST", "/api/{S}/{R}/sleeptime", RUN, "#spaces"),
    Route("POST", "/api/{S}/{R}/dev-mode", RUN, "#spaces"),
    Route("POST DELETE", "/api/{S}/{R}/storage", RUN, "#spaces"),  # huggingface_hub up to 1.33
    Route("PUT", "/api/{S}/{R}/volumes", body_needs.MOUNT, "api"),
    Route("DELETE", "/api/{S}/{R}/volumes", RUN, "api"),
    # Buckets
    Route("GET", "/api/{buckets}/{ns}", lists_namespace, "api"),
    Route("GET", "/api/{B}", READ, "api"),
    Route("POST", "/api/{B}", CREATE, "api"),
    Route("DELETE", "/api/{B}", DELETE, "api"),
    Route("PUT", "/api/{B}/settings", SETTINGS, "api"),
    Route("GET", "/api/{B}/resource-group", READ, "api"),
    Route("POST", "/api/{B}/resource-group", SETTINGS, "api"),
    Route("GET", "/api/{B}/tree", READ, "#buckets"),
    Route("GET", "/api/{B}/tree/{coded}", READ, "api"),
    Route("POST", "/api/{B}/paths-info", READ, "api"),
    Route("POST", "/api/{B}/batch", body_needs.BATCH, "api"),
    Route("POST", "/api/{B}/lfs-files/duplicate", body_needs.DUPLICATE_FILES, "api"),
    Route("GET", "/api/{B}/events", READ, "#buckets", EVENTS),
    Route("GET", "/api/{B}/xet-read-token", READ, "api"),
    Route("GET", "/api/{B}/xet-write-token", WRITE, "api"),
    Route("GET HEAD", "/{B}/resolve/{coded}", READ, "api", FILE),
    # Jobs
    Route("GET", "/api/jobs/hardware", searches, "api"),
    Route("GET", "/api/jobs/{ns}", JOBS, "api"),
    Route("POST", "/api/jobs/{ns}", body_needs.JOB, "api"),
    Route("POST", "/api/jobs/{ns}/auth-check/{id}", JOBS, "api"),
    Route("GET", "/api/jobs/{ns}/{id}", JOBS, "api"),  # `count` too
    Route("POST", "/api/jobs/{ns}/{id}/auth-check/{id}", JOBS, "api"),
    Route("POST", "/api/jobs/{ns}/{id}/cancel", JOBS, "api"),
    Route("POST", "/api/jobs/{ns}/{id}/duplicate", JOBS, "api"),
    Route("PUT", "/api/jobs/{ns}/{id}/expose", JOBS, "api"),
    Route("PUT", "/api/jobs/{ns}/{id}/labels", JOBS, "api"),
    Route("GET", "/api/jobs/{ns}/{id}/events", JOBS, "api", EVENTS),
    Route("GET", "/api/jobs/{ns}/{id}/logs", JOBS, "api", EVENTS),
    Route("GET", "/api/jobs/{ns}/{id}/metrics", JOBS, "api", EVENTS),
    Route("GET", "/api/scheduled-jobs/{ns}", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}", body_needs.SCHEDULE, "api"),
    Route("GET DELETE", "/api/scheduled-jobs/{ns}/{id}", JOBS, "api"),
    Route("PUT", "/api/scheduled-jobs/{ns}/{id}/labels", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/resume", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/run", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/schedule", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/suspend", JOBS, "api"),
    # Inference endpoints, as far as they are asked about here
    Route("POST", "/api/inference-endpoints/{ns}/auth-check/{id}", ENDPOINTS, "api"),
    Route("POST", "/api/inference-endpoints/{ns}/{id}/auth-check/{id}", ENDPOINTS, "api"),
    # Webhooks
    Route("GET", "/api/settings/webhooks", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks", body_needs.WEBHOOK, "api"),
    Route("GET DELETE", "/api/settings/webhooks/{id}", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks/{id}", body_needs.WEBHOOK, "api"),
    Route("POST", "/api/settings/webhooks/{id}/enable", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks/{id}/disable", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks/{id}/replay/{id}", WEBHOOKS, "api"),
    # Collections
    Route("GET", "/api/collections", searches, "api"),
    Route("POST", "/api/collections", body_needs.COLLECTION, "api"),
    Route("GET PATCH DELETE", "/api/collections/{ns}/{id}", COLLECTIONS, "api"),
    Route("POST", "/api/collections/{ns}/{id}/items", COLLECTIONS, "api"),
    Route("POST", "/api/collections/{ns}/{id}/items/batch", COLLECTIONS, "api"),
    Route("PATCH DELETE", "/api/collections/{ns}/{id}/items/{id}", COLLECTIONS, "api"),
    Route("GET POST", "/api/collections/{ns}/{id}/resource-group", COLLECTIONS, "api"),
    # The account's own page, papers, posts
    Route("GET", "/api/settings/repositories", PROFILE, "api"),  # private names and sizes
    Route("GET", "/api/settings/mcp", PROFILE, "api"),
    Route("GET", "/api/settings/metrics/live", PROFILE, "api", EVENTS),
    Route("PATCH", "/api/settings/notifications", PROFILE, "api"),
    Route("PATCH", "/api/settings/watch", PROFILE, "api"),
    Route("GET DELETE", "/api/notifications", PROFILE, "api"),
    Route("POST", "/api/notifications/mark-as-read", PROFILE, "api"),
    Route("POST", "/api/papers/index", PROFILE, "api"),
    Route("POST", "/api/papers/{id}/links", PROFILE, "api"),
    Route("POST", "/api/papers/{id}/comment", PROFILE, "api"),
    Route("POST", "/api/papers/{id}/comment/{id}/reply", PROFILE, "api"),
    Route("POST", "/api/settings/papers/claim", PROFILE, "api"),
    Route("DELETE", "/api/posts/{id}/{id}", PROFILE, "api"),
    Route("POST", "/api/posts/{id}/{id}/comment", PROFILE, "api"),
    Route("POST", "/api/posts/{id}/{id}/comment/{id}/reply", PROFILE, "api"),
    Route("POST", "/api/blog/{id}/comment", PROFILE, "api"),
    Route("POST", "/api/blog/{id}/comment/{id}/reply", PROFILE, "api"),
    Route("POST", "/api/blog/{id}/{id}/comment", PROFILE, "api"),
    Route("POST", "/api/blog/{id}/{id}/comment/{id}/reply", PROFILE, "api"),
    # What was spent
    Route("GET", "/api/settings/billing/usage", BILLING, "api"),
    Route("GET", "/api/settings/billing/usage-v2", BILLING, "api"),
    Route("GET", "/api/settings/billing/usage-by-inference-session", BILLING, "api"),
    Route("GET", "/api/settings/billing/usage/jobs", BILLING, "api"),
    Route("GET", "/api/settings/billing/usage/live", BILLING, "api", EVENTS),
    Route("GET", "/api/users/{ns}/billing/usage/live", BILLING, "api", EVENTS),
    Route("GET", "/api/organizations/{ns}/billing/usage", BILLING, "api"),
    Route("GET", "/api/organizations/{ns}/billing/usage-v2", BILLING, "api"),
    Route("GET", "/api/organizations/{ns}/billing/usage-by-inference-session", BILLING, "api"),
    Route("GET", "/api/organizations/{ns}/billing/usage-by-resource-group", BILLING, "api"),
    Route("GET", "/api/organizations/{ns}/billing/usage/live", BILLING, "api", EVENTS),
    # Administration of an organisation
    Route("PUT", "/api/organizations/{ns}/members/{id}/role", ORG, "api"),
    Route("GET", "/api/organizations/{ns}/audit-log/export", ORG, "api"),
    Route("GET", "/api/organizations/{ns}/settings/repositories", ORG, "api"),
    Route("GET PATCH", "/api/organizations/{ns}/settings/network-security", ORG, "api"),
    Route("GET POST", "/api/organizations/{ns}/resource-groups", ORG, "api"),
    Route("GET PATCH DELETE", "/api/organizations/{ns}/resource-groups/{id}", ORG, "api"),
    Route("POST", "/api/organizations/{ns}/resource-groups/{id}/settings", ORG, "api"),
    Route("POST", "/api/organizations/{ns}/resource-groups/{id}/users", ORG, "api"),
    Route("PATCH DELETE", "/api/organizations/{ns}/resource-groups/{id}/users/{id}", ORG, "api"),
    Route("GET POST", "/api/organizations/{ns}/scim/v2/{id}", ORG, "api"),
    Route("GET PUT PATCH DELETE", "/api/organizations/{ns}/scim/v2/{id}/{path}", ORG, "api"),
    Route("GET POST", "/api/organizations/{ns}/scim-provisioning/v2/{id}", ORG, "api"),
    Route("GET PUT PATCH DELETE", "/api/organizations/{ns}/scim-provisioning/v2/{id}/{path}", ORG, "api"),
    # What everybody may see: forwarded without the token where it is not in scope
    Route("GET", "/api/users/{id}/overview", searches, "api"),
    Route("GET", "/api/users/{id}/followers", searches, "#users-and-catalog"),
    Route("GET", "/api/users/{id}/following", searches, "#users-and-catalog"),
    Route("GET", "/api/users/{id}/likes", searches, "api"),
    Route("GET", "/api/users/{id}/socials", searches, "api"),
    Route("GET", "/api/users/{id}/avatar", searches, "api"),
    Route("GET", "/api/organizations/{id}/overview", searches, "#users-and-catalog"),
    Route("GET", "/api/organizations/{id}/followers", searches, "#users-and-catalog"),
    Route("GET", "/api/organizations/{id}/members", searches, "api"),
    Route("GET", "/api/organizations/{id}/socials", searches, "api"),
    Route("GET", "/api/organizations/{id}/avatar", searches, "api"),
    Route("GET", "/api/avatars/{id}", searches, "api"),
    Route("GET", "/api/papers", searches, "api"),
    Route("GET", "/api/papers/{id}", searches, "api"),  # `search` too
    Route("GET", "/papers/{id}", searches, "#users-and-catalog"),
    Route("GET", "/api/daily_papers", searches, "api"),
    Route("GET", "/api/tasks", searches, "#users-and-catalog"),
    Route("GET", "/api/trending", searches, "api"),
    Route("GET POST", "/api/quicksearch", searches, "api"),
    Route("GET", "/api/docs", searches, "api"),
    Route("GET", "/api/docs/search", searches, "api"),
    Route("GET", "/api/docs/search/full-text", searches, "api"),
    Route("GET", "/api/models-tags-by-type", searches, "api"),
    Route("GET", "/api/datasets-tags-by-type", searches, "api"),
    Route("GET", "/api/agentic/provisioning/health", searches, "api"),
    Route("GET", "/api/agentic/provisioning/services", searches, "api"),
    # Answered here, or forwarded without token
    Route("GET", "/api/whoami-v2", SpecialRoute.WHOAMI, "api"),
    Route("HEAD", "/api/telemetry/{path}", SpecialRoute.TELEMETRY, "#users-and-catalog"),
    Route("POST", "/api/complete_multipart", SpecialRoute.UNAUTHENTICATED, "#multipart-completion"),
    Route("POST", "/api/validate-yaml", SpecialRoute.UNAUTHENTICATED, "#users-and-catalog"),
    Route("GET", "/api/agent-harnesses", SpecialRoute.UNAUTHENTICATED, "api"),
    # Never (docs/hub-protocol.md#minting): each mints a credential that cannot be taken back here, or changes tokens
    Route("GET HEAD POST", "/api/{T}/{R}/jwt", SpecialRoute.MINTING, "api"),
    Route("GET HEAD POST", "/api/registry/token", SpecialRoute.MINTING, "api"),
    Route(ANY, "/oauth/{path}", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/credentials/revoke", SpecialRoute.MINTING, "api"),
    Route(ANY, "/api/organizations/{id}/service-accounts", SpecialRoute.MINTING, "api"),
    Route(ANY, "/api/organizations/{id}/service-accounts/{path}", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/organizations/{id}/settings/tokens/{path}", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/agentic/provisioning/account_requests", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/agentic/provisioning/deep_links", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/agentic/provisioning/resources", SpecialRoute.MINTING, "api"),
    Route("GET POST", "/api/agentic/provisioning/resources/{path}", SpecialRoute.MINTING, "api"),
)
