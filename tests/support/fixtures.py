"""What every test of real clients plays on: a seeded Hub, and a daemon that knows the account."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from real_client import CANARY, seed
from fakehub import FakeHub, in_thread
from house import House


@contextmanager
def seeded(sow: Callable[[FakeHub], None] = seed) -> Iterator[FakeHub]:
    """A seeded Hub. Afterwards: it met no route it does not know, and the token never went to storage or CAS."""
    with in_thread(lfs_threshold=50_000, page_size=3) as hub:
        sow(hub)
        yield hub
        assert hub.crashes == []
        assert hub.unknown == []
        assert not hub.saw(CANARY.encode(), "storage")
        assert not hub.saw(CANARY.encode(), "cas")


@pytest.fixture(autouse=True)
def no_daemon_is_left() -> Iterator[None]:
    """Stop what a test that failed in the middle left running."""
    yield
    while House.built:
        House.built.pop().stop()


@pytest.fixture
def canary() -> str:
    """The real token of this run."""
    return CANARY


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A seeded Hub."""
    with seeded() as hub:
        yield hub


@pytest.fixture
def house(hub: FakeHub, tmp_path: Path) -> Iterator[House]:
    """A running daemon that knows the account."""
    house = House(tmp_path / "house", hub.url, hub.ca_path)
    house.start()
    house.login(CANARY)
    hub.recorder.clear()
    yield house
    house.stop()
