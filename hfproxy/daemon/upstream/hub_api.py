"""The daemon's own requests to the Hub: whoami and the revocation of a token.

Everything else that is sent to the Hub is a client's request (`daemon.proxy.forward`). The answers are returned
uninterpreted: `daemon.tokens` decides what a status means.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final, NamedTuple

import aiohttp

from hfproxy.core.http.headers import UpstreamHeaders
from hfproxy.daemon.accounts.model import AccountToken, Origin
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.errors import UpstreamError

# From the first byte of the request to the last byte of the answer's body.
TIMEOUT_S: Final = 15
WHOAMI_PATH: Final = "/api/whoami-v2"
# Takes the token itself as the only proof (docs/hub-protocol.md#minting).
REVOKE_PATH: Final = "/api/credentials/revoke"
HEADERS: Final = UpstreamHeaders(
    (
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "hf-proxy"),
    )
)


class WhoamiReply(NamedTuple):
    """The Hub's answer to whoami: status, `Date` header (empty if there is none) and body."""

    status: int
    date: str
    body: bytes


class HubApi:
    """Asks the Hub in the daemon's own name, with one timeout and one mapping of errors."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client

    @property
    def origin(self) -> Origin:
        """The Hub's origin."""
        return self._client.origin

    async def whoami(self, token: AccountToken | None) -> WhoamiReply:
        """Ask the Hub who the owner of a token is.

        Args:
            token: None to ask without a token, which the Hub answers with 401.

        Raises:
            AccountError: the account was logged in for another origin.
            UpstreamError: the Hub cannot be reached, or does not answer within TIMEOUT_S seconds.
        """
        answer, body = await self._read(self._client.send("GET", WHOAMI_PATH, HEADERS, None, token))
        return WhoamiReply(answer.status, answer.field("date"), body)

    async def revoke(self, token: AccountToken) -> int:
        """Ask the Hub to revoke a token; return the status of its answer, which alone proves nothing.

        Raises:
            AccountError: the account was logged in for another origin.
            UpstreamError: the Hub cannot be reached, or does not answer within TIMEOUT_S seconds.
        """
        answer, _ = await self._read(self._client.post_token(REVOKE_PATH, HEADERS, token))
        return answer.status

    async def _read(self, sending: Awaitable[UpstreamResponse]) -> tuple[UpstreamResponse, bytes]:
        try:
            async with asyncio.timeout(TIMEOUT_S), await sending as answer:
                return answer, await answer.read()
        except TimeoutError:
            raise UpstreamError(f"{self.origin.url} does not answer; check the network, then try again") from None
        except aiohttp.ClientError:
            raise UpstreamError(f"{self.origin.url} broke off its answer; try again") from None
