"""Chooses which account's token to attach to a request: the least privileged one that suffices.

A grant names an account. A rule of the configuration may name another one for a namespace. Where one Hub user has
several tokens, a token that cannot write comes before one that can, and a fine-grained token that covers the request
before one without restrictions. A token is chosen only if its rights are known to suffice; if none is, the grant's (or
the rule's) account stands.
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
    """The rights of one account's token.

    Attributes:
        name: The account's name.
        owner: Equal for two accounts if one Hub user, at one origin, owns both.
        role: The token's role as the Hub names it: `read`, `write`, `fineGrained`, …
        rights: Of a fine-grained token: `TYPE NAME: PERMISSION, ...`, as `hf-proxy accounts` shows them.
    """

    name: str
    owner: object
    role: str
    rights: tuple[str, ...] = ()


def choose(access: Access, default: str, accounts: Mapping[str, AccountRights], by_namespace: Mapping[str, str]) -> str:
    """Return the name of the account to take the token of.

    Args:
        access: The needs of the request.
        default: The grant's account.
        accounts: The usable accounts, by name.
        rules: Namespace, in lower case → account.
    """
    chosen = (_by_rule(access, by_namespace) if by_namespace else None) or default
    if chosen not in accounts:
        return default
    if len(accounts) == 1:
        return chosen
    of_same_user = [rights for rights in accounts.values() if rights.owner == accounts[chosen].owner]
    if len(of_same_user) == 1:
        return chosen
    sufficient = [rights for rights in of_same_user if _suffices(rights, access)]
    return min(sufficient, key=_privilege).name if sufficient else chosen


def _by_rule(access: Access, rules: Mapping[str, str]) -> str | None:
    """The account that the rules name for every namespace of the request; None: they name none, or several."""
    names = {rules.get((need.target.namespace or "").lower()) for need in access.needs}
    return names.pop() if len(names) == 1 else None


def _suffices(account: AccountRights, access: Access) -> bool:
    if account.role == READ:
        return access.is_read_only
    return account.role == FINE_GRAINED and all(_covers(account.rights, need) for need in access.needs)


def _covers(rights: Iterable[str], need: Need) -> bool:
    sufficient = COVERED_BY.get(need.action, WRITES)
    namespace, name = need.target.namespace, need.target.name
    if need.action not in OF_REPOSITORIES or not namespace:
        return False
    kind = (need.target.type or "").removesuffix("s")
    entities = {f"user {namespace}", f"org {namespace}", *([f"{kind} {namespace}/{name}"] if name else [])}
    lowered = {entity.lower() for entity in entities}
    return any(_entity(right) in lowered and sufficient & _permissions(right) for right in rights)


def _entity(right: str) -> str:
    return right.partition(":")[0].lower()


def _permissions(right: str) -> set[str]:
    return {word.strip() for word in right.partition(":")[2].split(",")}


def _privilege(account: AccountRights) -> tuple[bool, bool, str]:
    """Sort key: tokens that cannot write first, then fine-grained ones; by name, so that the choice is stable."""
    can_write = account.role not in {READ, FINE_GRAINED} or any(
        WRITES & _permissions(right) for right in account.rights
    )
    return can_write, account.role != FINE_GRAINED, account.name
