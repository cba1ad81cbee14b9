"""A seeded home, a Hub that knows whose its tokens are, and a daemon whose vault outlives it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakehub import FakeHub, in_thread
from fixtures import no_daemon_is_left
from house import LastingHouse
from seeded_home import Tokens

__all__ = ["no_daemon_is_left"]


@pytest.fixture
def tokens() -> Tokens:
    """Those of this test."""
    return Tokens()


@pytest.fixture
def hub(tokens: Tokens) -> Iterator[FakeHub]:
    """It knows every token that is alive."""
    with in_thread() as hub:
        for user, its_tokens in tokens.live().items():
            for token in its_tokens:
                hub.add_user(user, token)
        yield hub


@pytest.fixture
def house(hub: FakeHub, tmp_path: Path) -> LastingHouse:
    """A daemon without an account."""
    house = LastingHouse(tmp_path / "house", hub.url, hub.ca_path, vault="sealed-file")
    house.begin()
    return house


@pytest.fixture
def home(house: LastingHouse) -> Path:
    """The home of everything that runs in that house."""
    return house.root / "home"
