"""Connections that a grant is using right now, so that they can be cut when it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


class Running:
    """Which requests run under which grant."""

    def __init__(self) -> None:
        self._requests: dict[str, set[web.BaseRequest]] = {}

    @contextmanager
    def under(self, grant_id: str, request: web.BaseRequest) -> Iterator[None]:
        """Hold a request as running for as long as the block runs."""
        running = self._requests.setdefault(grant_id, set())
        running.add(request)
        try:
            yield
        finally:
            running.discard(request)
            if not running:
                self._requests.pop(grant_id, None)

    def cut(self, grant_id: str) -> None:
        """Break the grant's connections off: the server cancels their handlers, and with them the upstream's."""
        for request in tuple(self._requests.get(grant_id, ())):
            if request.transport is not None:
                request.transport.abort()
