"""The real client of version 2.4, for everything that is tested end to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakehub import FakeHub
from fixtures import canary, daemon, hub, no_daemon_is_left, shared_daemons
from groups import group_of
from idle_stream import IDLE_STREAM, IdleStream
from real_client import Client
from secret_service import SecretService

__all__ = ["canary", "daemon", "hub", "no_daemon_is_left", "shared_daemons"]


@pytest.fixture
def client(hub24_python: str, hub: FakeHub, tmp_path: Path) -> Client:
    """The real client of version 2.4."""
    return Client(hub24_python, hub, tmp_path / "clients")


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[SecretService]:
    """A session with a keyring that is open."""
    desktop = SecretService(tmp_path / "desktop")
    desktop.start()
    yield desktop
    desktop.stop()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Open the idle stream at the first test of its group: it is silent while the others run.

    With pytest-xdist it is then open in the one worker that has the group.
    """
    idle = [one for one in item.session.items if "test_idle.py" in one.nodeid]
    if idle and IDLE_STREAM not in item.config.stash and group_of(item.nodeid) == group_of(idle[0].nodeid):
        item.config.stash[IDLE_STREAM] = IdleStream()
