"""Accounts and their tokens, as values."""

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
    """Which account: the uid whose it is, and what that user calls it."""

    uid: int
    name: str


class Origin(msgspec.Struct, frozen=True):
    """Where a token may be sent: scheme, host and port, and the digest of the CA that was trusted besides the
    system's (None: none was)."""

    url: str
    ca: str | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a token, without the token."""

    name: str
    origin: Origin
    user: str
    user_id: str
    fullname: str
    role: str
    orgs: tuple[tuple[str, str], ...] = ()
    scopes: tuple[str, ...] = ()
    login: str = ""  # which login this is: what was granted under another one is over
    revoked_at: int | None = None  # when the Hub was found not to accept the token any more
    # Whose it is on this machine. Older documents do not say: they knew the daemon's own user only.
    uid: int = msgspec.field(default_factory=os.getuid)

    @property
    def key(self) -> AccountKey:
        """What it is found by."""
        return AccountKey(self.uid, self.name)

    @property
    def revoked(self) -> str | None:
        """What there is to say of a token that the Hub does not accept any more; None: it does, for all we know."""
        if self.revoked_at is None:
            return None
        return (
            f"the Hub no longer accepts the token of account '{self.name}' (revoked, or expired); replace it:"
            f" hf-proxy rotate --account {self.name}, or: hf-proxy login --account {self.name}"
        )

    @property
    def owner(self) -> tuple[str, str, Origin]:
        """Whose token it is, and where."""
        return self.user, self.user_id, self.origin

    @property
    def rights(self) -> AccountRights:
        """For the choice of whose token is spent."""
        return AccountRights(self.name, self.owner, self.role, self.scopes)

    @property
    def identity(self) -> Identity:
        """For the synthesised whoami."""
        return Identity(self.user, self.user_id, self.fullname, self.orgs)

    @property
    def warnings(self) -> list[str]:
        """What is not as it should be."""
        if self.revoked is not None:
            return [self.revoked]
        if self.role not in CLASSIC_ROLES:
            return []
        advice = f"make a fine-grained one at {TOKENS_PAGE} and run: hf-proxy login"
        return [f"this is a classic '{self.role}' token, which can do everything its user can; {advice}"]

    def public(self) -> dict[str, object]:
        """As `hf-proxy accounts --json` shows it."""
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
    """An account with its token, and the refresh token that came with that, of which no use is made."""

    def __init__(self, account: Account, token: Secret, refresh: Secret | None = None) -> None:
        self.account = account
        self.token = token
        self.refresh = refresh

    @cached_property
    def echo_patterns(self) -> tuple[bytes, ...]:
        """How the token would look in an answer that repeats it."""
        return token_echo.patterns(self.token.reveal())
