"""A seeded home, a Hub that knows whose its tokens are, and a daemon whose vault outlives it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakehub import FakeHub, in_thread
from fixtures import no_daemon_is_left
from daemon_fixture import PersistentDaemon
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
def daemon(hub: FakeHub, tmp_path: Path) -> PersistentDaemon:
    """A daemon without an account."""
    daemon = PersistentDaemon(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
    daemon.begin()
    return daemon


@pytest.fixture
def home(daemon: PersistentDaemon) -> Path:
    """The home of every command of that daemon."""
    return daemon.root / "home"
