"""The real client of version 2.4, for everything that is tested end to end."""

from pathlib import Path

import pytest
from end_to_end.client import Client
from fakehub import FakeHub
from stage import canary, house, hub, no_daemon_is_left

__all__ = ["canary", "house", "hub", "no_daemon_is_left"]


@pytest.fixture
def client(hub24_python: str, hub: FakeHub, tmp_path: Path) -> Client:
    """The real client of version 2.4."""
    return Client(hub24_python, hub, tmp_path / "clients")
