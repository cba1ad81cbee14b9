"""Values: an account, its key, its origin, and an account with its token."""

import os
from functools import cached_property
from typing import NamedTuple

import msgspec

from hfproxy.core.http import token_echo
from hfproxy.core.hub.whoami import Identity
from hfproxy.core.policy.account_choice import AccountRights
from hfproxy.secret import Secret

DEFAULT = "default"

TOKENS_PAGE = "https://huggingface.co/settings/tokens/new?tokenType=fineGrained"

CLASSIC_ROLES = frozenset({"read", "write", "god"})


class AccountKey(NamedTuple):
    """Identifies an account: the uid of its owner on this machine, and the name that this user gave it."""

    uid: int
    name: str


class Origin(msgspec.Struct, frozen=True):
    """The only place that a token may be sent to.

    Attributes:
        url: scheme, host and port.
        ca: the SHA-256 of the CA file that was trusted in addition to the system's; None if there was none.
    """

    url: str
    ca: str | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but the token itself: what the Hub said about it at login, and its state since.

    Attributes:
        name: the name that its owner on this machine gave it.
        origin: the Hub that it was logged in for.
        user, user_id, fullname: the user of the Hub.
        role: the token's role: `fineGrained`, or one of CLASSIC_ROLES.
        orgs: the user's organisations, as (name, id).
        scopes: a fine-grained token's permissions, one text for each entity.
        login: identifies the login. A grant of an earlier login is over.
        revoked_at: when the Hub was found not to accept the token, in seconds since the epoch.
        uid: its owner on this machine. Documents of versions that served one user lack it.
    """

    name: str
    origin: Origin
    user: str
    user_id: str
    fullname: str
    role: str
    orgs: tuple[tuple[str, str], ...] = ()
    scopes: tuple[str, ...] = ()
    login: str = ""
    revoked_at: int | None = None
    uid: int = msgspec.field(default_factory=os.getuid)

    @property
    def key(self) -> AccountKey:
        """The key that identifies the account."""
        return AccountKey(self.uid, self.name)

    @property
    def revoked(self) -> str | None:
        """The message for a token that the Hub no longer accepts; None if it is not known to be revoked."""
        if self.revoked_at is None:
            return None
        return (
            f"the Hub no longer accepts the token of account '{self.name}' (revoked, or expired); replace it:"
            f" hf-proxy rotate --account {self.name}, or: hf-proxy login --account {self.name}"
        )

    @property
    def owner(self) -> tuple[str, str, Origin]:
        """The user of the Hub who owns the token, by name and id, and the Hub's origin."""
        return self.user, self.user_id, self.origin

    @property
    def rights(self) -> AccountRights:
        """The value by which the account for a request is chosen (`core.policy.account_choice`)."""
        return AccountRights(self.name, self.owner, self.role, self.scopes)

    @property
    def identity(self) -> Identity:
        """The value from which whoami is answered locally (`core.hub.whoami`)."""
        return Identity(self.user, self.user_id, self.fullname, self.orgs)

    @property
    def warnings(self) -> list[str]:
        """Warnings for the user: a revoked token, or a classic one."""
        if self.revoked is not None:
            return [self.revoked]
        if self.role not in CLASSIC_ROLES:
            return []
        advice = f"make a fine-grained one at {TOKENS_PAGE} and run: hf-proxy login"
        return [f"this is a classic '{self.role}' token, which can do everything its user can; {advice}"]

    def public(self) -> dict[str, object]:
        """Return the account in the form of `hf-proxy accounts --json`."""
        return {
            "name": self.name,
            "user": self.user,
            "role": self.role,
            "orgs": [name for name, _ in self.orgs],
            "scopes": list(self.scopes),
            "origin": self.origin.url,
            "warnings": self.warnings,
        }


class AccountToken:
    """An account with its token, and the refresh token that was found with it, which is stored and never used."""

    def __init__(self, account: Account, token: Secret, refresh: Secret | None = None) -> None:
        self.account = account
        self.token = token
        self.refresh = refresh

    @cached_property
    def echo_patterns(self) -> tuple[bytes, ...]:
        """The byte patterns that reveal the token in a response that echoes it."""
        return token_echo.patterns(self.token.reveal())
