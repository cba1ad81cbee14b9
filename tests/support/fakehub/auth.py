"""Who is asking, and may they: first the token, then whether the repository is visible, then the right."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import Refusal, gated, invalid_credentials, repo_not_found

if TYPE_CHECKING:
    from .buckets import Bucket
    from .repos import Repo
    from .world import World

PROXY_PREFIX = "hf_px_"
READ = "repo.content.read"
WRITE = "repo.write"


@dataclass
class User:
    """An account and the organisations it may write to."""

    name: str
    orgs: tuple[str, ...] = ()

    @property
    def namespaces(self) -> set[str]:
        """Everything this account may own repositories under."""
        return {self.name, *self.orgs}


@dataclass
class Token:
    """A user access token. *scoped* has the Hub's own form; None means all of the user's namespaces."""

    value: str
    user: User
    role: str = "fineGrained"
    scoped: list[dict[str, object]] | None = None
    display: str = "token"
    live: bool = True
    created: str = "2026-01-01T00:00:00.000Z"
    extra: dict[str, object] = field(default_factory=dict)

    def holds(self, permission: str, namespace: str, repo_type: str = "", repo_id: str = "") -> bool:
        """Say whether this token carries *permission* on a repository or its namespace."""
        if namespace not in self.user.namespaces:
            return False
        if self.role != "fineGrained":
            return self.role == "write" or permission == READ
        return self.scoped is None or any(_covers(s, permission, namespace, repo_type, repo_id) for s in self.scoped)


def _covers(scope: dict[str, object], permission: str, namespace: str, repo_type: str, repo_id: str) -> bool:
    entity, permissions = scope.get("entity"), scope.get("permissions")
    if not isinstance(entity, dict) or not isinstance(permissions, list):
        return False
    if entity.get("type") in ("user", "org"):
        matches = entity.get("name") == namespace
    else:
        matches = (entity.get("type"), entity.get("name")) == (repo_type, repo_id)
    # Writing includes reading (docs/hub-protocol.md#permissions).
    return matches and (permission in permissions or (permission == READ and WRITE in permissions))


def presented(headers: Mapping[str, str]) -> str | None:
    """Return the token in an Authorization header: `Bearer token`, or Basic with any user name."""
    value = headers.get("Authorization")
    if value is None:
        return None
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        return basic_password(rest)
    return ""


def basic_password(encoded: str) -> str:
    """Return the password of a Basic credential, empty if it cannot be read."""
    try:
        return base64.b64decode(encoded.strip()).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def identify(world: "World", headers: Mapping[str, str]) -> Token | None:
    """Return the caller's token, None when none was sent; refuse one that is not live."""
    value = presented(headers)
    if value is None:
        return None
    token = world.tokens.get(value)
    # The proxy's credential must never be worth anything here, even if a test seeded it by mistake.
    if token is None or not token.live or value.startswith(PROXY_PREFIX):
        raise invalid_credentials()
    return token


def may(token: Token | None, permission: str, repo: "Repo | Bucket") -> bool:
    """Say whether *token* holds *permission* on *repo* by itself, public access left aside."""
    return token is not None and token.holds(permission, repo.namespace, repo.kind, repo.id)


def require_visible(token: Token | None, repo: "Repo | Bucket") -> None:
    """Refuse a private repository to those who may not know of it."""
    if repo.private and not may(token, READ, repo):
        raise repo_not_found(anonymous=token is None)


def require_content(token: Token | None, repo: "Repo") -> None:
    """Refuse file content: private, or gated and not granted to this user."""
    require_visible(token, repo)
    if not repo.gated or may(token, READ, repo):
        return
    if token is None or token.user.name not in repo.granted:
        raise gated(repo.id, anonymous=token is None)


def require_write(token: Token | None, repo: "Repo | Bucket") -> None:
    """Refuse a change to those without the right."""
    require_visible(token, repo)
    if token is None:
        raise Refusal(401, "Invalid username or password.")
    if not may(token, WRITE, repo):
        raise forbidden()


def require_namespace(token: Token | None, namespace: str, kind: str = "model") -> Token:
    """Refuse creating or moving repositories where the caller may not."""
    if token is None:
        raise Refusal(401, "Invalid username or password.")
    if not token.holds(WRITE, namespace):
        raise Refusal(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
    return token


def forbidden() -> Refusal:
    """Return the refusal of a write. The wording is the Hub's, as users quote it in issues."""
    return Refusal(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
