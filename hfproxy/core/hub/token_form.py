"""The Hub's form for a new fine-grained token, prefilled with the rights used in the journal
(docs/hub-protocol.md#permissions)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from hfproxy.core.audit.report import Entry, TouchedPlace, touched_places
from hfproxy.core.hub.whoami import PERMISSIONS, WRITE_PERMISSIONS
from hfproxy.core.policy.access import Action

# Rights that the form offers globally, besides the rights in a namespace.
GLOBAL_PERMISSIONS = frozenset({"discussion.write"})
# Actions that correspond to no known right in the form.
NOT_IN_FORM = frozenset({Action.PROFILE, Action.ORG})


@dataclass(frozen=True, slots=True)
class TokenForm:
    """A prefilled form.

    Attributes:
        url: the address of the form with its query.
        summary: `FIELD=VALUE` for each prefilled field.
        not_in_form: actions that the user has to select by hand.
    """

    url: str
    summary: tuple[str, ...]
    not_in_form: tuple[str, ...]


def prefilled_form(origin: str, account: str, user: str, orgs: Iterable[str], entries: Iterable[Entry]) -> TokenForm:
    """Prefill the form with the rights that an account's token has used.

    Args:
        origin: the origin of the Hub that the account was logged in for.
        account: the account's name in hf-proxy.
        user: the user's name on the Hub.
        orgs: the organisations that the user is a member of.
        entries: journal entries in the shape of `hf-proxy audit --json`.
    """
    used = {place for entry in entries if _used_token_of(entry, account) for place in touched_places(entry)}
    org_names = {org.lower(): org for org in orgs}
    own_namespaces = {"", user.lower()}
    own = {place for place in used if place.namespace in own_namespaces}
    of_orgs = {place for place in used if place.namespace in org_names}
    elsewhere = {place for place in used if place.namespace not in own_namespaces} - of_orgs
    query = [
        *(("ownUserPermissions", right) for right in _rights(own)),
        *(("orgs", org_names[name]) for name in sorted({place.namespace for place in of_orgs})),
        *(("orgPermissions", right) for right in _rights(of_orgs)),
        *(("globalPermissions", right) for right in _rights(elsewhere) if right in GLOBAL_PERMISSIONS),
        *([("canReadGatedRepos", "true")] if any(place.action == Action.READ for place in elsewhere) else []),
    ]
    return TokenForm(
        f"{origin}/settings/tokens/new?{urlencode([('tokenType', 'fineGrained'), *query])}",
        tuple(f"{name}={value}" for name, value in query),
        tuple(sorted({place.action for place in used} & NOT_IN_FORM)),
    )


def _used_token_of(entry: Mapping[str, object], account: str) -> bool:
    """Return whether the account's token was sent to the Hub for this entry."""
    return entry.get("decision") == "allow" and entry.get("account") == account


def _rights(used: Iterable[TouchedPlace]) -> list[str]:
    actions = [Action(place.action) for place in used if place.action in set(Action) - NOT_IN_FORM]
    return sorted({right for action in actions for right in PERMISSIONS.get(action, WRITE_PERMISSIONS)})
