"""A Hub, a house with a daemon, and the real client, for everything that is tested end to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end.client import CANARY, Client, seed
from fakehub import FakeHub, in_thread
from house import House


@pytest.fixture(autouse=True)
def _no_daemon_is_left() -> Iterator[None]:
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
    """A seeded Hub. Afterwards: it met no route it does not know, and the token never went to storage or CAS."""
    with in_thread(lfs_threshold=50_000, page_size=3) as hub:
        seed(hub)
        yield hub
        assert hub.crashes == []
        assert hub.unknown == []
        assert not hub.saw(CANARY.encode(), "storage")
        assert not hub.saw(CANARY.encode(), "cas")


@pytest.fixture
def house(hub: FakeHub, tmp_path: Path) -> Iterator[House]:
    """A running daemon that knows the account."""
    house = House(tmp_path / "house", hub.url, hub.ca_path)
    house.start()
    house.login(CANARY)
    hub.recorder.clear()
    yield house
    house.stop()


@pytest.fixture
def client(hub24_python: str, hub: FakeHub, tmp_path: Path) -> Client:
    """The real client of version 2.4."""
    return Client(hub24_python, hub, tmp_path / "clients")
