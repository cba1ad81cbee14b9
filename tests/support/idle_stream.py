"""A stream of events that says nothing for `budgets.SILENCE_S` seconds, while other tests run."""

import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
from budgets import SILENCE_S
from fakehub import in_thread
from daemon_fixture import DaemonFixture
from real_client import CANARY, seed


class IdleStream:
    """An open stream of events; the Hub says something after `SILENCE_S` seconds."""

    def __init__(self) -> None:
        self._open = ExitStack()
        folder = Path(self._open.enter_context(TemporaryDirectory(prefix="hf-proxy-idle-")))
        self.hub = self._open.enter_context(in_thread(idle_seconds=SILENCE_S + 300))
        seed(self.hub)
        self.hub.add_space("me/demo")
        self.daemon = DaemonFixture(folder / "daemon", self.hub.url, self.hub.ca_path)
        DaemonFixture.built.remove(self.daemon)  # it outlives the tests beside it
        self._open.callback(self.daemon.stop)
        self.daemon.start()
        self.daemon.login(CANARY)
        minted = self.daemon.mint("--scope", "read:spaces/me/demo")
        self.client = self._open.enter_context(_asking(minted["endpoint"], minted["credential"]))
        self.said = self.client.recv(65536)
        self.since = time.monotonic()
        threading.Timer(SILENCE_S, self.hub.wake).start()

    def close(self) -> None:
        self._open.close()


def _asking(endpoint: str, credential: str) -> socket.socket:
    place = urlsplit(endpoint)
    client = socket.create_connection((place.hostname, place.port), timeout=SILENCE_S + 60)
    client.sendall(
        f"GET /api/spaces/me/demo/events HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: Bearer {credential}\r\nConnection: close\r\n\r\n".encode()
    )
    return client


IDLE_STREAM = pytest.StashKey[IdleStream]()
