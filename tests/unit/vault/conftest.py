"""A real keyring for whoever asks for one."""

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from secret_service import SecretService


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretService]:
    """A bus with nothing on it yet; this process's own programs are led to it."""
    service = SecretService(tmp_path / "desktop")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", service.address)
    yield service
    service.stop()
    # keyring's library leaves its connection open where it fails; it is closed here, and not in the midst of another test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def keyring(service: SecretService) -> SecretService:
    """With an unlocked gnome-keyring on it."""
    service.start()
    return service
