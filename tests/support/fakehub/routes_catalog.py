"""People and the public catalogue: what clients list without wanting a repository."""

from aiohttp import web

from .auth import User
from .errors import Refusal
from .pages import answer, paged
from .routes_account import profile
from .routing import Call, Routes

ROUTES = Routes()


@ROUTES.on("GET", "/api/organizations/{name}/members")
async def members(call: Call) -> web.Response:
    """List an organisation's members."""
    found = [user for user in call.world.users.values() if call.param("name") in user.orgs]
    if not found:
        raise Refusal(404, "This organization does not exist")
    return paged(call, [_person(user) for user in found])


def _person(user: User) -> dict[str, object]:
    return {**profile(user), "user": user.name, "isFollowing": False}


@ROUTES.on("GET", "/api/users/{name}/{side}")
async def follows(call: Call) -> web.Response:
    """List who follows somebody, or whom they follow: nobody does."""
    if call.param("name") not in call.world.users or call.param("side") not in ("followers", "following"):
        raise Refusal(404, "This user does not exist")
    return paged(call, [])


@ROUTES.on("GET", "/api/papers/search")
@ROUTES.on("GET", "/api/daily_papers")
async def papers(call: Call) -> web.Response:
    """List no papers."""
    return answer(call, [])


@ROUTES.on("GET", "/api/models-tags-by-type")
@ROUTES.on("GET", "/api/datasets-tags-by-type")
async def tags(call: Call) -> web.Response:
    """List a few tags by their type."""
    return answer(call, {"license": [{"type": "license", "label": "mit", "id": "license:mit"}]})
