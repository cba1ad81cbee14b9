"""The Hub's side of Xet: access tokens for the CAS, as JSON and as headers.

Python reads the headers, Rust and JavaScript the JSON (docs/hub-protocol.md#xet). A revision that does not exist is
accepted only as the literal `None` of a pull request that is still to be made.
"""

from aiohttp import web

from .auth import READ, may, require_write
from .errors import Refusal
from .repos import Repo
from .routing import PLURALS, Call, Routes
from .world import World

ROUTES = Routes()


def access_headers(world: World, key: tuple[str, str], *, write: bool) -> dict[str, str]:
    """Mint a CAS token and return it the way the Hub's headers carry it."""
    settings = world.settings
    value, access = world.xet.mint(
        key, write=write, seconds=settings.xet_token_seconds, padding=settings.xet_token_padding
    )
    return {
        "X-Xet-Cas-Url": world.at.cas,
        "X-Xet-Token-Expiration": str(access.expires),
        "X-Xet-Access-Token": value,
    }


def refresh_route(world: World, repo: Repo, rev: str, *, write: bool = False) -> str:
    """Return the absolute URL a client asks for a CAS token."""
    return f"{world.at.hub}/api/{PLURALS[repo.kind]}/{repo.id}/xet-{'write' if write else 'read'}-token/{rev}"


def token_response(world: World, key: tuple[str, str], *, write: bool) -> web.Response:
    """Answer a token request for the repository or bucket with this key."""
    headers = access_headers(world, key, write=write)
    body = {
        "casUrl": headers["X-Xet-Cas-Url"],
        "exp": int(headers["X-Xet-Token-Expiration"]),
        "accessToken": headers["X-Xet-Access-Token"],
    }
    return web.json_response(body, headers=headers)


@ROUTES.on("GET", "/api/{T}/{R}/xet-read-token/{rev}")
async def read_token(call: Call) -> web.Response:
    """Give read access to the content of a repository."""
    repo = call.readable()
    repo.find(call.param("rev"))
    return token_response(call.world, repo.key, write=False)


@ROUTES.on("GET", "/api/{T}/{R}/xet-write-token/{rev}")
async def write_token(call: Call) -> web.Response:
    """Give write access; with `create_pr=1` reading the repository is enough, as for pull requests."""
    repo = call.repo()
    if call.request.query.get("create_pr") == "1":
        if call.token is None or not (not repo.private or may(call.token, READ, repo)):
            raise Refusal(401, "Invalid username or password.")
    else:
        require_write(call.token, repo)
        repo.find(call.param("rev"))
    return token_response(call.world, repo.key, write=True)
