"""Counts the body bytes of one exchange against its grant, and stops them at the grant's limits."""

from collections.abc import AsyncIterator

from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.decision import Deny
from hfproxy.core.policy.grant import Grant


class OverLimitError(Exception):
    """More bytes would exceed the grant's limit, or the grant has ended. `forward` turns it into a Deny."""

    def __init__(self, deny: Deny) -> None:
        super().__init__(deny.why)
        self.deny = deny


class ByteMeter:
    """Counts the bytes of both bodies; without a grant there is no limit. Every method may raise OverLimitError.

    Attributes:
        up: Bytes of the request body sent upstream.
        down: Bytes of the response body sent to the client.
        refused: Why bytes were stopped, if they were.
    """

    def __init__(self, broker: Broker, grant: Grant | None) -> None:
        self._broker, self._grant = broker, grant
        self.up = self.down = 0
        self.refused: Deny | None = None

    def count_up(self, count: int) -> None:
        """Count bytes that are about to be sent upstream; if they may not be, none is counted."""
        self._enforce(None if self._grant is None else self._broker.count_bytes(self._grant, up=count))
        self.up += count

    def count_down(self, count: int) -> None:
        """Count bytes that are about to be sent to the client; if they may not be, none is counted."""
        self._enforce(None if self._grant is None else self._broker.count_bytes(self._grant, down=count))
        self.down += count

    def check_quota(self, count: int) -> None:
        """Check that a response body of so many bytes is within the limit; none is counted."""
        self._enforce(None if self._grant is None else self._broker.check_bytes(self._grant, down=count))

    async def metered(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield a request body, counted. At the limit it is broken off: half a body must not look whole to the Hub."""
        async for part in body:
            self.count_up(len(part))
            yield part

    def _enforce(self, deny: Deny | None) -> None:
        if deny is not None:
            self.refused = deny
            raise OverLimitError(deny)
