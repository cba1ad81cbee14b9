"""The response to `whoami-v2`, in the Hub's shape: the user, and the rights of the grant instead of those of the token.

The Hub's own response holds an e-mail address, billing and every organisation; tools need the name, the id and the
organisations they may act for (docs/hub-protocol.md#whoami).
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from hfproxy.core.policy.access import Action
from hfproxy.core.policy.grant import Grant
from hfproxy.core.policy.scope import Scope

READ_PERMISSIONS = ("repo.content.read",)
WRITE_PERMISSIONS = (*READ_PERMISSIONS, "repo.write")
# The Hub has no finer right than `repo.write` for most actions of hf-proxy (docs/hub-protocol.md#permissions).
PERMISSIONS = {
    Action.READ: READ_PERMISSIONS,
    Action.DISCUSS: ("discussion.write",),
    Action.SETTINGS: (*WRITE_PERMISSIONS, "repo.access.read"),
    Action.INFER: ("inference.serverless.write",),
    Action.ENDPOINTS: ("inference.endpoints.write",),
    Action.JOBS: ("job.write",),
    Action.WEBHOOKS: ("user.webhooks.write",),
    Action.COLLECTIONS: ("collection.write",),
    Action.BILLING: ("user.billing.read",),
}
ENTITIES = {
    "models": "model",
    "datasets": "dataset",
    "spaces": "space",
    "kernels": "kernel",
    "buckets": "bucket",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """The names and ids from the Hub's whoami response for an account."""

    user: str
    user_id: str
    fullname: str
    orgs: tuple[tuple[str, str], ...]  # (name, id)


def whoami_json(identity: Identity, grant: Grant) -> dict[str, object]:
    """Return the JSON object of `GET /api/whoami-v2` for a grant."""
    return {
        "type": "user",
        "id": identity.user_id,
        "name": identity.user,
        "fullname": identity.fullname,
        "avatarUrl": "",
        "isPro": False,
        "canPay": False,
        "periodEnd": None,
        "orgs": [_org(name, org_id) for name, org_id in identity.orgs if _in_scope(name, grant.terms.scopes)],
        "auth": {
            "type": "access_token",
            "expiresAt": _time(grant.expires_at),
            "accessToken": {
                "displayName": f"hf-proxy {grant.terms.label or grant.id}",
                "role": "fineGrained",
                "createdAt": _time(grant.minted_at),
                "fineGrained": {
                    "canReadGatedRepos": True,
                    "global": [],
                    "scoped": [_scope_entry(scope, identity.user) for scope in grant.terms.scopes],
                },
            },
        },
    }


def _in_scope(org: str, scopes: tuple[Scope, ...]) -> bool:
    return any(scope.covers_namespace(org) for scope in scopes)


def _org(name: str, org_id: str) -> dict[str, object]:
    return {
        "type": "org",
        "id": org_id,
        "name": name,
        "fullname": name,
        "avatarUrl": "",
        "isEnterprise": False,
    }


def _scope_entry(scope: Scope, user: str) -> dict[str, object]:
    name = "/".join(part for part in (scope.namespace or user, scope.name) if part and part != "*")
    kind = ENTITIES.get(scope.type or "", "user") if scope.name else "user"
    # The Hub's ids are 24 hexadecimal digits; these only tell entities apart.
    entity = {"_id": hashlib.sha256(str(scope).encode()).hexdigest()[:24], "type": kind, "name": name}
    return {"entity": entity, "permissions": list(PERMISSIONS.get(scope.action, WRITE_PERMISSIONS))}


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
