"""The way to the Hub, and the one place where a token meets a request.

The token goes to the origin its account was logged in for, over TLS that is checked here, and nowhere
else: no redirect is followed, no cookie kept, no netrc read, no key log written.
"""

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from yarl import URL

from hfproxy.config import UpstreamSettings as Settings
from hfproxy.core.http.headers import UpstreamHeaders
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.core.hub.rewrite import same_origin
from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.daemon.accounts.model import AccountToken, Origin
from hfproxy.daemon.upstream.pool import CONNECT_SECONDS, SAFE_METHODS, ConnectionPool
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.errors import AccountError, ConfigError, UpstreamError

# What the client library would add by itself; the client's own headers go up, and nothing else.
SKIPPED_AUTO_HEADERS: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

REVOKE: Final = "/api/credentials/revoke"
REVOKE_HEADERS: Final = UpstreamHeaders(
    (
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("Content-Type", "application/json"),
        ("User-Agent", "hf-proxy"),
    )
)

Body = AsyncIterable[bytes] | bytes | None


class _SessionResponse(UpstreamResponse):
    """An answer that aiohttp's session has read."""

    __slots__ = ("response",)
    response: aiohttp.ClientResponse

    async def release(self) -> None:
        self.response.release()
        await self.response.wait_for_close()


class UpstreamClient:
    """One session to one origin."""

    def __init__(self, settings: Settings) -> None:
        """Read the certificates, and the corporate proxy of the daemon's own environment.

        Raises:
            ConfigError: `ca_file` cannot be used.
        """
        context, ca = _tls(settings)
        self.origin = Origin(settings.hub, ca)
        self._proxy = _corporate_proxy(settings.hub)
        self._pool = ConnectionPool(settings.hub, context)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=SKIPPED_AUTO_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def close(self) -> None:
        """Close all connections."""
        self._pool.close()
        await self._session.close()

    def accepts_token_of(self, held: AccountToken) -> bool:
        """Whether an account's token may be sent to this upstream."""
        origin = held.account.origin
        return origin == self.origin or (origin.ca == self.origin.ca and same_origin(origin.url, self.origin.url))

    async def send(
        self, method: str, raw_target: str, up: UpstreamHeaders, body: Body, held: AccountToken | None
    ) -> UpstreamResponse:
        """Send one request and return the answer's head; the body is still to be read. `held` None: without token.

        Raises:
            AccountError: the account was logged in for another origin.
            UpstreamError: the Hub cannot be reached, or is not who it should be.
        """
        bearer = None if held is None else f"Bearer {self._token(held)}"
        try:
            if body is None and method in SAFE_METHODS and self._proxy is None:
                return await self._pool.send(method, raw_target, up, bearer)
            asking = self._session.request(
                method,
                self._url(raw_target),
                headers=up.pairs if bearer is None else (*up.pairs, ("Authorization", bearer)),
                data=body,
                allow_redirects=False,
                proxy=self._proxy,
            )
            response = await asyncio.create_task(asking)  # it counts seconds, which takes a task (`daemon.driven`)
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            raise UpstreamError(_describe_proxy_error(error, self._proxy or "")) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(_describe_error(error, self.origin.url)) from None
        answer = _SessionResponse.of(response.status, tuple(response.headers.items()), response.content)
        answer.response = response
        return answer

    async def revoke(self, held: AccountToken) -> UpstreamResponse:
        """Ask the Hub to end an account's token, which needs no other proof than the token itself
        (docs/hub-protocol.md#minting).

        Raises as `send`.
        """
        body = json.dumps({"credentials": [self._token(held)]}).encode()
        return await self.send("POST", REVOKE, REVOKE_HEADERS, body, None)

    def _url(self, raw_target: str) -> URL:
        url = URL(self.origin.url + raw_target, encoded=True)
        if url.raw_path_qs != raw_target:
            raise UpstreamError(f"this address would not reach the Hub as it was checked; nothing was sent{SEE_AUDIT}")
        return url

    def _token(self, held: AccountToken) -> str:
        """The only way of a token to a request: `send` puts it into the header, `revoke` into the body."""
        if not self.accepts_token_of(held):
            raise AccountError(
                f"account '{held.account.name}' was logged in for {held.account.origin.url} with its certificates of"
                f" then, not for {self.origin.url}; run: hf-proxy login"
            )
        return held.token.reveal()


def _tls(settings: Settings) -> tuple[ssl.SSLContext, str | None]:
    """Built by hand: `ssl.create_default_context` writes session keys where SSLKEYLOGFILE says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    if settings.ca_file is None:
        return context, None
    try:
        pem = Path(settings.ca_file).read_bytes()
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (OSError, ValueError, ssl.SSLError):
        raise ConfigError(f"upstream.ca_file '{settings.ca_file}' is not a readable PEM certificate") from None
    return context, hashlib.sha256(pem).hexdigest()


def _corporate_proxy(hub: str) -> str | None:
    """For https only: a proxy would read a plain request, and a local hub needs none."""
    parts = urlsplit(hub)
    if parts.scheme != "https" or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies_environment()
    return proxies.get("https") or proxies.get("all")


def _describe_proxy_error(error: aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError, proxy: str) -> str:
    """Its address may hold a password, so only host and port are named."""
    place = urlsplit(proxy).netloc.rpartition("@")[2]
    what = f"answers {error.status}" if isinstance(error, aiohttp.ClientHttpProxyError) else "cannot be reached"
    return f"the proxy {place} {what}; check HTTPS_PROXY (or ALL_PROXY, NO_PROXY) where the daemon is started"


def _describe_error(error: aiohttp.ClientError | OSError, origin: str) -> str:
    match error:
        case (
            aiohttp.ClientConnectorCertificateError()
            | aiohttp.ClientSSLError()
            | aiohttp.ServerFingerprintMismatch()
            | ssl.SSLError()
        ):
            return f"the TLS certificate of {origin} is not to be trusted; check upstream.hub and upstream.ca_file"
        case aiohttp.ClientError() if not isinstance(error, aiohttp.ClientConnectorError):
            return f"{origin} broke off the connection; try again"
        case _:
            return f"{origin} cannot be reached; check the network, or upstream.hub in config.toml"
