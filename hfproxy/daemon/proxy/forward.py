"""The way of an allowed request to the Hub and of its answer back (docs/architecture.md)."""

from hfproxy.core.hub.rewrite import UrlMap
from hfproxy.core.hub.route_table import ResponseKind
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.decision import Allow, Decision, Deny, Refusal
from hfproxy.daemon.accounts.model import AccountToken
from hfproxy.daemon.listen.messages import OutgoingResponse
from hfproxy.daemon.proxy import refusals
from hfproxy.daemon.proxy.byte_meter import ByteMeter, OverLimitError
from hfproxy.daemon.proxy.exchange import Exchange
from hfproxy.daemon.proxy.recorder import RequestRecorder
from hfproxy.daemon.proxy.refusals import UNAUTHORIZED
from hfproxy.daemon.proxy.relay import ResponseRelay
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, UpstreamError


class Forwarder:
    """Sends what was allowed, passes the answer on, and writes down how it ended."""

    def __init__(
        self, upstream: UpstreamClient, places: UrlMap, broker: Broker, recorder: RequestRecorder, standing: TokenHealth
    ) -> None:
        self._upstream, self._urls, self._broker, self._recorder = upstream, places, broker, recorder
        self._health = standing

    async def forward(
        self, exchange: Exchange, decision: Decision, held: AccountToken | None
    ) -> OutgoingResponse | Deny:
        """Forward one request; `held` is whose token must not come back, and is sent if the decision is Allow."""
        meter = ByteMeter(self._broker, exchange.grant)
        warning = exchange.grant and exchange.grant.warning(exchange.at)
        more = (("X-HF-Warning", f"hf-proxy; {warning}"),) if warning else ()
        relay = ResponseRelay(exchange, self._urls, decision, held, meter, more)
        outcome: OutgoingResponse | Deny | None = None
        try:
            outcome = await self._send_and_relay(exchange, relay, held if isinstance(decision, Allow) else None)
        except OverLimitError as error:
            outcome = error.deny
        except UpstreamError as error:
            outcome = meter.refused or Deny(Refusal.UPSTREAM, str(error))
        except AccountError as error:
            outcome = Deny(Refusal.ACCOUNT, str(error))
        finally:
            deny = outcome if isinstance(outcome, Deny) else meter.refused
            status = refusals.status_of(deny) if deny is not None else relay.status
            self._recorder.completed(exchange, status, meter.up, meter.down, None if deny is None else deny.refusal)
        return outcome

    async def _send_and_relay(
        self, exchange: Exchange, relay: ResponseRelay, token: AccountToken | None
    ) -> OutgoingResponse | Deny:
        request = exchange.request
        up = request.upstream_headers
        if relay.needs_identity_encoding:
            up = up.uncompressed
        elif exchange.send_response is ResponseKind.API:
            up = up.inspectable
        body = exchange.upstream_body()
        if isinstance(body, bytes):
            relay.meter.count_up(len(body))
        elif body is not None:
            body = relay.meter.metered(body)
        upstream = await self._upstream.send(request.method, request.raw_path, up, body, token)
        if upstream.status == UNAUTHORIZED and token is not None:
            self._health.suspect(token)
        try:
            return await relay.relay(request, upstream)
        finally:
            await upstream.release()
