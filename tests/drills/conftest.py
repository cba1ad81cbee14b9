"""The stage of the end-to-end tests, with accounts that outlive the daemon."""

from pathlib import Path

import pytest
from fakehub import FakeHub
from fixtures import hub, no_daemon_is_left
from house import LastingHouse
from real_client import CANARY

__all__ = ["hub", "no_daemon_is_left"]


@pytest.fixture
def house(hub: FakeHub, tmp_path: Path) -> LastingHouse:
    house = LastingHouse(tmp_path / "house", hub.url, hub.ca_path, vault="sealed-file")
    house.begin()
    house.login(CANARY)
    return house
