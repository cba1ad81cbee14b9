"""Passing the Hub's answer on: as it is, but for what names the Hub, and never with the token in it."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import aiohttp

from hfproxy.core.http import token_echo
from hfproxy.core.http.headers import Headers, with_header
from hfproxy.core.hub import rewrite
from hfproxy.core.hub.rewrite import UrlMap
from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.decision import AllowAnonymous, Decision, Deny, Refusal
from hfproxy.daemon.accounts.model import AccountToken
from hfproxy.daemon.listen.fast_http import FastResponse
from hfproxy.daemon.listen.messages import IncomingRequest, OutgoingResponse, ResponseHead
from hfproxy.daemon.proxy import refusals, splice
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError
from hfproxy.daemon.proxy.exchange import Exchange
from hfproxy.daemon.proxy.refusals import UNAUTHORIZED
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.errors import UpstreamError

# Bodies up to here are looked into; larger ones and file content pass as they are (docs/threat-model.md#t13).
MAX_INSPECTED_BYTES: Final = 1024 * 1024
XET_INFO: Final = "application/vnd.xet-fileinfo+json"
TEXTUAL: Final = ("application/json", "text/", "application/vnd.git-lfs+json", XET_INFO)
# Codes after which "your credential does not cover this" may be the reason of an anonymous no.
EXPLAINED_CODES: Final = frozenset({"RepoNotFound", "GatedRepo"})
# The Hub's words for a token that it no longer knows (docs/hub-protocol.md#errors).
DEAD: Final = "Invalid credentials in Authorization header"
NO_BODY: Final = frozenset({204, 304})


@dataclass(slots=True)
class ResponseRelay:
    """The answer to one exchange on its way. `held`: whose token must not be in it; `more`: headers to add."""

    exchange: Exchange
    urls: UrlMap
    decision: Decision
    account_token: AccountToken | None
    meter: ByteMeter
    extra_headers: Headers = ()
    response_kind: ResponseKind = field(init=False)
    accept: str = field(init=False)
    status: int = 0

    def __post_init__(self) -> None:
        self.response_kind, self.accept = self.exchange.send_response, self.exchange.request.headers.accept

    @property
    def needs_identity_encoding(self) -> bool:
        """Whether the body will be rewritten, so that the Hub must not compress it."""
        return self.response_kind is ResponseKind.LFS or XET_INFO in self.accept

    async def relay(self, request: IncomingRequest, upstream: UpstreamResponse) -> OutgoingResponse | Deny:
        """Send the answer to the client.

        Raises:
            UpstreamError: the token is in it, or the Hub broke off before anything was sent.
            OverLimitError: the grant's limit was reached in the middle of it; the connection is cut.
        """
        self.status = upstream.status
        names_hub = not rewrite.URL_HEADERS.isdisjoint(upstream.fields)
        down = rewrite.headers(upstream.client_headers, self.urls) if names_hub else upstream.client_headers
        head = ResponseHead(self.status, down + self.extra_headers)
        self._refuse_token_echo(head.wire)
        if self.status == UNAUTHORIZED and self.response_kind in {ResponseKind.GIT, ResponseKind.LFS}:
            return self._unauthorized()
        if request.method == "HEAD" or self.status in NO_BODY:
            return await request.send_response(self._with_explanation(head, upstream), upstream.buffered or b"")
        if not self._is_inspected(upstream):
            self.meter.check_quota(upstream.content_length)
            return await self._stream(
                request, upstream, self._with_explanation(head, upstream), upstream.buffered or b""
            )
        if upstream.buffered is not None:
            return await self._send_buffered(request, upstream, head, upstream.buffered)
        self.meter.check_quota(upstream.content_length)
        body, is_all = await _read_prefix(upstream)
        if not is_all:
            return await self._stream(request, upstream, head, body)
        return await self._send_buffered(request, upstream, head, body)

    def _unauthorized(self) -> Deny:
        """git would ask a person for a password, git-lfs ask the Hub again, so they get a no that is final."""
        anonymous = isinstance(self.decision, AllowAnonymous)
        return Deny(Refusal.SCOPE if anonymous else Refusal.ACCOUNT, self._why())

    def _why(self) -> str:
        """What the Hub cannot know of its no: it was asked without the token, or the token is no longer good."""
        if isinstance(self.decision, AllowAnonymous):
            return self.decision.why
        name = self.account_token.account.name if self.account_token is not None else ""
        return f"the Hub no longer accepts the token of account '{name}'; run: hf-proxy login"

    def _is_inspected(self, upstream: UpstreamResponse) -> bool:
        """API answers and errors that are text. Events are passed on as they come."""
        is_file = self.response_kind is ResponseKind.FILE and upstream.status < 300 and XET_INFO not in self.accept
        if self.response_kind is ResponseKind.EVENTS and upstream.status < 300:
            return False
        return not is_file and _is_text(upstream.fields.get("content-type", ""))

    def _refuse_token_echo(self, data: bytes) -> None:
        if self.account_token is not None and token_echo.occurs(self.account_token.echo_patterns, data):
            raise UpstreamError(
                "the Hub's answer held the account's token, so it was not passed on; see: hf-proxy audit"
            )

    async def _send_buffered(
        self, request: IncomingRequest, upstream: UpstreamResponse, head: ResponseHead, body: bytes
    ) -> OutgoingResponse:
        """A short body that was read: looked into, rewritten where it must be, sent with its length."""
        encoding = upstream.fields.get("content-encoding", "")
        plain = token_echo.decompressed(body, encoding, 16 * MAX_INSPECTED_BYTES) if encoding else body
        changed = body if plain is None else self._rewritten(plain, upstream)
        self._refuse_token_echo(changed)  # an LFS batch may hold the token where the credential was put in its place
        head = self._with_explanation(head, upstream)
        if plain is not None and changed != plain:
            body = changed
            head = ResponseHead(
                head.status, tuple(pair for pair in head.pairs if pair[0].lower() != "content-encoding")
            )
        self.meter.count_down(len(body))
        if upstream.fields.get("content-length") != str(len(body)):
            head = ResponseHead(head.status, with_header(head.pairs, "Content-Length", str(len(body))))
        return await request.send_response(head, body)

    def _rewritten(self, body: bytes, upstream: UpstreamResponse) -> bytes:
        if (sentence := self._explanation(upstream)) is not None:
            return refusals.with_explanation(body, sentence)
        if self.response_kind is ResponseKind.LFS:
            return rewrite.lfs_batch(body, self.urls, self.exchange.credential)
        return rewrite.xet_fileinfo(body, self.urls) if XET_INFO in self.accept else body

    def _with_explanation(self, head: ResponseHead, upstream: UpstreamResponse) -> ResponseHead:
        """Say why, where the Hub's own words cannot."""
        sentence = self._explanation(upstream)
        if sentence is None:
            return head
        said = next((value for name, value in head.pairs if name.lower() == "x-error-message"), "")  # looked into
        objections = self.decision.objections if isinstance(self.decision, AllowAnonymous) else ()
        warned = (*head.pairs, ("X-HF-Warning", refusals.warning(objections, sentence)))
        return ResponseHead(head.status, with_header(warned, "X-Error-Message", f"{said} ({sentence})".strip()))

    def _explanation(self, upstream: UpstreamResponse) -> str | None:
        """What to add to an answer, if anything."""
        if self.status < 400:
            return None
        if isinstance(self.decision, AllowAnonymous):
            return self._why() if upstream.field("x-error-code") in EXPLAINED_CODES and self.decision.why else None
        dead = self.status == UNAUTHORIZED and upstream.field("x-error-message").startswith(DEAD)
        return self._why() if dead and self.account_token is not None else None

    async def _stream(
        self, request: IncomingRequest, upstream: UpstreamResponse, head: ResponseHead, start: bytes
    ) -> OutgoingResponse:
        response = await request.start_response(head)
        try:
            if start:
                await self._send(response, start)
            if isinstance(response, FastResponse):
                await splice.splice_body(upstream, response, self.meter)
            if upstream.stream is not None:
                async for chunk in upstream.stream.iter_any():
                    await self._send(response, chunk)
        except (OverLimitError, aiohttp.ClientError) as error:
            if request.transport is not None:
                request.transport.abort()  # half an answer must not look whole
            if isinstance(error, OverLimitError):
                raise
            raise ConnectionResetError from None
        await response.write_eof()
        return response

    async def _send(self, response: OutgoingResponse, chunk: bytes) -> None:
        self.meter.count_down(len(chunk))
        await response.write(chunk)


@lru_cache(maxsize=256)
def _is_text(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith(TEXTUAL) or kind.endswith("+json") or not kind


async def _read_prefix(upstream: UpstreamResponse) -> tuple[bytes, bool]:
    """The body up to the limit, and whether that is all of it."""
    content = upstream.stream
    if content is None:
        return b"", True
    parts: list[bytes] = []
    size = 0
    try:
        while size < MAX_INSPECTED_BYTES and not content.at_eof():
            part = await content.readany()
            parts.append(part)
            size += len(part)
    except aiohttp.ClientError:
        raise UpstreamError("the Hub broke off its answer; try again") from None
    return b"".join(parts), content.at_eof()
