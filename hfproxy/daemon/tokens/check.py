"""What only the daemon can find out for `doctor`: whether the Hub is within reach, and what it says of the tokens.

One question without a token, so that the network is judged by itself; then whoami for each account of the open vault.
"""

import asyncio
import json
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from hfproxy.core.http.headers import UpstreamHeaders
from hfproxy.daemon.accounts.model import AccountToken
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, UpstreamError
from hfproxy.wire import Message

ANSWER_SECONDS: Final = 10
TARGET: Final = "/api/whoami-v2"
HEADERS: Final = UpstreamHeaders(
    (
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "hf-proxy"),
    )
)


async def check_hub(upstream: UpstreamClient) -> Message:
    """`{"origin", "why", "ms", "skew"}`: null for `why` where the Hub answers; `skew` in seconds, positive where this
    machine's clock is ahead of the Hub's `Date`, null where there is none."""
    began = time.monotonic()
    try:
        _, date, _ = await _ask(upstream, None)
    except UpstreamError as error:
        return {"origin": upstream.origin.url, "why": str(error), "ms": None, "skew": None}
    ms = round((time.monotonic() - began) * 1000)
    return {"origin": upstream.origin.url, "why": None, "ms": ms, "skew": _clock_skew(date)}


async def check_token(upstream: UpstreamClient, held: AccountToken) -> Message:
    """`{"name", "user", "role", "origin", "state", "why", "created_at", "expires_at"}`. State is `good`, `dead`, or
    `unknown` and then `why`; the times are seconds since the epoch, null where the Hub does not say."""
    account = held.account
    known: Message = {"name": account.name, "user": account.user, "role": account.role, "origin": account.origin.url}
    unsaid: Message = {"why": None, "created_at": None, "expires_at": None}
    if account.revoked_at is not None:
        return {**known, **unsaid, "state": "dead"}
    try:
        status, _, body = await _ask(upstream, held)
    except (UpstreamError, AccountError) as error:
        return {**known, **unsaid, "state": "unknown", "why": str(error)}
    if status == 200:
        return {**known, **unsaid, **_times(body), "state": "good"}
    why = None if status == 401 else f"{upstream.origin.url} answered whoami with status {status}; try again"
    return {**known, **unsaid, "state": "dead" if status == 401 else "unknown", "why": why}


async def _ask(upstream: UpstreamClient, held: AccountToken | None) -> tuple[int, str, bytes]:
    """Status, `Date` and body of whoami's answer. Raises UpstreamError, AccountError."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS), await upstream.send("GET", TARGET, HEADERS, None, held) as answer:
            return answer.status, answer.field("date"), await answer.read()
    except TimeoutError:
        raise UpstreamError(
            f"{upstream.origin.url} does not answer; check the network, then: hf-proxy doctor"
        ) from None
    except aiohttp.ClientError:
        raise UpstreamError(f"{upstream.origin.url} broke off its answer; try again: hf-proxy doctor") from None


def _clock_skew(date: str) -> int | None:
    try:
        return round(time.time() - parsedate_to_datetime(date).timestamp())
    except ValueError:
        return None


def _times(body: bytes) -> Message:
    """When the token was made and when it ends: whoami's `auth.accessToken.createdAt` and `auth.expiresAt`."""
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
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
