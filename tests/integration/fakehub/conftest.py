"""A hub with two people, and real clients in homes of their own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakehub import FakeHub, in_thread
from hub_clients.git import Git
from hub_clients.people import BIG, OTHER, READER, REAL
from hub_clients.python import Client

GitOf = Callable[[str | None], Git]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """One user and her private model; afterwards, the invariants every test must keep."""
    with in_thread(lfs_threshold=10_000, page_size=3) as hub:
        hub.add_user("me", REAL, orgs=("acme",))
        hub.add_user("me", READER, role="read")
        hub.add_user("you", OTHER)
        hub.add_repo("model", "me/model", private=True, files={"config.json": b'{"a": 1}\n', "model.bin": BIG})
        hub.add_repo("dataset", "me/open", files={"a.txt": b"open\n"})
        yield hub
        assert hub.unknown == []
        assert hub.crashes == []
        assert not hub.saw(REAL.encode(), "storage")
        assert not hub.saw(REAL.encode(), "cas")


@pytest.fixture
def git(hub: FakeHub, tmp_path: Path) -> GitOf:
    """Makes a person's git: `git(token)`."""
    for tool in ("git", "git-lfs"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}; on Debian: apt install git git-lfs")
    homes = iter(range(100))
    return lambda token: Git(tmp_path / f"home{next(homes)}", hub, token)


@pytest.fixture
def client(hub: FakeHub, hub24_python: str, tmp_path: Path) -> Client:
    """`huggingface_hub` 2.4 with the user's token."""
    return Client(hub24_python, hub, tmp_path)
