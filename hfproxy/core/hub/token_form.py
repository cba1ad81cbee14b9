"""The Hub's form for a new fine-grained token, filled in with what the journal shows was used
(docs/hub-protocol.md#permissions)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from hfproxy.core.audit.report import Entry, TouchedPlace, touched_places
from hfproxy.core.hub.whoami import PERMISSIONS, WRITES
from hfproxy.core.policy.access import Action

# What the form offers for everywhere at once, beside the rights in a namespace.
GLOBAL = frozenset({"discussion.write"})
# Actions whose rights have no known word in the form.
NOT_IN_FORM = frozenset({Action.PROFILE, Action.ORG})


@dataclass(frozen=True, slots=True)
class TokenForm:
    """The form's address; what it asks for, in words; and the actions that a person has to tick by hand."""

    url: str
    summary: tuple[str, ...]
    not_in_form: tuple[str, ...]


def prefilled_form(origin: str, account: str, user: str, orgs: Iterable[str], entries: Iterable[Entry]) -> TokenForm:
    """What a token needs that is to do what this account's token did.

    Args:
        origin: Where the form is: the Hub that the account was logged in for.
        account: Its name here.
        user: Whose it is there.
        orgs: The organisations that the user is a member of.
        entries: The journal's, as `hf-proxy audit --json` gives them.
    """
    used = {touch for entry in entries if _default_owner(entry, account) for touch in touched_places(entry)}
    spelled = {org.lower(): org for org in orgs}
    mine = {"", user.lower()}
    shared = {one for one in used if one.namespace in spelled}
    elsewhere = {one for one in used if one.namespace not in mine} - shared
    query = [
        *(("ownUserPermissions", right) for right in _rights(one for one in used if one.namespace in mine)),
        *(("orgs", spelled[name]) for name in sorted({one.namespace for one in shared})),
        *(("orgPermissions", right) for right in _rights(shared)),
        *(("globalPermissions", right) for right in _rights(elsewhere) if right in GLOBAL),
        *([("canReadGatedRepos", "true")] if any(one.action == Action.READ for one in elsewhere) else []),
    ]
    return TokenForm(
        f"{origin}/settings/tokens/new?{urlencode([('tokenType', 'fineGrained'), *query])}",
        tuple(f"{name}={value}" for name, value in query),
        tuple(sorted({one.action for one in used} & NOT_IN_FORM)),
    )


def _default_owner(entry: Mapping[str, object], account: str) -> bool:
    """Whether the account's token went to the Hub for this."""
    return entry.get("decision") == "allow" and entry.get("account") == account


def _rights(used: Iterable[TouchedPlace]) -> list[str]:
    known = [Action(one.action) for one in used if one.action in set(Action) - NOT_IN_FORM]
    return sorted({right for action in known for right in PERMISSIONS.get(action, WRITES)})
