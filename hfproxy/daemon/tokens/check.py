"""The checks of `hf-proxy doctor` that only the daemon can make: the Hub, and each account's token at the Hub.

The Hub is asked once without a token, so that the network is judged on its own, and then once for each account.
"""

import json
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hfproxy.daemon.accounts.model import AccountToken
from hfproxy.daemon.tokens.identify import unexpected_status
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, UpstreamError
from hfproxy.wire import Message


async def check_hub(hub: HubApi) -> Message:
    """Ask the Hub without a token.

    Returns:
        `{"origin", "why", "ms", "skew"}`: `why` is null if the Hub answers, `ms` its response time, `skew` how many
        seconds this machine's clock is ahead of the Hub's `Date` header, null if there is none.
    """
    origin, start = hub.origin.url, time.monotonic()
    try:
        reply = await hub.whoami(None)
    except UpstreamError as error:
        return {"origin": origin, "why": str(error), "ms": None, "skew": None}
    ms = round((time.monotonic() - start) * 1000)
    return {"origin": origin, "why": None, "ms": ms, "skew": _clock_skew(reply.date)}


async def check_token(hub: HubApi, account_token: AccountToken) -> Message:
    """Ask the Hub whether it accepts an account's token.

    Returns:
        `{"name", "user", "role", "origin", "state", "why", "created_at", "expires_at"}`: `state` is `good`, `dead` or
        `unknown`, and `why` is null unless it is unknown; the times are seconds since the epoch, null if the Hub gives
        none.
    """
    account = account_token.account
    report: Message = {"name": account.name, "user": account.user, "role": account.role, "origin": account.origin.url}
    report |= {"why": None, "created_at": None, "expires_at": None}
    if account.revoked_at is not None:
        return {**report, "state": "dead"}
    try:
        reply = await hub.whoami(account_token)
    except (UpstreamError, AccountError) as error:
        return {**report, "state": "unknown", "why": str(error)}
    match reply.status:
        case 200:
            return {**report, **_times(reply.body), "state": "good"}
        case 401:
            return {**report, "state": "dead"}
        case status:
            return {**report, "state": "unknown", "why": str(unexpected_status(hub, status))}


def _clock_skew(date: str) -> int | None:
    try:
        return round(time.time() - parsedate_to_datetime(date).timestamp())
    except ValueError:
        return None


def _times(body: bytes) -> Message:
    """Read when a token was created and when it expires: `auth.accessToken.createdAt` and `auth.expiresAt`."""
    try:
        auth = json.loads(body)["auth"]
        return {
            "created_at": _timestamp(auth["accessToken"].get("createdAt")),
            "expires_at": _timestamp(auth.get("expiresAt")),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _timestamp(text: object) -> int | None:
    if not isinstance(text, str):
        return None
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
