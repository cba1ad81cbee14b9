"""The smallest profile that covers what a command did, by the journal's entries.

Refs are left out, since few think in them, but for one: opening a pull request is a write to a ref of its own, and
`discuss` is enough for it. Who searches a catalogue asks for everything at once; that goes without the token where no
scope covers it, so it is told and not granted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hfproxy.core.audit.chain import EventKind
from hfproxy.core.policy import scope
from hfproxy.core.policy.access import NEW_PULL_REQUEST, Action, Need, Target
from hfproxy.core.policy.scope import Scope, scope_for
from hfproxy.errors import UsageError

Entry = Mapping[str, object]
# From so many repositories of one namespace on, a wider scope is offered as well.
MANY: Final = 6


@dataclass(frozen=True, slots=True)
class LeastScopes:
    """Scopes, sorted, none of which could be left out; and what they leave open.

    `requests` counts what was decided, `searches` those that asked for everything of a kind. `beyond` is what was
    refused and no scope allows, as `METHOD target (refusal)`; for `unrecorded` needs the journal had no room.
    """

    scopes: tuple[Scope, ...]
    requests: int = 0
    searches: int = 0
    beyond: tuple[str, ...] = ()
    unrecorded: int = 0

    @property
    def wider(self) -> dict[Scope, int]:
        """What could stand for many of one namespace, and for how many."""
        named = Counter(Scope(one.action, one.type, one.namespace) for one in self.scopes if one.name is not None)
        return {one: count for one, count in named.items() if count >= MANY}


def from_entries(entries: Iterable[Entry]) -> LeastScopes:
    """What the entries of one grant, and of those that were made from it, add up to."""
    decided = [entry for entry in entries if entry.get("kind") == EventKind.DECIDED]
    needs = [need for entry in decided for need in _needs(entry)]
    beyond = [
        f"{entry.get('method')} {entry.get('target')} ({entry.get('refusal')})"
        for entry in decided
        if entry.get("decision") == "deny" and not entry.get("action")
    ]
    more = [entry.get("more_needs") for entry in decided]
    return LeastScopes(
        minimal_scopes(need for need in needs if not _searches(need)),
        len(decided),
        sum(map(_searches, needs)),
        tuple(dict.fromkeys(beyond)),
        sum(count for count in more if isinstance(count, int)),
    )


def minimal_scopes(needs: Iterable[Need]) -> tuple[Scope, ...]:
    """The scopes that admit all of these needs and no more than has to be; without any of them one need is lost."""
    wanted = set(needs)
    offered = sorted({_without_redundant(need) for need in wanted}, key=str)
    admitted_by = {need: {one for one in offered if one.admits(need)} for need in wanted}
    for one in offered:
        resting_on_it = [by for by in admitted_by.values() if one in by]
        if all(len(by) > 1 for by in resting_on_it):
            for by in resting_on_it:
                by.discard(one)
    return tuple(sorted(set().union(*admitted_by.values()), key=str))


def _without_redundant(need: Need) -> Scope:
    opens = need.action is Action.WRITE and need.target.ref == NEW_PULL_REQUEST
    found = scope_for(need)
    return Scope(Action.DISCUSS, found.type, found.namespace, found.name) if opens else found


def _needs(entry: Entry) -> Iterator[Need]:
    """What a request needed: `needs` where the journal has them, else `action` and `repo`.

    What was forwarded without the token needed nothing that could be granted.
    """
    if entry.get("decision") == "anonymous" or not entry.get("action"):
        return
    texts, ref = entry.get("needs"), entry.get("ref")
    single = ":".join(str(entry[key]) for key in ("action", "repo") if entry.get(key))
    for text in texts if isinstance(texts, list) else [single]:
        try:
            found = scope.parse(str(text))
        except UsageError:  # an id that nobody could grant
            continue
        changes = found.action is not Action.READ and isinstance(ref, str)
        target = Target(found.type, found.namespace or "", found.name, str(ref) if changes else None)
        yield Need(found.action, target)


def _searches(need: Need) -> bool:
    return need.action is Action.READ and not need.target.namespace
