"""Classifies requests: finds a request's row in the route table, and derives the access that the request attempts.

A request that matches no row is refused; a request that matches is forwarded byte for byte. A request that carries its
operation in the body is classified in two steps: `classify` returns `BodyRequired` or `RefUpdatesRequired`, and
`classify_body` or `hfproxy.core.git.push_commands` completes the classification from the body.
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

COMPILED_ROUTES = tuple((PathPattern(route.path), route) for route in ROUTES)
METHODS = frozenset(method for route in ROUTES for method in route.methods.split())
ROUTES_BY_METHOD = {
    method: tuple(row for row in COMPILED_ROUTES if method in row[1].methods.split()) for method in METHODS
}


@dataclass(frozen=True, slots=True)
class Classified:
    """A completely classified request. `access` is None for a special route."""

    route: Route
    access: Access | None = None


# Entries in the cache of classifications, and the longest request target that is cached, in bytes.
CACHE_ENTRIES: Final = 1024
MAX_CACHED_TARGET: Final = 512


@dataclass(frozen=True, slots=True)
class BodyRequired:
    """A request that carries its operation in the body: read at most `limit` bytes, then call `classify_body`."""

    route: Route
    body: BodySpec
    target: Target | None

    @property
    def limit(self) -> int:
        return self.body.limit


@dataclass(frozen=True, slots=True)
class RefUpdatesRequired:
    """A push: its operations are the ref updates at the head of its body (`hfproxy.core.git.push_commands`)."""

    route: Route
    target: Target


Classification = Classified | BodyRequired | RefUpdatesRequired | Deny


def classify(method: str, raw_target: str, bill_to: str | None = None) -> Classification:
    """Classify a request by its method and raw target. Never raises.

    The target of an accepted request must be forwarded byte for byte. The result depends on the arguments alone, so the
    last CACHE_ENTRIES results are cached.

    Args:
        method: the HTTP method.
        raw_target: the request target as received.
        bill_to: the value of the `X-HF-Bill-To` header; the paying organisation is part of the access.
    """
    return (_classify if len(raw_target) > MAX_CACHED_TARGET else _classify_cached)(method, raw_target, bill_to)


def _classify(method: str, raw_target: str, bill_to: str | None) -> Classification:
    target = request_target.parse(raw_target)
    if isinstance(target, Deny):
        return _minting_route(method, raw_target) or target
    for row, route in ROUTES_BY_METHOD.get(method, ()):
        if match := row.fullmatch(target.path):
            result = _match_path(match, target.policy_pairs)
            return result if isinstance(result, Deny) else _apply_route(route, result, bill_to)
    return _unknown(method, target.path)


_classify_cached = lru_cache(maxsize=CACHE_ENTRIES)(_classify)


def classify_body(
    need: BodyRequired, raw: bytes, content_type: str, content_encoding: str, bill_to: str | None = None
) -> Classified | Deny:
    """Complete the classification of a request from its body."""
    needs = strict_json.parse_needs(need.body, need.target, raw, content_type, content_encoding)
    return needs if isinstance(needs, Deny) else classified(need.route, needs, bill_to)


def classified(route: Route, needs: tuple[Need, ...], bill_to: str | None) -> Classified | Deny:
    """Return the classification of a request with these needs, paid for by `bill_to`."""
    if bill_to is not None and not body_needs.ID.fullmatch(bill_to):
        return Deny(Refusal.BAD_TARGET, f"X-HF-Bill-To is not a valid organisation name{SEE_AUDIT}")
    return Classified(route, Access(needs, bill_to=bill_to))


def _apply_route(route: Route, match: PathMatch, bill_to: str | None) -> Classification:
    """Derive the classification from a matched row."""
    keys = {key for key, _ in match.policy_pairs}
    if not keys <= route.policy_keys:
        return Deny(Refusal.BAD_TARGET, f"{', '.join(sorted(keys))} has no meaning at this address{SEE_AUDIT}")
    if "service" in route.policy_keys - keys:
        return Deny(Refusal.BAD_TARGET, "git's protocol without a service is not spoken here; update: git --version")
    match route.derives:
        case SpecialRoute():
            return Classified(route)
        case BodySpec() as body:
            return BodyRequired(route, body, match.target)
        case ReceivePack():
            return RefUpdatesRequired(route, match.target) if match.target else _unknown("POST", route.path)
        case needs:
            return classified(route, needs(match), bill_to)


def _match_path(match: re.Match[str], policy: tuple[tuple[str, str], ...]) -> PathMatch | Deny:
    """Read the repository, revisions and query keys from the match of a path."""
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


def _minting_route(method: str, raw_target: str) -> Classified | None:
    """Match a minting route regardless of its query, since a container registry's `service` differs from git's."""
    target = request_target.parse(raw_target.partition("?")[0])
    if isinstance(target, Deny):
        return None
    rows = (route for row, route in ROUTES_BY_METHOD.get(method, ()) if row.fullmatch(target.path))
    return next((Classified(route) for route in rows if route.derives is SpecialRoute.MINTING), None)


def _unknown(method: str, path: str) -> Deny:
    """Refuse an address without a row; the reason is another if the address would have a row without its encoding."""
    plain = unquote(path)
    if plain != path and any(row.fullmatch(plain) for row, _ in COMPILED_ROUTES):
        return Deny(Refusal.BAD_TARGET, f"this address is encoded where it must be plain{SEE_AUDIT}")
    return Deny(
        Refusal.UNKNOWN_ROUTE,
        f"{method[:10]} {path[:120]} is not an operation this hf-proxy knows, so no scope can allow it{SEE_AUDIT}",
    )
