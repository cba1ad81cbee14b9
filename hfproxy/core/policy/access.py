"""Accesses: the needs of one request, as the policy sees them.

A request is reduced to an `Access`: the set of its needs, each an action on a target, and the organisation that pays.
Grants, caveats and the journal deal with these values only, never with a method or a path. The reduction is made in
`core.hub.classify`.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

# Added to a refusal that no scope would avoid.
SEE_AUDIT = "; look at it with: hf-proxy audit --denied"


class Action(StrEnum):
    """An action that a grant can allow. `write` includes `read` of the same target; nothing else implies another."""

    __hash__ = str.__hash__  # Enum.__hash__ is a Python function, which every dictionary look-up would call

    READ = "read"
    WRITE = "write"
    DISCUSS = "discuss"
    MERGE = "merge"
    CREATE = "create"
    DELETE = "delete"
    MOVE = "move"
    SETTINGS = "settings"
    SECRETS = "secrets"
    RUN = "run"
    INFER = "infer"
    ENDPOINTS = "endpoints"
    JOBS = "jobs"
    WEBHOOKS = "webhooks"
    COLLECTIONS = "collections"
    PROFILE = "profile"
    BILLING = "billing"
    ORG = "org"


class RepoType(StrEnum):
    """The Hub's types of repository, in the plural that its API paths use."""

    __hash__ = str.__hash__

    MODELS = "models"
    DATASETS = "datasets"
    SPACES = "spaces"
    KERNELS = "kernels"
    BUCKETS = "buckets"


# The ref that a request with `create_pr=1` writes to: the Hub opens a new pull request for it, whatever revision the
# path names.
NEW_PULL_REQUEST = "refs/pr/new"


@dataclass(frozen=True, slots=True)
class Target:
    """The object of an action: a repository at a ref, a namespace, or all repositories of a type.

    Attributes:
        type: The type of repository; None: no type is named.
        namespace: A user or an organisation. None: the account's own user (`organization: null` in `repos/create`).
            Empty: all namespaces at once, which only a scope for all of them admits.
        name: The repository's name. None: the namespace itself, or a legacy one-segment repository of that name.
            Empty: all repositories at once.
        ref: A branch, tag or commit; None: none is named, which stands for all of them.
    """

    type: RepoType | None
    namespace: str | None
    name: str | None = None
    ref: str | None = None

    @property
    def repo(self) -> str | None:
        """`TYPE/ns/name`, as the journal writes it; None if the target is no repository."""
        if self.type is None or not self.namespace:
            return None
        return "/".join(part for part in (self.type.value, self.namespace, self.name) if part)

    def at(self, ref: str) -> Self:
        """Return the target with another ref."""
        return replace(self, ref=ref)


def catalogue(kind: RepoType | None) -> Target:
    """Return the target of a search: all repositories of a type, of every type for None."""
    return Target(kind, "", "")


def everything_of(namespace: str, kind: RepoType | None = None) -> Target:
    """Return all repositories of a namespace as one target."""
    return Target(kind, namespace, "")


@dataclass(frozen=True, slots=True)
class Need:
    """One action on one target.

    `any_ref` marks an LFS upload: its objects belong to no ref, so a scope bound to a ref admits it.
    """

    action: Action
    target: Target
    any_ref: bool = False

    def resolved_for(self, user: str) -> Self:
        """Return the need with the account's user for a namespace that the request left out."""
        if self.target.namespace is not None:
            return self
        return replace(self, target=replace(self.target, namespace=user))


@dataclass(frozen=True, slots=True)
class Access:
    """The needs of one request, its upstream, and the organisation that is billed, if any.

    `needs` is never empty: a loop over no needs would find no objection.
    """

    needs: tuple[Need, ...]
    upstream: str = "hub"
    bill_to: str | None = None
    is_read_only: bool = field(init=False, compare=False)
    """Whether every need is a read."""
    is_account_independent: bool = field(init=False, compare=False)
    """Whether the access is the same for every account: all namespaces are named, and no other one is billed."""

    def __post_init__(self) -> None:
        if not self.needs:
            msg = "an access without needs says nothing about what it attempts"
            raise ValueError(msg)
        object.__setattr__(self, "is_read_only", all(need.action is Action.READ for need in self.needs))
        is_named = all(need.target.namespace is not None for need in self.needs)
        object.__setattr__(self, "is_account_independent", is_named and self.bill_to is None)

    def resolved_for(self, user: str) -> Self:
        """Return the access as the account of this user makes it. Billing an organisation is a need of its own; billing
        the user is not."""
        if self.is_account_independent:
            return self
        needs = tuple(need.resolved_for(user) for need in self.needs)
        if self.bill_to is not None and self.bill_to.lower() != user.lower():
            needs += (Need(Action.BILLING, Target(None, self.bill_to)),)
        return replace(self, needs=needs)
