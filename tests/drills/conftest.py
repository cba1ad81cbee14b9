"""The stage of the end-to-end tests, with accounts that outlive the daemon."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from end_to_end.client import CANARY
from fakehub import FakeHub
from house import House
from stage import hub, no_daemon_is_left

__all__ = ["hub", "no_daemon_is_left"]

PASSPHRASE = b"a passphrase of the drill"


class LastingHouse(House):
    """A house whose vault is a sealed file, opened at every start."""

    def begin(self, before: Sequence[str] = ()) -> None:
        reading, writing = os.pipe()
        os.write(writing, PASSPHRASE)
        os.close(writing)
        self.start("--passphrase-fd", str(reading), before=before, pass_fds=(reading,))
        os.close(reading)

    def kill(self) -> None:
        """As a crash, or the kernel, does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None


@pytest.fixture
def house(hub: FakeHub, tmp_path: Path) -> LastingHouse:
    house = LastingHouse(tmp_path / "house", hub.url, hub.ca_path, vault="sealed-file")
    house.begin()
    house.login(CANARY)
    return house
