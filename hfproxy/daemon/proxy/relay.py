"""Relays a Hub response to the client: URLs of the Hub rewritten, refusals explained, and never the token in it.

What is done with a response is decided by `core.hub.relay_plan`; this module carries the plan out (step 9).
"""

from dataclasses import dataclass, field
from typing import Final

import aiohttp

from hfproxy.core.http import token_echo
from hfproxy.core.http.headers import Headers, with_header
from hfproxy.core.hub import relay_plan, rewrite
from hfproxy.core.hub.relay_plan import BodyRewrite, BufferBody, RefuseResponse, SendHead
from hfproxy.core.hub.rewrite import UrlMap
from hfproxy.core.policy.decision import AllowAnonymous, Deny
from hfproxy.daemon.listen.fast_http import FastResponse
from hfproxy.daemon.listen.interface import IncomingRequest, OutgoingResponse, ResponseHead
from hfproxy.daemon.proxy import refusals, splice
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError
from hfproxy.daemon.proxy.exchange import Decided
from hfproxy.daemon.upstream.response import UpstreamResponse
from hfproxy.errors import UpstreamError

# Bodies up to this size are inspected; longer ones are streamed (docs/threat-model.md#t13).
MAX_INSPECTED_BYTES: Final = 1024 * 1024
# A gzip body may grow to this size to be inspected; of a longer one the beginning is.
MAX_DECOMPRESSED_BYTES: Final = 16 * MAX_INSPECTED_BYTES


@dataclass(slots=True)
class ResponseRelay:
    """The response to one request.

    Attributes:
        decided: The request, its route, and the account whose token must not be in the response.
        urls: Both ends of the proxy.
        meter: Counts the body against the grant.
        extra_headers: Added to the response's own.
        status: The Hub's status; 0 before it responded.
    """

    decided: Decided
    urls: UrlMap
    meter: ByteMeter
    extra_headers: Headers = ()
    status: int = field(default=0, init=False)

    async def relay(self, request: IncomingRequest, upstream: UpstreamResponse) -> OutgoingResponse | Deny:
        """Send the response to the client. Returns Deny if it is refused, with nothing sent.

        Raises:
            UpstreamError: The token is in it, or the Hub broke off before anything was sent.
            OverLimitError: The grant's limit was reached; in the middle of a body, the connection was aborted.
            ConnectionError: The client is gone, or the Hub broke off in the middle of the body.
        """
        self.status = status = upstream.status
        decided, pairs = self.decided, upstream.client_headers
        if not rewrite.URL_HEADERS.isdisjoint(upstream.fields):
            pairs = rewrite.headers(pairs, self.urls)
        head = ResponseHead(status, pairs + self.extra_headers)
        self._refuse_token_echo(head.wire)
        account = None if decided.account is None else decided.account.account.name
        kind, accept = decided.operation.route.response_kind, request.headers.accept
        plan = relay_plan.plan(request.method, kind, accept, decided.decision, account, status, upstream.fields)
        if isinstance(plan, BufferBody):
            return await self._buffer(request, upstream, head, plan)
        if isinstance(plan, RefuseResponse):
            return plan.deny
        if plan.explanation is not None:
            head = self._explained(head, plan.explanation)
        if isinstance(plan, SendHead):
            return await request.send_response(head, upstream.buffered or b"")
        self.meter.check_quota(upstream.content_length)
        return await self._stream(request, upstream, head, upstream.buffered or b"")

    def _refuse_token_echo(self, data: bytes) -> None:
        account = self.decided.account
        if account is not None and token_echo.occurs(account.echo_patterns, data):
            raise UpstreamError(
                "the Hub's answer held the account's token, so it was not passed on; see: hf-proxy audit"
            )

    async def _buffer(
        self, request: IncomingRequest, upstream: UpstreamResponse, head: ResponseHead, plan: BufferBody
    ) -> OutgoingResponse:
        """Read the body and send it inspected; a body that is too long for that is streamed, and not explained."""
        body = upstream.buffered
        if body is None:
            self.meter.check_quota(upstream.content_length)
            body, is_complete = await _read_prefix(upstream)
            if not is_complete:
                return await self._stream(request, upstream, head, body)
        encoding = upstream.fields.get("content-encoding", "")
        plain = token_echo.decompressed(body, encoding, MAX_DECOMPRESSED_BYTES) if encoding else body
        changed = body if plain is None else self._changed(plain, plan)
        # After the rewrite, which puts the client's credential in place of a token that an LFS batch holds.
        self._refuse_token_echo(changed)
        if plan.explanation is not None:
            head = self._explained(head, plan.explanation)
        if plain is not None and changed != plain:
            body = changed
            uncompressed = tuple(pair for pair in head.pairs if pair[0].lower() != "content-encoding")
            head = ResponseHead(head.status, uncompressed)
        self.meter.count_down(len(body))
        if upstream.fields.get("content-length") != str(len(body)):
            head = ResponseHead(head.status, with_header(head.pairs, "Content-Length", str(len(body))))
        return await request.send_response(head, body)

    def _changed(self, body: bytes, plan: BufferBody) -> bytes:
        if plan.explanation is not None:
            return refusals.with_explanation(body, plan.explanation)
        if plan.rewrite is BodyRewrite.LFS_BATCH:
            return rewrite.lfs_batch(body, self.urls, self.decided.identified.credential)
        return rewrite.xet_fileinfo(body, self.urls) if plan.rewrite is BodyRewrite.XET_FILE_INFO else body

    def _explained(self, head: ResponseHead, explanation: str) -> ResponseHead:
        """Add a sentence to the Hub's `X-Error-Message`, and a warning for clients that do not show that header."""
        # From the head, not from the Hub's fields: this one was searched for the token.
        message = next((value for name, value in head.pairs if name.lower() == "x-error-message"), "")
        decision = self.decided.decision
        objections = decision.objections if isinstance(decision, AllowAnonymous) else ()
        warned = (*head.pairs, ("X-HF-Warning", refusals.warning(objections, explanation)))
        return ResponseHead(head.status, with_header(warned, "X-Error-Message", f"{message} ({explanation})".strip()))

    async def _stream(
        self, request: IncomingRequest, upstream: UpstreamResponse, head: ResponseHead, start: bytes
    ) -> OutgoingResponse:
        """Send the body as it arrives, after its `start`, which was read already."""
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
                request.transport.abort()  # without an end, so that half a body does not look whole
            if isinstance(error, OverLimitError):
                raise
            raise ConnectionResetError from None
        await response.write_eof()
        return response

    async def _send(self, response: OutgoingResponse, chunk: bytes) -> None:
        self.meter.count_down(len(chunk))
        await response.write(chunk)


async def _read_prefix(upstream: UpstreamResponse) -> tuple[bytes, bool]:
    """Return the body up to `MAX_INSPECTED_BYTES` and a piece, and whether that is all of it."""
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
