"""The allowed request on its way to the Hub, and the response back to the client (steps 8 to 10)."""

from collections.abc import AsyncIterator

from hfproxy.core.hub import relay_plan
from hfproxy.core.hub.rewrite import UrlMap
from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.decision import Allow, Deny, Refusal
from hfproxy.daemon.accounts.model import AccountToken
from hfproxy.daemon.listen.interface import IncomingRequest, OutgoingResponse
from hfproxy.daemon.proxy import refusals
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError
from hfproxy.daemon.proxy.exchange import Decided, Operation
from hfproxy.daemon.proxy.recorder import Recorded, RequestRecorder
from hfproxy.daemon.proxy.refusals import UNAUTHORIZED
from hfproxy.daemon.proxy.relay import ResponseRelay
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, UpstreamError


class Forwarder:
    """Sends allowed requests, relays the responses, and records how each ended."""

    def __init__(
        self, upstream: UpstreamClient, urls: UrlMap, broker: Broker, recorder: RequestRecorder, health: TokenHealth
    ) -> None:
        self._upstream, self._urls, self._broker, self._recorder = upstream, urls, broker, recorder
        self._health = health

    async def forward(self, decided: Decided, recorded: Recorded) -> OutgoingResponse | Deny:
        """Forward one request. Returns the response that was sent; Deny if the client has got none so far.

        Raises:
            ConnectionError: The client is gone, or its connection was cut in the middle of the response.
            JournalError: The end could not be recorded.
        """
        grant = decided.identified.grant
        meter = ByteMeter(self._broker, grant)
        warning = None if grant is None else grant.warning(decided.decided_at)
        extra = () if warning is None else (("X-HF-Warning", f"hf-proxy; {warning}"),)
        relay = ResponseRelay(decided, self._urls, meter, extra)
        outcome: OutgoingResponse | Deny | None = None
        try:
            outcome = await self._send_and_relay(decided, relay)
        except OverLimitError as error:
            outcome = error.deny
        except UpstreamError as error:  # also where a limit ended the request body, which the Hub answers by hanging up
            outcome = meter.refused or Deny(Refusal.UPSTREAM, str(error))
        except AccountError as error:
            outcome = Deny(Refusal.ACCOUNT, str(error))
        finally:  # step 10, whatever happened: a lost client and a cancelled task are recorded too
            deny = outcome if isinstance(outcome, Deny) else meter.refused
            status = relay.status if deny is None else refusals.status_of(deny)
            self._recorder.completed(recorded, status, meter.up, meter.down, None if deny is None else deny.refusal)
        return outcome

    async def _send_and_relay(self, decided: Decided, relay: ResponseRelay) -> OutgoingResponse | Deny:
        """Step 8; the token is attached by `UpstreamClient.send`, and only if the decision is Allow."""
        request, kind = decided.identified.admitted.request, decided.operation.route.response_kind
        headers = request.upstream_headers
        if relay_plan.needs_identity_encoding(kind, request.headers.accept):
            headers = headers.uncompressed
        elif kind is ResponseKind.API:
            headers = headers.inspectable
        body = _upstream_body(request, decided.operation)
        if isinstance(body, bytes):
            relay.meter.count_up(len(body))
        elif body is not None:
            body = relay.meter.metered(body)
        token: AccountToken | None = decided.account if isinstance(decided.decision, Allow) else None
        upstream = await self._upstream.send(request.method, request.raw_path, headers, body, token)
        if upstream.status == UNAUTHORIZED and token is not None:
            self._health.suspect(token)
        try:
            return await relay.relay(request, upstream)
        finally:
            await upstream.release()


def _upstream_body(request: IncomingRequest, operation: Operation) -> bytes | AsyncIterator[bytes] | None:
    """Return the request body with its original bytes, read already or not; None if there is none."""
    if operation.push is not None:
        return operation.push.body()
    if operation.body is not None:
        return operation.body
    return None if request.length == 0 else request.body()
