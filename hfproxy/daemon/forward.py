"""The way of an allowed request to the Hub and of its answer back (steps 7 to 9 of design §4)."""

from hfproxy.core.access import Allow, Decision, Deny, Refusal
from hfproxy.core.broker import Broker
from hfproxy.core.rewrite import Places
from hfproxy.core.table import Answer
from hfproxy.daemon import refusals
from hfproxy.daemon.accounts import Held
from hfproxy.daemon.exchange import Exchange, Response
from hfproxy.daemon.meter import Meter, OverLimitError
from hfproxy.daemon.record import Recorder
from hfproxy.daemon.refusals import UNAUTHORIZED
from hfproxy.daemon.relay import Relay
from hfproxy.daemon.standing import Standing
from hfproxy.daemon.upstream import Upstream
from hfproxy.errors import AccountError, UpstreamError


class Forward:
    """Sends what was allowed, passes the answer on, and writes down how it ended."""

    def __init__(
        self, upstream: Upstream, places: Places, broker: Broker, recorder: Recorder, standing: Standing
    ) -> None:
        self._upstream, self._places, self._broker, self._recorder = upstream, places, broker, recorder
        self._standing = standing

    async def serve(self, exchange: Exchange, decision: Decision, held: Held | None) -> Response | Deny:
        """Forward one request; `held` is whose token must not come back, and is sent if the decision is Allow."""
        meter = Meter(self._broker, exchange.grant)
        warning = exchange.grant and exchange.grant.warning(exchange.at)
        more = (("X-HF-Warning", f"hf-proxy; {warning}"),) if warning else ()
        relay = Relay(exchange, self._places, decision, held, meter, more)
        outcome: Response | Deny | None = None
        try:
            outcome = await self._exchanged(exchange, relay, held if isinstance(decision, Allow) else None)
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

    async def _exchanged(self, exchange: Exchange, relay: Relay, token_of: Held | None) -> Response | Deny:
        request = exchange.request
        up = request.up
        if relay.wants_plain:
            up = up.uncompressed
        elif exchange.answer is Answer.API:
            up = up.readable
        body = exchange.outgoing()
        if isinstance(body, bytes):
            relay.meter.pass_up(len(body))
        elif body is not None:
            body = relay.meter.upward(body)
        upstream = await self._upstream.send(request.method, request.raw_path, up, body, token_of)
        if upstream.status == UNAUTHORIZED and token_of is not None:
            self._standing.doubt(token_of)
        try:
            return await relay.pass_on(request, upstream)
        finally:
            await upstream.leave()
