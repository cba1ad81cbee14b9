"""`classify`: what a request attempts, found in the table.

What no row fits is refused; what a row fits is sent exactly as it came. A request whose meaning is in its body is
classified in two steps: `classify` says what is needed (`NeedBody`, `NeedCommands`), and `classify_body` or
`core.push` goes on from there.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from hfproxy.core.git.refs import is_ref_name
from hfproxy.core.hub import body_needs, request_target, strict_json
from hfproxy.core.hub.path_pattern import PathPattern
from hfproxy.core.hub.route_table import ROUTES, PathMatch, ReceivePack, Route, SpecialRoute
from hfproxy.core.hub.strict_json import BodySpec
from hfproxy.core.policy.access import NEW_PULL_REQUEST, SEE_AUDIT, Access, Need, RepoType, Target
from hfproxy.core.policy.decision import Deny, Refusal

TABLE_BY_METHOD = tuple((PathPattern(route.path), route) for route in ROUTES)
METHODS = frozenset(method for route in ROUTES for method in route.methods.split())
ROUTES_BY_METHOD = {
    method: tuple(row for row in TABLE_BY_METHOD if method in row[1].methods.split()) for method in METHODS
}


@dataclass(frozen=True, slots=True)
class Classified:
    """A request whose meaning is known. `access` is None for a special route."""

    route: Route
    access: Access | None = None


# Answers that are remembered, and how long an address may be for it.
REMEMBERED: Final = 1024
MEMORABLE: Final = 512


@dataclass(frozen=True, slots=True)
class NeedBody:
    """What the request does is in its body: read at most `limit` bytes and go on with `classify_body`."""

    route: Route
    body: BodySpec
    target: Target | None

    @property
    def limit(self) -> int:
        return self.body.limit


@dataclass(frozen=True, slots=True)
class NeedRefUpdates:
    """A push: what it does is in the command list at the head of its body (`core.push`)."""

    route: Route
    target: Target


Classification = Classified | NeedBody | NeedRefUpdates | Deny


def classify(method: str, raw_target: str, bill_to: str | None = None) -> Classification:
    """Say what a request attempts, from its method and its raw target.

    `bill_to` is the `X-HF-Bill-To` header: who pays is part of the access. Never raises; what it accepts is to be sent
    exactly as it was given. The same question has the same answer, so the last ones are remembered.
    """
    return (_classify if len(raw_target) > MEMORABLE else _classify_cached)(method, raw_target, bill_to)


def _classify(method: str, raw_target: str, bill_to: str | None) -> Classification:
    address = request_target.parse(raw_target)
    if isinstance(address, Deny):
        return _minting(method, raw_target) or address
    for row, route in ROUTES_BY_METHOD.get(method, ()):
        if match := row.fullmatch(address.path):
            found = _match_path(match, address.policy)
            return found if isinstance(found, Deny) else _apply_route(route, found, bill_to)
    return _unknown(method, address.path)


_classify_cached = lru_cache(maxsize=REMEMBERED)(_classify)


def classify_body(
    need: NeedBody, raw: bytes, content_type: str, content_encoding: str, bill_to: str | None = None
) -> Classified | Deny:
    """The same, once the body has been read."""
    needs = strict_json.parse_needs(need.body, need.target, raw, content_type, content_encoding)
    return needs if isinstance(needs, Deny) else classified(need.route, needs, bill_to)


def classified(route: Route, needs: tuple[Need, ...], bill_to: str | None) -> Classified | Deny:
    """A request whose needs are known, and who pays for it."""
    if bill_to is not None and not body_needs.ID.fullmatch(bill_to):
        return Deny(Refusal.BAD_TARGET, f"X-HF-Bill-To is not a valid organisation name{SEE_AUDIT}")
    return Classified(route, Access(needs, bill_to=bill_to))


def _apply_route(route: Route, found: PathMatch, bill_to: str | None) -> Classification:
    """What a matched row takes."""
    given = {key for key, _ in found.policy}
    if not given <= route.policy:
        return Deny(Refusal.BAD_TARGET, f"{', '.join(sorted(given))} has no meaning at this address{SEE_AUDIT}")
    if "service" in route.policy - given:
        return Deny(Refusal.BAD_TARGET, "git's protocol without a service is not spoken here; update: git --version")
    match route.derives:
        case SpecialRoute():
            return Classified(route)
        case BodySpec() as body:
            return NeedBody(route, body, found.target)
        case ReceivePack():
            return NeedRefUpdates(route, found.target) if found.target else _unknown("POST", route.path)
        case needs:
            return classified(route, needs(found), bill_to)


def _match_path(match: re.Match[str], policy: tuple[tuple[str, str], ...]) -> PathMatch | Deny:
    """Read the named parts of a path."""
    parts = match.groupdict()
    if "%2f" in (parts.get("path") or "").lower():
        return Deny(Refusal.BAD_TARGET, f"an encoded slash has no place in this address{SEE_AUDIT}")
    if not parts.keys() & {"type", "ns"}:
        return PathMatch(None, policy)
    refs = [unquote(parts[key]) for key in ("rev", "other", "tag") if parts.get(key)]
    if not all(map(is_ref_name, refs)):
        return Deny(
            Refusal.BAD_TARGET,
            f"the revision in this address is not the name of a ref or a commit (see create_pr=1){SEE_AUDIT}",
        )
    kind = RepoType(parts["type"] or "models") if "type" in parts else None
    ref = f"refs/tags/{refs[0]}" if parts.get("tag") else refs[0] if refs else None
    if ("create_pr", "1") in policy:
        ref = NEW_PULL_REQUEST
    return PathMatch(Target(kind, parts.get("ns"), parts.get("name"), ref), policy, refs[1] if len(refs) > 1 else None)


def _minting(method: str, raw_target: str) -> Classified | None:
    """A minting route is told so whatever its query: a registry's `service` is not git's."""
    address = request_target.parse(raw_target.partition("?")[0])
    if isinstance(address, Deny):
        return None
    rows = (route for row, route in ROUTES_BY_METHOD.get(method, ()) if row.fullmatch(address.path))
    return next((Classified(route) for route in rows if route.derives is SpecialRoute.MINTING), None)


def _unknown(method: str, path: str) -> Deny:
    """No row: refused. An address that would have one without its encoding is told so."""
    plain = unquote(path)
    if plain != path and any(row.fullmatch(plain) for row, _ in TABLE_BY_METHOD):
        return Deny(Refusal.BAD_TARGET, f"this address is encoded where it must be plain{SEE_AUDIT}")
    return Deny(
        Refusal.UNKNOWN_ROUTE,
        f"{method[:10]} {path[:120]} is not an operation this hf-proxy knows, so no scope can allow it{SEE_AUDIT}",
    )
