"""The real client of version 2.4, for everything that is tested end to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_client import Client
from fakehub import FakeHub
from secret_service import SecretService
from fixtures import canary, house, hub, no_daemon_is_left

__all__ = ["canary", "house", "hub", "no_daemon_is_left"]


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What has to wait ten minutes comes last."""
    items.sort(key=lambda item: "test_idle" in item.nodeid)


def pytest_collection_finish(session: pytest.Session) -> None:
    """... and begins to wait first, if it is going to run."""
    if any("test_idle" in item.nodeid for item in session.items) and not session.config.option.collectonly:
        from idle_stream import SILENCE, Silence  # noqa: PLC0415

        session.config.stash[SILENCE] = Silence()
