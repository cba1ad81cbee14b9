"""Collections: named lists of repositories."""

import re
import secrets
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from . import describe
from .auth import Token
from .errors import Refusal
from .pages import answer, paged
from .routing import Call, Routes

ROUTES = Routes()
_ONE = "/api/collections/{ns}/{slug}"
WRITE = "collection.write"
Collection = dict[str, Any]


def _allowed(token: Token | None, namespace: str, permission: str = WRITE) -> bool:
    return token is not None and token.holds(permission, namespace)


def _found(call: Call, *, write: bool = False) -> Collection:
    found = call.world.collections.get(f"{call.param('ns')}/{call.param('slug')}")
    if found is None or (found["private"] and not _allowed(call.token, found["owner"]["name"], "collection.read")):
        raise Refusal(404, "Collection not found")
    if write and not _allowed(call.token, found["owner"]["name"]):
        raise Refusal(401 if call.token is None else 403, "Forbidden: you cannot change this collection")
    return found


@ROUTES.on("GET", "/api/collections")
async def listing(call: Call) -> web.Response:
    """List collections by `owner` and `item`."""
    owner, item = call.request.query.get("owner"), call.request.query.get("item")
    lines = [
        _described(one, with_position=False)
        for one in call.world.collections.values()
        if owner in (None, one["owner"]["name"])
        and (item is None or item in (f"{thing['type']}s/{thing['id']}" for thing in one["items"]))
        and (not one["private"] or _allowed(call.token, one["owner"]["name"], "collection.read"))
    ]
    return paged(call, lines)


def _described(one: Collection, *, with_position: bool = True) -> Collection:
    return one | ({"position": 0} if with_position else {})


@ROUTES.on("POST", "/api/collections")
async def create(call: Call) -> web.Response:
    """Create a collection in the namespace the body names."""
    body, token = call.json(), call.token
    namespace, title = body.get("namespace", ""), body.get("title", "")
    if not _allowed(token, namespace):
        raise Refusal(401 if token is None else 403, "Forbidden: you cannot create a collection there")
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    same = [slug for slug in call.world.collections if slug.rpartition("-")[0] == f"{namespace}/{words}"]
    if same:
        raise Refusal(409, "This collection exists already", slug=same[0])
    slug = f"{namespace}/{words}-{secrets.token_hex(12)}"
    call.world.collections[slug] = {
        "slug": slug,
        "title": title,
        "description": body.get("description"),
        "owner": {"name": namespace, "type": "user"},
        "items": [],
        "lastUpdated": describe.moment(datetime.now(UTC)),
        "private": body.get("private") is True,
        "theme": "orange",
        "upvotes": 0,
    }
    return answer(call, _described(call.world.collections[slug]))


@ROUTES.on("GET", _ONE)
async def get(call: Call) -> web.Response:
    """Describe a collection with its items."""
    return answer(call, _described(_found(call)))


@ROUTES.on("PATCH", _ONE)
async def change(call: Call) -> web.Response:
    """Change title, description, visibility or theme."""
    one, body = _found(call, write=True), call.json()
    one |= {key: body[key] for key in ("title", "description", "private", "theme") if key in body}
    return answer(call, {"success": True, "data": _described(one)})


@ROUTES.on("DELETE", _ONE)
async def delete(call: Call) -> web.Response:
    """Delete a collection."""
    del call.world.collections[_found(call, write=True)["slug"]]
    return answer(call, {"success": True})


@ROUTES.on("POST", _ONE + "/items")
async def add_item(call: Call) -> web.Response:
    """Add a repository."""
    one, body = _found(call, write=True), call.json()
    item = body.get("item", {})
    if any((thing["id"], thing["type"]) == (item.get("id"), item.get("type")) for thing in one["items"]):
        raise Refusal(409, "This item is in the collection already")
    note = {"note": {"text": body["note"]}} if body.get("note") else {}
    thing = {"_id": secrets.token_hex(12), "id": item["id"], "type": item["type"], "position": len(one["items"])}
    one["items"].append(thing | note)
    return answer(call, _described(one))


@ROUTES.on("PATCH DELETE", _ONE + "/items/{item}")
async def change_item(call: Call) -> web.Response:
    """Change an item's note or position, or take it out."""
    one, wanted = _found(call, write=True), call.param("item")
    item = next((thing for thing in one["items"] if thing["_id"] == wanted), None)
    if item is None:
        raise Refusal(404, "Item not found")
    if call.request.method == "DELETE":
        one["items"].remove(item)
        return answer(call, {"success": True})
    body = call.json()
    if "note" in body:
        item["note"] = {"text": body["note"]}
    item["position"] = body.get("position", item["position"])
    return answer(call, {"success": True, "data": item})
