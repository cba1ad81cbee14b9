"""Kills at random moments, under load: 300 in `make test-all`."""

import itertools
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from budgets import KILLS
from fakehub import FakeHub
from daemon_fixture import PersistentDaemon
from wire_client import ask, bearer

BRANCHES = "/api/models/me/secret-model/branch/"
MODEL = "/api/models/me/secret-model"


class Load:
    """Clients that go on whatever happens: they read, they change, they mint and revoke."""

    def __init__(self, daemon: PersistentDaemon, endpoint: str, credential: str) -> None:
        self._daemon, self._endpoint, self._credential = daemon, endpoint, credential
        self._running = threading.Event()
        self._running.set()
        self._numbers = itertools.count()
        self.acknowledged: list[str] = []  # credentials of which the daemon said that they are revoked
        self.changes = 0
        work = (self._change, self._change, self._read, self._mint_and_revoke)
        self._threads = [threading.Thread(target=self._go_on, args=(step,)) for step in work]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._running.clear()
        for thread in self._threads:
            thread.join()

    def _go_on(self, step: Any) -> None:
        while self._running.is_set():
            try:
                step()
            except (OSError, ValueError, KeyError, IndexError):
                time.sleep(0.01)  # nobody is there just now

    def _change(self) -> None:
        target = f"{BRANCHES}b{next(self._numbers)}"
        if ask(self._endpoint, "DELETE", target, bearer(self._credential), timeout=5).status:
            self.changes += 1

    def _read(self) -> None:
        ask(self._endpoint, "GET", MODEL, bearer(self._credential), timeout=5)

    def _mint_and_revoke(self) -> None:
        minted = self._said({"do": "mint", "scopes": ["read"]})
        if self._said({"do": "revoke", "ids": [minted["id"]]})["revoked"] == [minted["id"]]:
            self.acknowledged.append(minted["credential"])

    def _said(self, asked: dict[str, object]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self._daemon.runtime / "control.sock"))
            connection.sendall(json.dumps(asked).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
            return answer


@pytest.fixture
def command(daemon: PersistentDaemon) -> Iterator[dict[str, str]]:
    """A command that runs under `exec` all the while: what it has in its environment."""
    script = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [*daemon.hfproxy, "exec", "--", sys.executable, "-c", script],
        env=daemon.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.communicate()


def journalled(daemon: PersistentDaemon) -> set[str]:
    """The targets of all changes that were decided."""
    lines = b"".join(path.read_bytes() for path in sorted((daemon.state / "journal").iterdir())).splitlines()
    entries = [json.loads(line) for line in lines if line.endswith(b"}")]
    return {entry["target"] for entry in entries if entry["kind"] == "decided" and entry["decision"] == "allow"}


@pytest.mark.timeout(3000)
def test_nothing_is_lost_and_nothing_revived(hub: FakeHub, daemon: PersistentDaemon, command: dict[str, str]) -> None:
    chance = random.Random(300)
    lasting = daemon.mint("--scope", "delete:me/*", "--scope", "read", "--ttl", "12h")
    load = Load(daemon, lasting["endpoint"], lasting["credential"])
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0, 0.15))
            daemon.kill()
            seen = len(load.acknowledged)
            daemon.begin()
            assert ask(command["HF_ENDPOINT"], "GET", MODEL, bearer(command["HF_TOKEN"])).status == 200
            for credential in load.acknowledged[max(0, seen - 3) : seen]:
                reply = ask(lasting["endpoint"], "GET", MODEL, bearer(credential))
                assert (reply.status, reply.refusal) == (401, "revoked")
    finally:
        load.close()
    reached = {record.path for record in hub.requests if record.method == "DELETE" and record.path.startswith(BRANCHES)}
    assert len(reached) > KILLS
    assert load.acknowledged
    assert reached <= journalled(daemon)
    assert "entries:" in daemon.must("audit", "verify")
    assert os.path.getsize(daemon.log) < 10_000_000
