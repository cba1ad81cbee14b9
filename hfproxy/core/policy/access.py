"""The words of every decision: what is attempted, and what the answer to it can be.

A request is reduced to an `Access`: the set of needs it has, and who would pay. Grants, caveats and
the journal speak of these values only, never of a method or a path. No is a value here (`Deny`);
an exception means that something is broken.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

# What a program sent that no scope could have made right: whoever runs it may want to see it.
SEE_AUDIT = "; look at it with: hf-proxy audit --denied"


class Action(StrEnum):
    """What can be granted. `write` includes `read` of the same target; nothing else implies another."""

    __hash__ = str.__hash__  # enum's own is a function in Python

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
    """The Hub's kinds of repository, in the plural its API paths use."""

    __hash__ = str.__hash__

    MODELS = "models"
    DATASETS = "datasets"
    SPACES = "spaces"
    KERNELS = "kernels"
    BUCKETS = "buckets"


# The ref every request with `create_pr=1` writes to: the Hub opens a new pull request for it,
# whatever revision the path names.
NEW_PULL_REQUEST = "refs/pr/new"


@dataclass(frozen=True, slots=True)
class Target:
    """What an action is done to.

    `namespace` None: the account's own user (`organization: null` in `repos/create`). An empty namespace, an empty
    name: all of them at once, admitted by a scope for all of them only. `name` None: the namespace itself, or a
    legacy one-segment repository of that name. `ref` None: no ref is named, so all of them are meant.
    """

    type: RepoType | None
    namespace: str | None
    name: str | None = None
    ref: str | None = None

    @property
    def repo(self) -> str | None:
        """`TYPE/ns/name`, as the journal writes it; None where no repository is meant."""
        if self.type is None or not self.namespace:
            return None
        return "/".join(part for part in (self.type.value, self.namespace, self.name) if part)

    def at(self, ref: str) -> Self:
        """The same repository at another ref."""
        return replace(self, ref=ref)


def catalogue(kind: RepoType | None) -> Target:
    """All repositories of a type at once: what a search reads."""
    return Target(kind, "", "")


def everything_of(namespace: str, kind: RepoType | None = None) -> Target:
    """All repositories of a namespace at once."""
    return Target(kind, namespace, "")


@dataclass(frozen=True, slots=True)
class Need:
    """One action on one target.

    `any_ref` marks an LFS upload: its objects belong to no ref, so a scope bound to one admits it.
    """

    action: Action
    target: Target
    any_ref: bool = False

    def resolved_for(self, user: str) -> Self:
        """Fill in the account's own user where the request named nobody."""
        if self.target.namespace is not None:
            return self
        return replace(self, target=replace(self.target, namespace=user))


@dataclass(frozen=True, slots=True)
class Access:
    """What one request attempts. `needs` is never empty: an empty loop must not mean yes."""

    needs: tuple[Need, ...]
    upstream: str = "hub"
    bill_to: str | None = None
    is_read_only: bool = field(init=False, compare=False)
    """Nothing in the world changes by it."""
    is_account_independent: bool = field(init=False, compare=False)
    """It is the same whoever makes it."""

    def __post_init__(self) -> None:
        if not self.needs:
            msg = "an access without needs says nothing about what it attempts"
            raise ValueError(msg)
        object.__setattr__(self, "is_read_only", all(need.action is Action.READ for need in self.needs))
        named = all(need.target.namespace is not None for need in self.needs)
        object.__setattr__(self, "is_account_independent", named and self.bill_to is None)

    def resolved_for(self, user: str) -> Self:
        """The same access, made by an account of that user; paying for oneself needs no scope."""
        if self.is_account_independent:
            return self
        needs = tuple(need.resolved_for(user) for need in self.needs)
        if self.bill_to is not None and self.bill_to.lower() != user.lower():
            needs += (Need(Action.BILLING, Target(None, self.bill_to)),)
        return replace(self, needs=needs)
