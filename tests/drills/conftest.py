"""The stage of the end-to-end tests, with accounts that outlive the daemon."""

from pathlib import Path

import pytest
from fakehub import FakeHub
from fixtures import hub, no_daemon_is_left
from daemon_fixture import PersistentDaemon
from real_client import CANARY

__all__ = ["hub", "no_daemon_is_left"]


@pytest.fixture
def daemon(hub: FakeHub, tmp_path: Path) -> PersistentDaemon:
    daemon = PersistentDaemon(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
    daemon.begin()
    daemon.login(CANARY)
    return daemon
