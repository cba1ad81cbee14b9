"""What every test of real clients starts from: a seeded Hub, and a daemon that knows the account.

A test has both for itself. A test that only sends requests or mints can be marked `shared_daemon`: it then uses those of its
worker, which are put back to the beginning before it and checked after it. `own_daemon` is for the exceptions of a module
that is marked.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakehub import FakeHub, in_thread
from daemon_fixture import DaemonFixture
from real_client import CANARY, seed

HUB_SETTINGS = {"lfs_threshold": 50_000, "page_size": 3}


@contextmanager
def seeded(fill: Callable[[FakeHub], None] = seed) -> Iterator[FakeHub]:
    """A seeded Hub, which is checked afterwards."""
    with in_thread(**HUB_SETTINGS) as hub:
        fill(hub)
        yield hub
        check_hub(hub)


def check_hub(hub: FakeHub) -> None:
    """A Hub met no route that it does not know, and the token never went to storage or CAS."""
    assert hub.crashes == []
    assert hub.unknown == []
    assert not hub.saw(CANARY.encode(), "storage")
    assert not hub.saw(CANARY.encode(), "cas")


class SharedDaemon:
    """A Hub and a daemon that many tests use, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._open = ExitStack()
        self.hub = self._open.enter_context(in_thread(**HUB_SETTINGS))
        seed(self.hub)
        self.daemon = DaemonFixture(folder / "daemon", self.hub.url, self.hub.ca_path)
        DaemonFixture.built.remove(self.daemon)  # it is not stopped after each test
        self._open.callback(self.daemon.stop)
        self.daemon.start()
        self.daemon.login(CANARY)
        self._state = self._observed()

    def begin(self, home: Path) -> None:
        """Begin a test: an empty home, and a journal that is shown from now on."""
        home.mkdir()
        self.daemon.home = home
        self.daemon.first_seq = self.daemon.request({"do": "anchor"})["seq"]
        self.hub.recorder.clear()

    def end(self) -> None:
        """End its grants; accounts, lock and process must be as they were."""
        self.daemon.request({"do": "revoke", "all": True})
        assert self._observed() == self._state

    def close(self) -> None:
        """Stop both."""
        self._open.close()

    def _observed(self) -> tuple[Any, ...]:
        status, accounts = self.daemon.status(), self.daemon.request({"do": "accounts"})
        return status["pid"], status["locked"], status["grants"], accounts


class SharedDaemons:
    """Gives the shared daemon of this worker; another one after a test that changed more than it may."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._daemon: SharedDaemon | None = None

    def get(self) -> SharedDaemon:
        """The daemon, started when it is first asked for."""
        self._daemon = self._daemon or SharedDaemon(self._folder())
        return self._daemon

    def drop(self) -> None:
        """Stop it."""
        if self._daemon is not None:
            self._daemon.close()
            self._daemon = None


@pytest.fixture(scope="session")
def shared_daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDaemons]:
    """One in each worker."""
    daemons = SharedDaemons(lambda: tmp_path_factory.mktemp("shared"))
    yield daemons
    daemons.drop()


def shares(request: pytest.FixtureRequest) -> bool:
    """Whether a test uses the shared daemon: what is marked nearest to it counts."""
    marks = (mark.name for mark in request.node.iter_markers() if mark.name in {"shared_daemon", "own_daemon"})
    return next(marks, None) == "shared_daemon"


@pytest.fixture(autouse=True)
def no_daemon_is_left() -> Iterator[None]:
    """Stop what a test that failed in the middle left running."""
    yield
    while DaemonFixture.built:
        DaemonFixture.built.pop().stop()


@pytest.fixture
def canary() -> str:
    """The real token of this run."""
    return CANARY


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[FakeHub]:
    """A seeded Hub."""
    if shares(request):
        hub = request.getfixturevalue("shared_daemons").get().hub
        hub.reset()
        seed(hub)
        yield hub
        check_hub(hub)
    else:
        with seeded() as hub:
            yield hub


@pytest.fixture
def daemon(request: pytest.FixtureRequest, hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
    """A running daemon that knows the account."""
    if shares(request):
        daemons = request.getfixturevalue("shared_daemons")
        shared = daemons.get()
        try:
            shared.begin(tmp_path / "home")
            yield shared.daemon
            shared.end()
        except BaseException:
            daemons.drop()
            raise
    else:
        daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
        daemon.start()
        daemon.login(CANARY)
        hub.recorder.clear()
        yield daemon
        daemon.stop()
