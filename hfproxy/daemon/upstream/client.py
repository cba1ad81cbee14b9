"""The HTTP client for the Hub, and the only place where a token is put into a request.

A token is sent to the origin that its account was logged in for, over TLS that is verified here, and to no other. No
redirect is followed, no cookie is stored, no netrc is read and no TLS key log is written. Requests without a body go
over the `ConnectionPool`; requests with a body, and all requests through a corporate proxy, over an aiohttp session.
"""

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
from hfproxy.core.http.headers import Headers, UpstreamHeaders
from hfproxy.core.http.limits import MAX_HEADER_BYTES
from hfproxy.core.http.origin import same_origin
from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.daemon.accounts.model import AccountToken, Origin
from hfproxy.daemon.runtime.eager import needs_task
from hfproxy.daemon.upstream.pool import CONNECT_SECONDS, SAFE_METHODS, ConnectionPool
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.errors import AccountError, ConfigError, UpstreamError

# Headers that aiohttp adds where a request lacks them. The Hub is to see the client's headers only.
SKIPPED_AUTO_HEADERS: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

Body = AsyncIterable[bytes] | bytes | None


class _SessionResponse(UpstreamResponse):
    """A response of the aiohttp session."""

    __slots__ = ("response",)
    response: aiohttp.ClientResponse

    async def release(self) -> None:
        self.response.release()
        await self.response.wait_for_close()


class UpstreamClient:
    """Sends requests to one origin."""

    def __init__(self, settings: Settings) -> None:
        """Load the certificates, and the corporate proxy from the daemon's own environment.

        Raises:
            ConfigError: `upstream.ca_file` is not a readable PEM certificate.
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
        """Close all connections that are not in use by a request."""
        self._pool.close()
        await self._session.close()

    def accepts_token_of(self, account_token: AccountToken) -> bool:
        """Return whether the account was logged in for this origin, with the same additional CA."""
        origin = account_token.account.origin
        return origin == self.origin or (origin.ca == self.origin.ca and same_origin(origin.url, self.origin.url))

    async def send(
        self, method: str, raw_target: str, headers: UpstreamHeaders, body: Body, account_token: AccountToken | None
    ) -> UpstreamResponse:
        """Send one request; return as soon as the response head is there.

        Args:
            method: the HTTP method.
            raw_target: the request target, sent byte for byte.
            headers: the request headers without `Authorization` and `Host`.
            body: None for a request without a body.
            account_token: the token to authenticate with; None to send the request without one.

        Raises:
            AccountError: the account was logged in for another origin.
            UpstreamError: the Hub cannot be reached, or its TLS certificate is not valid.
        """
        authorization = None if account_token is None else f"Bearer {self._token(account_token)}"
        try:
            if body is None and method in SAFE_METHODS and self._proxy is None:
                return await self._pool.send(method, raw_target, headers, authorization)
            pairs = headers.pairs if authorization is None else (*headers.pairs, ("Authorization", authorization))
            response = await self._request(method, self._url(raw_target), pairs, body)
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            raise UpstreamError(_describe_proxy_error(error, self._proxy or "")) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(_describe_error(error, self.origin.url)) from None
        session_response = _SessionResponse.of(response.status, tuple(response.headers.items()), response.content)
        session_response.response = response
        return session_response

    async def post_token(
        self, raw_target: str, headers: UpstreamHeaders, account_token: AccountToken
    ) -> UpstreamResponse:
        """POST `{"credentials": [TOKEN]}`, without an `Authorization` header.

        Raises:
            AccountError: the account was logged in for another origin.
            UpstreamError: the Hub cannot be reached, or its TLS certificate is not valid.
        """
        body = json.dumps({"credentials": [self._token(account_token)]}).encode()
        pairs = (*headers.pairs, ("Content-Type", "application/json"))
        return await self.send("POST", raw_target, UpstreamHeaders(pairs), body, None)

    @needs_task  # the session's connect timeout
    async def _request(self, method: str, url: URL, headers: Headers, body: Body) -> aiohttp.ClientResponse:
        return await self._session.request(
            method, url, headers=headers, data=body, allow_redirects=False, proxy=self._proxy
        )

    def _url(self, raw_target: str) -> URL:
        url = URL(self.origin.url + raw_target, encoded=True)
        if url.raw_path_qs != raw_target:
            raise UpstreamError(f"this address would not reach the Hub as it was checked; nothing was sent{SEE_AUDIT}")
        return url

    def _token(self, account_token: AccountToken) -> str:
        """Return the text of a token for a request: `send` puts it into a header, `post_token` into a body."""
        account = account_token.account
        if not self.accepts_token_of(account_token):
            raise AccountError(
                f"account '{account.name}' was logged in for {account.origin.url} with its certificates of"
                f" then, not for {self.origin.url}; run: hf-proxy login"
            )
        return account_token.token.reveal()


def _tls(settings: Settings) -> tuple[ssl.SSLContext, str | None]:
    """Return the TLS context, and the SHA-256 of the additional CA file (None if there is none)."""
    # Not ssl.create_default_context(): it writes the session keys to the file that SSLKEYLOGFILE names.
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
    """Return the URL of the proxy that the environment names for an https Hub.

    None for http: the proxy would read the token, and http is for a Hub on a loopback address, which needs no proxy.
    """
    parts = urlsplit(hub)
    if parts.scheme != "https" or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies_environment()
    return proxies.get("https") or proxies.get("all")


def _describe_proxy_error(error: aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError, proxy: str) -> str:
    address = urlsplit(proxy).netloc.rpartition("@")[2]  # without user and password
    problem = f"answers {error.status}" if isinstance(error, aiohttp.ClientHttpProxyError) else "cannot be reached"
    return f"the proxy {address} {problem}; check HTTPS_PROXY (or ALL_PROXY, NO_PROXY) where the daemon is started"


def _describe_error(error: aiohttp.ClientError | OSError, origin: str) -> str:
    match error:
        case (
            aiohttp.ClientConnectorCertificateError()
            | aiohttp.ClientSSLError()
            | aiohttp.ServerFingerprintMismatch()
            | ssl.SSLError()
        ):
            return f"the TLS certificate of {origin} is not valid; check upstream.hub and upstream.ca_file"
        case aiohttp.ClientError() if not isinstance(error, aiohttp.ClientConnectorError):
            return f"{origin} broke off the connection; try again"
        case _:
            return f"{origin} cannot be reached; check the network, or upstream.hub in config.toml"
