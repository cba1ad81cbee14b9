"""The clients that have the quirks."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakehub import FakeHub
from real_client import Client


@pytest.fixture(params=["hub036", "hub133", "hub24"])
def any_client(
    request: pytest.FixtureRequest, interpreter: Callable[[str], str], hub: FakeHub, tmp_path: Path
) -> Client:
    """`huggingface_hub` 0.36, 1.33 and 2.4."""
    return Client(interpreter(request.param), hub, tmp_path / "clients")


@pytest.fixture
def shell(hub24_python: str, hub: FakeHub, tmp_path: Path) -> Client:
    """A shell with `hf`, git and curl in it."""
    return Client("bash", hub, tmp_path / "clients", first=Path(hub24_python).parent)
