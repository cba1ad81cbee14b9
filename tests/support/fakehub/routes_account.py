"""Identity, and the small routes clients call on the side: profiles, telemetry, card validation."""

from typing import Any

from aiohttp import web

from . import describe
from .auth import READ, Token, User, may
from .errors import Refusal
from .pages import answer, paged
from .repos import Repo
from .routing import Call, Routes

ROUTES = Routes()


def caller(call: Call) -> Token:
    """Return the caller's token, or refuse an anonymous call."""
    if call.token is None:
        raise Refusal(401, "Invalid username or password.")
    return call.token


@ROUTES.on("GET", "/api/whoami-v2")
async def whoami(call: Call) -> web.Response:
    """Say who the token belongs to and what it may do."""
    token = caller(call)
    user = token.user
    access: dict[str, Any] = {"displayName": token.display, "role": token.role, "createdAt": token.created}
    if token.role == "fineGrained":
        access["fineGrained"] = _fine_grained(token)
    body = {
        **profile(user),
        "email": f"{user.name}@example.com",
        "emailVerified": True,
        "canPay": True,
        "billingMode": "prepaid",
        "periodEnd": 1798675200,
        "isPro": True,
        "orgs": [_org(name) for name in user.orgs],
        "auth": {"type": "access_token", "accessToken": access},
    }
    return answer(call, body)


def profile(user: User) -> dict[str, Any]:
    """Return the public part of an account."""
    return {
        "type": "user",
        "id": describe.stable_id(user.name),
        "name": user.name,
        "fullname": user.name.title(),
        "avatarUrl": f"/avatars/{user.name}.svg",
    }


def _org(name: str) -> dict[str, Any]:
    return {
        "type": "org",
        "id": describe.stable_id(name),
        "name": name,
        "fullname": name.title(),
        "isEnterprise": False,
        "avatarUrl": f"/avatars/{name}.svg",
        "roleInOrg": "write",
    }


def _fine_grained(token: Token) -> dict[str, Any]:
    own = [
        {
            "entity": {
                "_id": describe.stable_id(name),
                "type": "user" if name == token.user.name else "org",
                "name": name,
            },
            "permissions": ["repo.content.read", "repo.write"],
        }
        for name in sorted(token.user.namespaces)
    ]
    return {"canReadGatedRepos": True, "global": ["discussion.write"], "scoped": token.scoped or own}


@ROUTES.on("POST", "/api/credentials/revoke")
async def revoke(call: Call) -> web.Response:
    """End every token whose value is sent; needs no other proof, and says the same of one that nobody knows."""
    values = call.json().get("credentials")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Refusal(400, "credentials: a list of tokens was expected")
    for token in filter(None, map(call.world.tokens.get, values)):
        token.live = False
    return answer(call, {})


@ROUTES.on("GET", "/api/users/{name}/overview")
async def user_overview(call: Call) -> web.Response:
    """Return a public profile."""
    user = call.world.users.get(call.param("name"))
    if user is None:
        raise Refusal(404, "This user does not exist")
    return answer(call, {"user": user.name, **profile(user), "numModels": 0, "isFollowing": False, "orgs": []})


@ROUTES.on("GET", "/api/organizations/{name}/overview")
async def org_overview(call: Call) -> web.Response:
    """Return an organisation's public profile."""
    name = call.param("name")
    if not any(name in user.orgs for user in call.world.users.values()):
        raise Refusal(404, "This organization does not exist")
    return answer(call, {**_org(name), "numUsers": 1, "isVerified": False})


@ROUTES.on("GET", "/api/settings/repositories")
async def my_repositories(call: Call) -> web.Response:
    """List the caller's repositories, private ones included."""
    token = caller(call)
    mine = [repo for repo in call.world.repos.values() if repo.namespace == token.user.name and may(token, READ, repo)]
    return paged(call, [_storage_line(repo) for repo in mine])


def _storage_line(repo: Repo) -> dict[str, Any]:
    size = sum(entry.size for entry in repo.find("main").tree.values())
    return {
        "id": repo.id,
        "type": repo.kind,
        "visibility": "private" if repo.private else "public",
        "storage": size,
        "storagePercent": 0.0,
        "updatedAt": describe.moment(repo.created),
    }


@ROUTES.on("HEAD", "/api/telemetry/{path}")
async def telemetry(call: Call) -> web.Response:
    """Swallow usage reports; clients send no credential."""
    return web.Response()


@ROUTES.on("POST", "/api/validate-yaml")
async def validate_yaml(call: Call) -> web.Response:
    """Accept any card; clients send no credential."""
    return answer(call, {"errors": [], "warnings": []})


@ROUTES.on("GET", "/api/agent-harnesses")
async def agent_harnesses(call: Call) -> web.Response:
    """Return an empty registry; clients send no credential."""
    return answer(call, {})
