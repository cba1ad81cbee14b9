"""What passes of one exchange's bodies, counted, and stopped where the grant's limits end."""

from collections.abc import AsyncIterator

from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.decision import Deny
from hfproxy.core.policy.grant import Grant


class OverLimitError(Exception):
    """These bytes may not pass: the grant's limit is reached, or the grant ended. Does not leave `daemon.forward`."""

    def __init__(self, deny: Deny) -> None:
        super().__init__(deny.why)
        self.deny = deny


class ByteMeter:
    """Counts bytes each way. Without a grant there is no limit. Every method may raise OverLimitError."""

    def __init__(self, broker: Broker, grant: Grant | None) -> None:
        self._broker, self._grant = broker, grant
        self.up = self.down = 0
        self.refused: Deny | None = None

    def count_up(self, count: int) -> None:
        """So many bytes are about to go to the Hub."""
        self._enforce(None if self._grant is None else self._broker.count_bytes(self._grant, up=count))
        self.up += count

    def count_down(self, count: int) -> None:
        """The same for the way back."""
        self._enforce(None if self._grant is None else self._broker.count_bytes(self._grant, down=count))
        self.down += count

    def check_quota(self, count: int) -> None:
        """So many bytes are to come back; nothing is counted yet."""
        self._enforce(None if self._grant is None else self._broker.check_bytes(self._grant, down=count))

    async def metered(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A body on its way to the Hub. It is broken off at the limit: to end it would make half of it look whole."""
        async for part in body:
            self.count_up(len(part))
            yield part

    def _enforce(self, deny: Deny | None) -> None:
        if deny is not None:
            self.refused = deny
            raise OverLimitError(deny)
