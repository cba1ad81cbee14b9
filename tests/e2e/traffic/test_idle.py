"""Silence on a stream of events (docs/hub-protocol.md#trap-15): ten minutes of it in `make test-all`."""

import time
from collections.abc import Iterator

import pytest
from budgets import SILENCE_S
from idle_stream import IDLE_STREAM, IdleStream


@pytest.fixture(scope="session")
def idle_stream(request: pytest.FixtureRequest) -> Iterator[IdleStream]:
    """The stream that `conftest.py` opened at the first test of this one's group."""
    stream = request.config.stash[IDLE_STREAM]
    yield stream
    stream.close()


@pytest.mark.timeout(SILENCE_S + 120)
def test_a_silent_stream_is_not_given_up(idle_stream: IdleStream) -> None:
    assert idle_stream.said.startswith(b"HTTP/1.1 200")
    said = idle_stream.said
    while part := idle_stream.client.recv(65536):
        said += part
    assert b"awake" in said
    assert time.monotonic() - idle_stream.since >= SILENCE_S
