"""A grant as text, for a store that outlives the daemon, and back.

Nothing of it is secret: the credential is there as its digest only. `read(spell(grant))` gives the grant again; what is
not understood (a caveat of a newer version, a missing member) is no grant at all, never one with less to object.
"""

import json
from dataclasses import fields
from typing import Any, Final

from hfproxy.core.policy import scope
from hfproxy.core.policy.caveats import Caveat, Ceiling, Expires, InScopes, InTree, MaxBytes, MaxRate, MaxUses
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms, id_of
from hfproxy.core.policy.scope import Scope
from hfproxy.errors import StoreError, UsageError

KINDS: Final[dict[str, type[Caveat]]] = {
    "in_scopes": InScopes,
    "ceiling": Ceiling,
    "expires": Expires,
    "in_tree": InTree,
    "max_uses": MaxUses,
    "max_rate": MaxRate,
    "max_bytes": MaxBytes,
}
NAMES: Final = {kind: name for name, kind in KINDS.items()}
COUNTED: Final = ("uses", "bytes_up", "bytes_down")


def encode(grant: Grant) -> str:
    """A grant as one JSON object."""
    order = {
        field.name: _plain(getattr(grant.terms, field.name)) for field in fields(GrantTerms) if field.name != "caveats"
    }
    return json.dumps(
        {
            "digest": grant.digest.hex(),
            "order": order,
            "caveats": [_caveat(caveat) for caveat in grant.caveats],
            "minted_at": grant.minted_at,
            "expires_at": grant.expires_at,
            **{name: getattr(grant, name) for name in COUNTED},
            "lately": grant.recent_uses,
        }
    )


def decode(text: str) -> Grant:
    """The grant that was spelled.

    Raises:
        StoreError: it is none that this version understands.
    """
    try:
        found = json.loads(text)
        caveats = tuple(_read_caveat(one) for one in found["caveats"])
        digest = bytes.fromhex(found["digest"])
        times = _number(found["minted_at"]), _number(found["expires_at"])
        uses, up, down = (_number(found[name]) for name in COUNTED)
        grant = Grant(id_of(digest), digest, _order(found["order"], caveats), caveats, *times, uses, up, down)
        # The first version of the store did not have it.
        grant.recent_use_count([(_number(at), _number(count)) for at, count in found.get("lately", ())])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, UsageError):
        raise StoreError("a grant in it is not one that this version wrote") from None
    if len(digest) != 32 or not grant.terms.scopes or caveats[:2] != _first(grant):
        raise StoreError("a grant in it contradicts itself")
    return grant


def _first(grant: Grant) -> tuple[Caveat, ...]:
    """The two caveats that every grant begins with: its end and its scopes."""
    return Expires(grant.expires_at), InScopes(grant.terms.scopes, grant.terms.strict)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Scope | Bind) else value


def _caveat(caveat: Caveat) -> list[object]:
    return [NAMES[type(caveat)], {field.name: _plain(getattr(caveat, field.name)) for field in fields(caveat)}]


def _read_caveat(found: Any) -> Caveat:
    name, members = found
    if "scopes" in members:
        members = {**members, "scopes": tuple(map(scope.parse, members["scopes"]))}
    numbers = [value for key, value in members.items() if key not in {"scopes", "strict"} and value is not None]
    for number in numbers:
        _number(number)
    return KINDS[name](**members)


def _order(found: dict[str, Any], caveats: tuple[Caveat, ...]) -> GrantTerms:
    scopes = tuple(map(scope.parse, found["scopes"]))
    return GrantTerms(**{**found, "scopes": scopes, "bind": Bind(found["bind"]), "caveats": caveats[2:]})


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a number")
    return value
