"""Asking the Hub whose a token is: at login, and where there is doubt whether it is still anybody's."""

import asyncio
import json
from typing import Final

import aiohttp

from hfproxy.core.http.headers import UpstreamHeaders
from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken, Origin
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, UpstreamError
from hfproxy.secret import Secret

ANSWER_SECONDS: Final = 15
TARGET: Final = "/api/whoami-v2"
HEADERS: Final = UpstreamHeaders(
    (
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "hf-proxy"),
    )
)


async def identify(upstream: UpstreamClient, key: AccountKey, token: Secret) -> AccountToken:
    """Log in: ask whoami with the token and keep user, organisations, role and fine-grained scopes.

    Raises:
        AccountError: the Hub does not accept the token.
        UpstreamError: the Hub cannot be asked, or answers something else.
    """
    status, body = await _ask(upstream, AccountToken(_unknown(key, upstream.origin), token))
    if status in {401, 403}:
        raise AccountError("the Hub does not accept this token; copy it again and run: hf-proxy login")
    try:
        return AccountToken(_account(key, upstream.origin, json.loads(body)), token)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _unexpected_status(upstream, status) from None


async def is_revoked(upstream: UpstreamClient, held: AccountToken) -> bool:
    """Whether the Hub no longer accepts an account's token. Only its plain yes or no counts.

    Raises:
        AccountError: the account was logged in for another origin.
        UpstreamError: the Hub cannot be asked, or answers something else.
    """
    status, _ = await _ask(upstream, held)
    if status not in {200, 401}:
        raise _unexpected_status(upstream, status)
    return status == 401


async def _ask(upstream: UpstreamClient, asking: AccountToken) -> tuple[int, bytes]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS), await upstream.send("GET", TARGET, HEADERS, None, asking) as answer:
            return answer.status, await answer.read()
    except TimeoutError:
        raise UpstreamError(f"{upstream.origin.url} does not answer; try again") from None
    except aiohttp.ClientError:
        raise UpstreamError(f"{upstream.origin.url} broke off its answer; try again") from None


def _unexpected_status(upstream: UpstreamClient, status: int) -> UpstreamError:
    return UpstreamError(f"{upstream.origin.url} answered whoami with status {status}; try again")


def _unknown(key: AccountKey, origin: Origin) -> Account:
    return Account(uid=key.uid, name=key.name, origin=origin, user="", user_id="", fullname="", role="")


def _account(key: AccountKey, origin: Origin, who: dict[str, object]) -> Account:
    """Read the answer of whoami-v2 (its shape: docs/hub-protocol.md#whoami)."""
    access = _as_dict(_as_dict(who.get("auth")).get("accessToken"))
    return Account(
        uid=key.uid,
        name=key.name,
        origin=origin,
        user=str(who["name"]),
        user_id=str(who.get("id", "")),
        fullname=str(who.get("fullname") or who["name"]),
        role=str(access.get("role", "unknown")),
        orgs=tuple((str(org["name"]), str(org.get("id", ""))) for org in map(_as_dict, _as_list(who.get("orgs")))),
        scopes=_scopes(_as_dict(access.get("fineGrained"))),
    )


def _scopes(fine: dict[str, object]) -> tuple[str, ...]:
    """A fine-grained token's rights, one text an entity: `model me/demo: repo.content.read, repo.write`."""
    scoped = []
    for one in map(_as_dict, _as_list(fine.get("scoped"))):
        entity = _as_dict(one.get("entity"))
        rights = ", ".join(map(str, _as_list(one.get("permissions"))))
        scoped.append(f"{entity.get('type')} {entity.get('name', entity.get('_id'))}: {rights}")
    everywhere = ", ".join(map(str, _as_list(fine.get("global"))))
    return (*scoped, *([f"everywhere: {everywhere}"] if everywhere else []))


def _as_dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
