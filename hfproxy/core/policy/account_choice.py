"""Whose token is spent on a request, where several are held: the least powerful one that can do it.

A grant stands for one account. Rules of the config may name another for a namespace, and where the same user has
several tokens, one that only reads comes before one that writes, and a fine-grained one that covers the request before
one that does everything. What cannot be seen to do is not chosen: then it is the grant's own account, as if there were
no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hfproxy.core.policy.access import Access, Action, Need

FINE_GRAINED, READ = "fineGrained", "read"
# The Hub's permissions that cover our actions (docs/hub-protocol.md#permissions); `repo.write` includes reading.
COVERED_BY = {Action.READ: {"repo.content.read", "repo.write"}}
WRITES = frozenset({"repo.write"})
OF_REPOSITORIES = frozenset(
    {Action.READ, Action.WRITE, Action.CREATE, Action.DELETE, Action.MOVE, Action.SETTINGS, Action.SECRETS, Action.RUN}
)


@dataclass(frozen=True, slots=True)
class AccountRights:
    """One account, as far as it matters here.

    `owner` is whatever two accounts of the same user in the same place have in common; `rights` of a fine-grained token
    are `TYPE NAME: PERMISSION, ...` as `accounts` shows them.
    """

    name: str
    owner: object
    role: str
    rights: tuple[str, ...] = ()


def choose(access: Access, default: str, held: Mapping[str, AccountRights], rules: Mapping[str, str]) -> str:
    """The account whose token is to be spent. `own` is the grant's; `rules` are namespace → account, in lower case."""
    chosen = (_by_rule(access, rules) if rules else None) or default
    if chosen not in held:
        return default
    if len(held) == 1:
        return chosen
    beside = [purse for purse in held.values() if purse.owner == held[chosen].owner]
    if len(beside) == 1:
        return chosen
    able = [purse for purse in beside if _suffices(purse, access)]
    return min(able, key=_privilege).name if able else chosen


def _by_rule(access: Access, rules: Mapping[str, str]) -> str | None:
    """The account of all namespaces that the request is about; None where they have none, or not the same."""
    named = {rules.get((need.target.namespace or "").lower()) for need in access.needs}
    return named.pop() if len(named) == 1 else None


def _suffices(purse: AccountRights, access: Access) -> bool:
    if purse.role == READ:
        return access.is_read_only
    return purse.role == FINE_GRAINED and all(_covers(purse.rights, need) for need in access.needs)


def _covers(rights: Iterable[str], need: Need) -> bool:
    wanted = COVERED_BY.get(need.action, WRITES)
    namespace, name = need.target.namespace, need.target.name
    if need.action not in OF_REPOSITORIES or not namespace:
        return False
    kind = (need.target.type or "").removesuffix("s")
    places = {f"user {namespace}", f"org {namespace}", *([f"{kind} {namespace}/{name}"] if name else [])}
    lowered = {place.lower() for place in places}
    return any(_place(right) in lowered and wanted & _permissions(right) for right in rights)


def _place(right: str) -> str:
    return right.partition(":")[0].lower()


def _permissions(right: str) -> set[str]:
    return {word.strip() for word in right.partition(":")[2].split(",")}


def _privilege(purse: AccountRights) -> tuple[bool, bool, str]:
    """One that cannot write comes first, then one that is fine-grained; names make the choice the same each time."""
    writes = purse.role not in {READ, FINE_GRAINED} or any(WRITES & _permissions(right) for right in purse.rights)
    return writes, purse.role != FINE_GRAINED, purse.name
