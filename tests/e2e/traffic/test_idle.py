"""Ten minutes of silence on a stream of events (docs/hub-protocol.md#trap-15), waited for while the other tests run."""

import time
from collections.abc import Iterator

import pytest
from idle_stream import SILENCE, TEN_MINUTES, Silence


@pytest.fixture(scope="session")
def silence(request: pytest.FixtureRequest) -> Iterator[Silence]:
    """The stream that `conftest` opened before the first test."""
    opened = request.config.stash[SILENCE]
    yield opened
    opened.close()


@pytest.mark.timeout(TEN_MINUTES + 120)
def test_a_stream_that_is_silent_for_ten_minutes_is_not_given_up(silence: Silence) -> None:
    assert silence.said.startswith(b"HTTP/1.1 200")
    said = silence.said
    while part := silence.client.recv(65536):
        said += part
    assert b"awake" in said
    assert time.monotonic() - silence.since >= TEN_MINUTES
