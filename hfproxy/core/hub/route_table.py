"""The table of the Hub's routes, and the needs of each.

The HTTP method does not tell the operation: a POST may read, and a GET may mint a write token
(docs/hub-protocol.md#methods). So every route has its own row, and a request that matches no row is refused
(`hfproxy.core.hub.classify`). The rows are ordered for reading, not for matching: at most one row of a method matches a
path. To add a route, add a row: its methods, its path with the placeholders of `hfproxy.core.hub.path_pattern`, the
derivation of its needs, and its source:

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
    """The kind of a route's response: it determines possible rewrites, and the form of a refusal."""

    API = auto()  # JSON or text
    FILE = auto()  # the content of a repository, or a redirect to it
    LFS = auto()  # LFS JSON
    EVENTS = auto()  # an endless stream of server-sent events
    GIT = auto()  # git's own protocol


class SpecialRoute(Enum):
    """Routes that are decided without scopes."""

    WHOAMI = auto()  # answered by the daemon, from the grant
    TELEMETRY = auto()  # answered by the daemon with an empty response
    UNAUTHENTICATED = auto()  # clients call it without a credential; forwarded without the token
    MINTING = auto()  # the response holds a live credential, or the request changes tokens


class ReceivePack(Enum):
    """A push: its needs are derived from the ref updates and the pack (`hfproxy.core.git.push_commands`)."""

    COMMANDS = auto()


@dataclass(frozen=True, slots=True)
class PathMatch:
    """The parts of a matched address.

    Attributes:
        target: the namespace or repository with its ref; None if the path names none.
        policy: the query keys that change the operation, with their values.
        other: the second ref of a comparison.
    """

    target: Target | None
    policy_pairs: tuple[tuple[str, str], ...] = ()
    other_ref: str | None = None


Needs = Callable[[PathMatch], tuple[Need, ...]]


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the table."""

    methods: str
    path: str
    derives: Needs | BodySpec | ReceivePack | SpecialRoute
    source: str
    response_kind: ResponseKind = ResponseKind.API
    policy_keys: frozenset[str] = frozenset()  # the policy keys that the route accepts


OWN = Target(None, None)


def on_target(action: Action) -> Needs:
    """Derive the action on the path's target with its revision; without a target, on the account's own user."""
    return lambda match: (Need(action, match.target or OWN),)


def on_account(action: Action) -> Needs:
    """Derive the action on the account itself, regardless of the path's repository."""
    return lambda _: (Need(action, OWN),)


def needs_of_compare(match: PathMatch) -> tuple[Need, ...]:
    """Return the needs of a comparison: READ at both revisions."""
    target = match.target or OWN
    return Need(Action.READ, target), Need(Action.READ, target.at(match.other_ref or ""))


def needs_of_lfs_upload(match: PathMatch) -> tuple[Need, ...]:
    """Return the need of an upload of LFS objects: WRITE, at any ref, since the objects belong to none."""
    return (Need(Action.WRITE, match.target or OWN, any_ref=True),)


def needs_of_commit(match: PathMatch) -> tuple[Need, ...]:
    """Return the needs of a commit; a hot reload also patches the running Space, which runs code."""
    return (*WRITE(match), *(RUN(match) if ("hot_reload", "1") in match.policy_pairs else ()))


def needs_of_search(match: PathMatch) -> tuple[Need, ...]:
    """Return the need of listing a catalogue, which holds the repositories of all namespaces."""
    return (Need(Action.READ, catalogue(match.target.type if match.target else None)),)


def needs_of_listing(match: PathMatch) -> tuple[Need, ...]:
    """Return the need of listing all repositories of a namespace."""
    target = match.target or OWN
    return (Need(Action.READ, everything_of(target.namespace or "", target.type)),)


def needs_of_refs(match: PathMatch) -> tuple[Need, ...]:
    """Return the needs of git's ref advertisement: before a push, WRITE at any ref; before a fetch, READ."""
    return needs_of_lfs_upload(match) if ("service", "git-receive-pack") in match.policy_pairs else READ(match)


READ, WRITE, DISCUSS, MERGE, DELETE, SETTINGS, SECRETS, RUN = map(
    on_target, map(Action, "read write discuss merge delete settings secrets run".split())
)
CREATE, JOBS, ENDPOINTS, WEBHOOKS, COLLECTIONS, PROFILE, BILLING, ORG = map(
    on_target, map(Action, "create jobs endpoints webhooks collections profile billing org".split())
)
CREATE_PR = frozenset({"create_pr"})
SERVICE = frozenset({"service"})
FILE, EVENTS, LFS, GIT = ResponseKind.FILE, ResponseKind.EVENTS, ResponseKind.LFS, ResponseKind.GIT
ANY_METHOD = "GET HEAD POST PUT PATCH DELETE"

ROUTES = (
    # Repositories: finding, describing, listing
    Route("GET", "/api/{T}", needs_of_search, "#repository-reads"),
    Route("GET", "/api/spaces/semantic-search", needs_of_search, "#repository-reads"),
    Route("GET", "/api/spaces/templates", needs_of_search, "api"),
    Route("GET", "/api/spaces/hardware", needs_of_search, "api"),
    Route("GET", "/api/spaces/by-subdomain/{id}", needs_of_search, "#repository-reads"),
    Route("GET", "/api/spaces/zero-gpu/quota", PROFILE, "api"),
    Route("GET HEAD", "/api/{T}/{R}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/revision/{rev}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/tree/{rev}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/tree/{rev}/{coded}", READ, "api"),
    Route("GET", "/api/{T}/{R}/treesize/{rev}", READ, "#repository-reads"),
    Route("GET", "/api/{T}/{R}/treesize/{rev}/{coded}", READ, "api"),
    Route("POST", "/api/{T}/{R}/paths-info/{rev}", READ, "api"),  # reads; the form lists files
    Route("GET", "/api/{T}/{R}/refs", READ, "api"),
    Route("GET", "/api/{T}/{R}/commits/{rev}", READ, "api"),
    Route("GET", "/api/{T}/{R}/compare/{compare}", needs_of_compare, "api"),
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
    # Content of repositories
    Route("GET HEAD", "/{W}{R}/resolve/{rev}/{path}", READ, "api", FILE),
    Route("GET HEAD", "/{W}{R}/raw/{rev}/{path}", READ, "#repository-reads", FILE),
    Route("GET HEAD", "/api/resolve-cache/{T}/{R}/{sha}/{path}", READ, "api", FILE),
    Route("GET", "/api/{T}/{R}/xet-read-token/{rev}", READ, "api"),
    # Writing to repositories
    Route("POST", "/api/{T}/{R}/preupload/{rev}", WRITE, "api", policy_keys=CREATE_PR),
    Route("POST", "/api/{T}/{R}/commit/{rev}", needs_of_commit, "api", policy_keys=CREATE_PR | {"hot_reload"}),
    Route("GET", "/api/{T}/{R}/xet-write-token/{rev}", WRITE, "api", policy_keys=CREATE_PR),
    Route("POST", "/api/{T}/{R}/lfs-files/duplicate", body_needs.DUPLICATE_FILES_BODY, "api"),
    Route("POST", "/api/{T}/{R}/branch/{rev}", body_needs.BRANCH_BODY, "api"),
    Route("POST", "/api/{T}/{R}/tag/{rev}", body_needs.TAG_BODY, "api"),
    Route("POST", "/api/{T}/{R}/sql-console/embed", WRITE, "api"),
    Route("PATCH DELETE", "/api/{T}/{R}/sql-console/embed/{id}", WRITE, "api"),
    # Operations that lose history
    Route("DELETE", "/api/{T}/{R}/branch/{rev}", DELETE, "api"),
    Route("DELETE", "/api/{T}/{R}/tag/{tag}", DELETE, "api"),
    Route("POST", "/api/{T}/{R}/super-squash/{rev}", DELETE, "api"),
    Route("POST", "/api/{T}/{R}/lfs-files/batch", DELETE, "api"),
    Route("DELETE", "/api/{T}/{R}/lfs-files/{id}", DELETE, "api"),
    # Creating, moving and configuring repositories
    Route("POST", "/api/repos/create", body_needs.CREATE_BODY, "api"),
    Route("DELETE", "/api/repos/delete", body_needs.DELETE_BODY, "#delete-repo"),
    Route("POST", "/api/repos/move", body_needs.MOVE_BODY, "api"),
    Route("POST", "/api/{T}/{R}/duplicate", body_needs.DUPLICATE_BODY, "api"),
    Route("PUT", "/api/{T}/{R}/settings", SETTINGS, "api"),
    Route("GET", "/api/{T}/{R}/resource-group", READ, "api"),
    Route("POST", "/api/{T}/{R}/resource-group", SETTINGS, "api"),
    Route("GET", "/api/{T}/{R}/user-access-request/{id}", SETTINGS, "api"),  # names and e-mail addresses of users
    Route("POST", "/api/{T}/{R}/user-access-request/{id}", SETTINGS, "api"),
    Route("GET", "/{W}{R}/user-access-report", SETTINGS, "api"),
    Route("POST", "/{W}{R}/ask-access", on_account(Action.PROFILE), "api"),
    Route("DELETE", "/api/{T}/{R}/like", on_account(Action.PROFILE), "#users-and-catalog"),
    # git and git-lfs
    Route("GET", "/{W}{R}{git}/info/refs", needs_of_refs, "git", GIT, SERVICE),
    Route("POST", "/{W}{R}{git}/git-upload-pack", READ, "git", GIT),
    Route("POST", "/{W}{R}{git}/git-receive-pack", ReceivePack.COMMANDS, "git", GIT),
    Route("POST", "/{W}{R}{git}/info/lfs/objects/batch", body_needs.TRANSFER_BODY, "git", LFS),
    Route("POST", "/{W}{R}{git}/info/lfs/objects/verify", needs_of_lfs_upload, "#lfs", LFS),
    Route("GET", "/{W}{R}{git}/info/lfs/locks", READ, "git", LFS),
    Route("POST", "/{W}{R}{git}/info/lfs/locks/verify", READ, "git", LFS),  # lists the locks before a push
    Route("POST", "/{W}{R}{git}/info/lfs/locks", needs_of_lfs_upload, "git", LFS),
    Route("POST", "/{W}{R}{git}/info/lfs/locks/{id}/unlock", needs_of_lfs_upload, "git", LFS),
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
    # The path does not name the discussion that an upload is attached to.
    Route("POST", "/uploads", lambda _: (Need(Action.DISCUSS, catalogue(None)),), "#users-and-catalog"),
    # Spaces
    Route("GET", "/api/{S}/{R}/host", READ, "#repository-reads"),
    Route("GET", "/api/{S}/{R}/secrets", SECRETS, "api"),
    Route("POST DELETE", "/api/{S}/{R}/secrets", body_needs.SETTING_BODY, "api"),
    Route("GET", "/api/{S}/{R}/variables", READ, "api"),
    Route("POST DELETE", "/api/{S}/{R}/variables", body_needs.SETTING_BODY, "api"),
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
    Route("PUT", "/api/{S}/{R}/volumes", body_needs.MOUNT_BODY, "api"),
    Route("DELETE", "/api/{S}/{R}/volumes", RUN, "api"),
    # Buckets
    Route("GET", "/api/{buckets}/{ns}", needs_of_listing, "api"),
    Route("GET", "/api/{B}", READ, "api"),
    Route("POST", "/api/{B}", CREATE, "api"),
    Route("DELETE", "/api/{B}", DELETE, "api"),
    Route("PUT", "/api/{B}/settings", SETTINGS, "api"),
    Route("GET", "/api/{B}/resource-group", READ, "api"),
    Route("POST", "/api/{B}/resource-group", SETTINGS, "api"),
    Route("GET", "/api/{B}/tree", READ, "#buckets"),
    Route("GET", "/api/{B}/tree/{coded}", READ, "api"),
    Route("POST", "/api/{B}/paths-info", READ, "api"),
    Route("POST", "/api/{B}/batch", body_needs.BATCH_BODY, "api"),
    Route("POST", "/api/{B}/lfs-files/duplicate", body_needs.DUPLICATE_FILES_BODY, "api"),
    Route("GET", "/api/{B}/events", READ, "#buckets", EVENTS),
    Route("GET", "/api/{B}/xet-read-token", READ, "api"),
    Route("GET", "/api/{B}/xet-write-token", WRITE, "api"),
    Route("GET HEAD", "/{B}/resolve/{coded}", READ, "api", FILE),
    # Jobs
    Route("GET", "/api/jobs/hardware", needs_of_search, "api"),
    Route("GET", "/api/jobs/{ns}", JOBS, "api"),
    Route("POST", "/api/jobs/{ns}", body_needs.JOB_BODY, "api"),
    Route("POST", "/api/jobs/{ns}/auth-check/{id}", JOBS, "api"),
    Route("GET", "/api/jobs/{ns}/{id}", JOBS, "api"),  # also matches `count`
    Route("POST", "/api/jobs/{ns}/{id}/auth-check/{id}", JOBS, "api"),
    Route("POST", "/api/jobs/{ns}/{id}/cancel", JOBS, "api"),
    Route("POST", "/api/jobs/{ns}/{id}/duplicate", JOBS, "api"),
    Route("PUT", "/api/jobs/{ns}/{id}/expose", JOBS, "api"),
    Route("PUT", "/api/jobs/{ns}/{id}/labels", JOBS, "api"),
    Route("GET", "/api/jobs/{ns}/{id}/events", JOBS, "api", EVENTS),
    Route("GET", "/api/jobs/{ns}/{id}/logs", JOBS, "api", EVENTS),
    Route("GET", "/api/jobs/{ns}/{id}/metrics", JOBS, "api", EVENTS),
    Route("GET", "/api/scheduled-jobs/{ns}", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}", body_needs.SCHEDULE_BODY, "api"),
    Route("GET DELETE", "/api/scheduled-jobs/{ns}/{id}", JOBS, "api"),
    Route("PUT", "/api/scheduled-jobs/{ns}/{id}/labels", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/resume", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/run", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/schedule", JOBS, "api"),
    Route("POST", "/api/scheduled-jobs/{ns}/{id}/suspend", JOBS, "api"),
    # Inference endpoints: the part of their API that is on the Hub's origin
    Route("POST", "/api/inference-endpoints/{ns}/auth-check/{id}", ENDPOINTS, "api"),
    Route("POST", "/api/inference-endpoints/{ns}/{id}/auth-check/{id}", ENDPOINTS, "api"),
    # Webhooks
    Route("GET", "/api/settings/webhooks", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks", body_needs.WEBHOOK_BODY, "api"),
    Route("GET DELETE", "/api/settings/webhooks/{id}", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks/{id}", body_needs.WEBHOOK_BODY, "api"),
    Route("POST", "/api/settings/webhooks/{id}/enable", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks/{id}/disable", WEBHOOKS, "api"),
    Route("POST", "/api/settings/webhooks/{id}/replay/{id}", WEBHOOKS, "api"),
    # Collections
    Route("GET", "/api/collections", needs_of_search, "api"),
    Route("POST", "/api/collections", body_needs.COLLECTION_BODY, "api"),
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
    # Billing
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
    # Public pages: forwarded without the token if no scope covers them
    Route("GET", "/api/users/{id}/overview", needs_of_search, "api"),
    Route("GET", "/api/users/{id}/followers", needs_of_search, "#users-and-catalog"),
    Route("GET", "/api/users/{id}/following", needs_of_search, "#users-and-catalog"),
    Route("GET", "/api/users/{id}/likes", needs_of_search, "api"),
    Route("GET", "/api/users/{id}/socials", needs_of_search, "api"),
    Route("GET", "/api/users/{id}/avatar", needs_of_search, "api"),
    Route("GET", "/api/organizations/{id}/overview", needs_of_search, "#users-and-catalog"),
    Route("GET", "/api/organizations/{id}/followers", needs_of_search, "#users-and-catalog"),
    Route("GET", "/api/organizations/{id}/members", needs_of_search, "api"),
    Route("GET", "/api/organizations/{id}/socials", needs_of_search, "api"),
    Route("GET", "/api/organizations/{id}/avatar", needs_of_search, "api"),
    Route("GET", "/api/avatars/{id}", needs_of_search, "api"),
    Route("GET", "/api/papers", needs_of_search, "api"),
    Route("GET", "/api/papers/{id}", needs_of_search, "api"),  # also matches `search`
    Route("GET", "/papers/{id}", needs_of_search, "#users-and-catalog"),
    Route("GET", "/api/daily_papers", needs_of_search, "api"),
    Route("GET", "/api/tasks", needs_of_search, "#users-and-catalog"),
    Route("GET", "/api/trending", needs_of_search, "api"),
    Route("GET POST", "/api/quicksearch", needs_of_search, "api"),
    Route("GET", "/api/docs", needs_of_search, "api"),
    Route("GET", "/api/docs/search", needs_of_search, "api"),
    Route("GET", "/api/docs/search/full-text", needs_of_search, "api"),
    Route("GET", "/api/models-tags-by-type", needs_of_search, "api"),
    Route("GET", "/api/datasets-tags-by-type", needs_of_search, "api"),
    Route("GET", "/api/agentic/provisioning/health", needs_of_search, "api"),
    Route("GET", "/api/agentic/provisioning/services", needs_of_search, "api"),
    # Answered by the daemon, or forwarded without the token
    Route("GET", "/api/whoami-v2", SpecialRoute.WHOAMI, "api"),
    Route("HEAD", "/api/telemetry/{path}", SpecialRoute.TELEMETRY, "#users-and-catalog"),
    Route("POST", "/api/complete_multipart", SpecialRoute.UNAUTHENTICATED, "#multipart-completion"),
    Route("POST", "/api/validate-yaml", SpecialRoute.UNAUTHENTICATED, "#users-and-catalog"),
    Route("GET", "/api/agent-harnesses", SpecialRoute.UNAUTHENTICATED, "api"),
    # Always refused (docs/hub-protocol.md#minting): each mints a credential that the daemon cannot revoke, or changes
    # tokens
    Route("GET HEAD POST", "/api/{T}/{R}/jwt", SpecialRoute.MINTING, "api"),
    Route("GET HEAD POST", "/api/registry/token", SpecialRoute.MINTING, "api"),
    Route(ANY_METHOD, "/oauth/{path}", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/credentials/revoke", SpecialRoute.MINTING, "api"),
    Route(ANY_METHOD, "/api/organizations/{id}/service-accounts", SpecialRoute.MINTING, "api"),
    Route(ANY_METHOD, "/api/organizations/{id}/service-accounts/{path}", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/organizations/{id}/settings/tokens/{path}", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/agentic/provisioning/account_requests", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/agentic/provisioning/deep_links", SpecialRoute.MINTING, "api"),
    Route("POST", "/api/agentic/provisioning/resources", SpecialRoute.MINTING, "api"),
    Route("GET POST", "/api/agentic/provisioning/resources/{path}", SpecialRoute.MINTING, "api"),
)
