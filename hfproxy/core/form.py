"""The Hub's form for a new fine-grained token, filled in with what the journal shows was used (hub-wire §1.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from hfproxy.core.access import Action
from hfproxy.core.report import Entry, Touch, touches
from hfproxy.core.whoami import PERMISSIONS, WRITES

# What the form offers for everywhere at once, beside the rights in a namespace.
GLOBAL = frozenset({"discussion.write"})
# Actions whose rights have no known word in the form.
BY_HAND = frozenset({Action.PROFILE, Action.ORG})


@dataclass(frozen=True, slots=True)
class Form:
    """The form's address; what it asks for, in words; and the actions that a person has to tick by hand."""

    url: str
    said: tuple[str, ...]
    by_hand: tuple[str, ...]


def form(origin: str, account: str, user: str, orgs: Iterable[str], entries: Iterable[Entry]) -> Form:
    """What a token needs that is to do what this account's token did.

    Args:
        origin: Where the form is: the Hub that the account was logged in for.
        account: Its name here.
        user: Whose it is there.
        orgs: The organisations that the user is a member of.
        entries: The journal's, as `hf-proxy audit --json` gives them.
    """
    used = {touch for entry in entries if _spent(entry, account) for touch in touches(entry)}
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
    return Form(
        f"{origin}/settings/tokens/new?{urlencode([('tokenType', 'fineGrained'), *query])}",
        tuple(f"{name}={value}" for name, value in query),
        tuple(sorted({one.action for one in used} & BY_HAND)),
    )


def _spent(entry: Mapping[str, object], account: str) -> bool:
    """Whether the account's token went to the Hub for this."""
    return entry.get("decision") == "allow" and entry.get("account") == account


def _rights(used: Iterable[Touch]) -> list[str]:
    known = [Action(one.action) for one in used if one.action in set(Action) - BY_HAND]
    return sorted({right for action in known for right in PERMISSIONS.get(action, WRITES)})
