"""Finds out from the Hub who the owner of a token is, and whether the Hub still accepts the token."""

import json

from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken, Origin
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, UpstreamError
from hfproxy.secret import Secret


async def identify(hub: HubApi, key: AccountKey, token: Secret) -> AccountToken:
    """Return the account of a token with the user, organisations, role and fine-grained scopes that whoami gives.

    Raises:
        AccountError: the Hub does not accept the token.
        UpstreamError: the Hub cannot be reached, or its answer is neither an identity nor a refusal.
    """
    reply = await hub.whoami(AccountToken(_unidentified(key, hub.origin), token))
    if reply.status in {401, 403}:
        raise AccountError("the Hub does not accept this token; copy it again and run: hf-proxy login")
    try:
        return AccountToken(_account(key, hub.origin, json.loads(reply.body)), token)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unexpected_status(hub, reply.status) from None


async def is_revoked(hub: HubApi, account_token: AccountToken) -> bool:
    """Return whether the Hub no longer accepts an account's token; only the statuses 200 and 401 decide that.

    Raises:
        AccountError: the account was logged in for another origin.
        UpstreamError: the Hub cannot be reached, or answers with another status.
    """
    status = (await hub.whoami(account_token)).status
    if status not in {200, 401}:
        raise unexpected_status(hub, status)
    return status == 401


def unexpected_status(hub: HubApi, status: int) -> UpstreamError:
    """Return the error for an answer to whoami that says nothing about the token."""
    return UpstreamError(f"{hub.origin.url} answered whoami with status {status}; try again")


def _unidentified(key: AccountKey, origin: Origin) -> Account:
    return Account(uid=key.uid, name=key.name, origin=origin, user="", user_id="", fullname="", role="")


def _account(key: AccountKey, origin: Origin, identity: dict[str, object]) -> Account:
    """Read the body of whoami-v2 (its shape: docs/hub-protocol.md#whoami)."""
    access = _as_dict(_as_dict(identity.get("auth")).get("accessToken"))
    return Account(
        uid=key.uid,
        name=key.name,
        origin=origin,
        user=str(identity["name"]),
        user_id=str(identity.get("id", "")),
        fullname=str(identity.get("fullname") or identity["name"]),
        role=str(access.get("role", "unknown")),
        orgs=tuple((str(org["name"]), str(org.get("id", ""))) for org in map(_as_dict, _as_list(identity.get("orgs")))),
        scopes=_scopes(_as_dict(access.get("fineGrained"))),
    )


def _scopes(fine_grained: dict[str, object]) -> tuple[str, ...]:
    """Return a fine-grained token's permissions, one text an entity: `model me/demo: repo.content.read, repo.write`."""
    scopes = []
    for scope in map(_as_dict, _as_list(fine_grained.get("scoped"))):
        entity = _as_dict(scope.get("entity"))
        permissions = ", ".join(map(str, _as_list(scope.get("permissions"))))
        scopes.append(f"{entity.get('type')} {entity.get('name', entity.get('_id'))}: {permissions}")
    everywhere = ", ".join(map(str, _as_list(fine_grained.get("global"))))
    return (*scopes, *([f"everywhere: {everywhere}"] if everywhere else []))


def _as_dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
