"""The smallest set of scopes that covers the requests of a command, computed from journal entries.

The scopes name no refs, since few users think in refs, with one exception: opening a pull request is a write to a ref
of its own, for which `discuss` is enough. A search of a catalogue would need a scope for everything; it is forwarded
without the token if no scope covers it, so it is reported but not granted.
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
# The number of scopes in one namespace from which on a scope for the whole namespace is offered as well.
WIDEN_FROM: Final = 6


@dataclass(frozen=True, slots=True)
class LeastScopes:
    """The minimal scopes of a command, and the requests that they do not cover.

    Attributes:
        scopes: sorted; none can be left out.
        requests: the number of decided requests.
        searches: the number of requests that list a whole catalogue.
        not_grantable: refused requests that no scope allows, as `METHOD target (refusal)`.
        unrecorded: the number of needs that the journal entries had no room for.
    """

    scopes: tuple[Scope, ...]
    requests: int = 0
    searches: int = 0
    not_grantable: tuple[str, ...] = ()
    unrecorded: int = 0

    @property
    def wider(self) -> dict[Scope, int]:
        """Scopes for a whole namespace, each with the number of scopes (at least WIDEN_FROM) that it would replace."""
        counts = Counter(Scope(item.action, item.type, item.namespace) for item in self.scopes if item.name is not None)
        return {namespace: count for namespace, count in counts.items() if count >= WIDEN_FROM}


def from_entries(entries: Iterable[Entry]) -> LeastScopes:
    """Compute the minimal scopes from the journal entries of a grant and its descendants."""
    decided = [entry for entry in entries if entry.get("kind") == EventKind.DECIDED]
    needs = [need for entry in decided for need in _needs(entry)]
    not_grantable = [
        f"{entry.get('method')} {entry.get('target')} ({entry.get('refusal')})"
        for entry in decided
        if entry.get("decision") == "deny" and not entry.get("action")
    ]
    unrecorded = [entry.get("more_needs") for entry in decided]
    return LeastScopes(
        minimal_scopes(need for need in needs if not _is_search(need)),
        len(decided),
        sum(map(_is_search, needs)),
        tuple(dict.fromkeys(not_grantable)),
        sum(count for count in unrecorded if isinstance(count, int)),
    )


def minimal_scopes(needs: Iterable[Need]) -> tuple[Scope, ...]:
    """Return scopes that admit all of the needs and as little else as possible; none of them can be left out."""
    unique_needs = set(needs)
    candidates = sorted({_narrowest_scope(need) for need in unique_needs}, key=str)
    admitted_by = {need: {scope for scope in candidates if scope.admits(need)} for need in unique_needs}
    for candidate in candidates:
        dependents = [admitting for admitting in admitted_by.values() if candidate in admitting]
        if all(len(admitting) > 1 for admitting in dependents):
            for admitting in dependents:
                admitting.discard(candidate)
    return tuple(sorted(set().union(*admitted_by.values()), key=str))


def _narrowest_scope(need: Need) -> Scope:
    opens_pull_request = need.action is Action.WRITE and need.target.ref == NEW_PULL_REQUEST
    narrowest = scope_for(need)
    if opens_pull_request:
        return Scope(Action.DISCUSS, narrowest.type, narrowest.namespace, narrowest.name)
    return narrowest


def _needs(entry: Entry) -> Iterator[Need]:
    """Yield the needs of a request: `needs` if the entry has them, else `action` and `repo`.

    A request that was forwarded without the token has no needs.
    """
    if entry.get("decision") == "anonymous" or not entry.get("action"):
        return
    texts, ref = entry.get("needs"), entry.get("ref")
    single = ":".join(str(entry[key]) for key in ("action", "repo") if entry.get(key))
    for text in texts if isinstance(texts, list) else [single]:
        try:
            parsed = scope.parse(str(text))
        except UsageError:  # an id that no scope can name
            continue
        has_ref = parsed.action is not Action.READ and isinstance(ref, str)
        target = Target(parsed.type, parsed.namespace or "", parsed.name, str(ref) if has_ref else None)
        yield Need(parsed.action, target)


def _is_search(need: Need) -> bool:
    return need.action is Action.READ and not need.target.namespace
