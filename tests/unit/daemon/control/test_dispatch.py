"""The table of commands: every request has a handler, and gets its replies in order."""

from collections.abc import AsyncIterator
from typing import get_args

import pytest

from hfproxy import wire
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.dispatch import CommandTable

CALLER = Caller(1, 2, None)


class Everything:
    """Answers all requests but `left_out`."""

    def __init__(self, left_out: type[requests.Request] = requests.StatusRequest) -> None:
        self.left_out = left_out

    def register(self, table: CommandTable) -> None:
        for request in {*get_args(requests.ControlRequest)} - {requests.StatusRequest, self.left_out}:
            table.add(request, self.answer)
        if self.left_out is not requests.GrantsRequest:
            table.add_stream(requests.GrantsRequest, self.stream)

    async def answer(self, request: requests.Request, caller: Caller) -> wire.Message:
        return {"to": type(request).__name__, "pid": caller.pid}

    async def stream(self, request: requests.GrantsRequest, caller: Caller) -> AsyncIterator[wire.Message]:
        yield {"uid": caller.uid}
        yield {}


async def test_a_request_is_answered_by_its_own_handler() -> None:
    table = CommandTable(Everything())
    assert [reply async for reply in table.replies(requests.LockRequest(), CALLER)] == [{"to": "LockRequest", "pid": 1}]
    assert [reply async for reply in table.replies(requests.GrantsRequest(), CALLER)] == [{"uid": 2}, {}]


@pytest.mark.parametrize("left_out", [requests.LockRequest, requests.GrantsRequest])
def test_a_request_without_a_handler_is_found_at_the_start(left_out: type[requests.Request]) -> None:
    with pytest.raises(TypeError, match=f"no handler for {left_out.__name__}$"):
        CommandTable(Everything(left_out))
