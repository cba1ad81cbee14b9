"""The table of commands: which handler answers which request of the control socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar, get_args

from hfproxy import wire
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller

R = TypeVar("R", bound=requests.Request)
Handler = Callable[[R, Caller], Awaitable[wire.Message]]
StreamHandler = Callable[[R, Caller], AsyncIterator[wire.Message]]


class CommandGroup(Protocol):
    """Commands that belong to one domain."""

    def register(self, table: "CommandTable") -> None:
        """Add the handlers of this group to the table."""


class CommandTable:
    """The handler of every request but `status`, which the server answers without a `Caller`."""

    def __init__(self, *groups: CommandGroup) -> None:
        """Collect the handlers.

        Raises:
            TypeError: no group handles some request of `requests.ControlRequest`.
        """
        self._handlers: dict[type[requests.Request], StreamHandler[Any]] = {}
        for group in groups:
            group.register(self)
        missing = {*get_args(requests.ControlRequest)} - {*self._handlers, requests.StatusRequest}
        if missing:
            msg = f"no handler for {', '.join(sorted(request.__name__ for request in missing))}"
            raise TypeError(msg)

    def add(self, request: type[R], handler: Handler[R]) -> None:
        """Answer a type of request with one reply."""

        async def reply(message: R, caller: Caller) -> AsyncIterator[wire.Message]:
            yield await handler(message, caller)

        self._handlers[request] = reply

    def add_stream(self, request: type[R], handler: StreamHandler[R]) -> None:
        """Answer a type of request with any number of replies."""
        self._handlers[request] = handler

    def replies(self, request: requests.ControlRequest, caller: Caller) -> AsyncIterator[wire.Message]:
        """Return the replies to a request.

        Iterating raises HFProxyError for everything that a command refuses or fails at.
        """
        return self._handlers[type(request)](request, caller)
