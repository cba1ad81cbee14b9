"""Grants as JSON text for the store, and back.

The text holds no secret: of the credential only its digest. `decode(encode(grant))` equals the grant. The names of
the members are those of earlier versions of the store and stay as they are. A text that is not understood in full (a
caveat of a newer version, a missing member) is refused, never read as a grant with fewer caveats.
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
COUNTERS: Final = ("uses", "bytes_up", "bytes_down")


def encode(grant: Grant) -> str:
    """Return a grant as one JSON object."""
    terms = {
        field.name: _to_json(getattr(grant.terms, field.name))
        for field in fields(GrantTerms)
        if field.name != "caveats"
    }
    return json.dumps(
        {
            "digest": grant.digest.hex(),
            "order": terms,
            "caveats": [_encode_caveat(caveat) for caveat in grant.caveats],
            "minted_at": grant.minted_at,
            "expires_at": grant.expires_at,
            **{name: getattr(grant, name) for name in COUNTERS},
            "lately": grant.recent_uses,
        }
    )


def decode(text: str) -> Grant:
    """Return the grant that `encode` made the text of.

    Raises:
        StoreError: the text is no grant that this version understands.
    """
    try:
        record = json.loads(text)
        caveats = tuple(map(_decode_caveat, record["caveats"]))
        digest = bytes.fromhex(record["digest"])
        times = _natural(record["minted_at"]), _natural(record["expires_at"])
        uses, up, down = (_natural(record[name]) for name in COUNTERS)
        grant = Grant(id_of(digest), digest, _decode_terms(record["order"], caveats), caveats, *times, uses, up, down)
        # The first version of the store had no "lately".
        grant.restore_recent_uses([(_natural(at), _natural(count)) for at, count in record.get("lately", ())])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, UsageError):
        raise StoreError("a grant in it is not one that this version wrote") from None
    if len(digest) != 32 or not grant.terms.scopes or caveats[:2] != _leading_caveats(grant):
        raise StoreError("a grant in it contradicts itself")
    return grant


def _leading_caveats(grant: Grant) -> tuple[Caveat, ...]:
    """The caveats that every grant begins with (`Broker.mint`): its expiry and its scopes."""
    return Expires(grant.expires_at), InScopes(grant.terms.scopes, grant.terms.strict)


def _to_json(value: object) -> object:
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return str(value) if isinstance(value, Scope | Bind) else value


def _encode_caveat(caveat: Caveat) -> list[object]:
    return [NAMES[type(caveat)], {field.name: _to_json(getattr(caveat, field.name)) for field in fields(caveat)}]


def _decode_caveat(record: Any) -> Caveat:
    name, members = record
    if "scopes" in members:
        members = {**members, "scopes": tuple(map(scope.parse, members["scopes"]))}
    numbers = [value for key, value in members.items() if key not in {"scopes", "strict"} and value is not None]
    for number in numbers:
        _natural(number)
    return KINDS[name](**members)


def _decode_terms(record: dict[str, Any], caveats: tuple[Caveat, ...]) -> GrantTerms:
    scopes = tuple(map(scope.parse, record["scopes"]))
    return GrantTerms(**{**record, "scopes": scopes, "bind": Bind(record["bind"]), "caveats": caveats[2:]})


def _natural(value: object) -> int:
    """Not `isinstance`: JSON's `true` is an int to Python."""
    if type(value) is not int or value < 0:
        raise ValueError("not a natural number")
    return value
