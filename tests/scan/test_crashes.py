"""`scan --migrate` is killed at every step, on either side of the socket: no token is lost, and none is there twice.

A step is a call into the operating system (`killed.py`). After each kill a file is the old one or the new one, to the
byte; what is no longer in a file is in the vault; and run once more, it ends as if nothing had happened.
"""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from drills.conftest import LastingHouse
from house import HFPROXY

from scan.seeded import Tokens

KILLED = Path(__file__).with_name("killed.py")
COMMAND = "hfproxy.client,hfproxy.scan.scrub,hfproxy.durable,hfproxy.cli.migrate"
DAEMON = (
    "hfproxy.durable,hfproxy.vault.sealed_file,hfproxy.daemon.journal,hfproxy.daemon.adoption,asyncio.selector_events"
)


class Home:
    """Three files, one of them with two names; and what they are without their tokens."""

    def __init__(self, root: Path, tokens: Tokens) -> None:
        self.root = root / "files"
        me, bot = tokens.me.encode(), tokens.bot.encode()
        self.full = {"a.env": b"HF_TOKEN=" + me + b"\nB=1\n", "b.json": b'["' + me + b'", "' + bot + b'"]', "c": bot}
        self.empty = {"a.env": b"HF_TOKEN=\nB=1\n", "b.json": b'["", ""]', "c": b""}
        self.holds = {"a.env": {"me"}, "b.json": {"me", "bot"}, "c": {"bot"}}

    def sow(self) -> None:
        self.root.mkdir(exist_ok=True)
        for name, content in self.full.items():
            (self.root / name).unlink(missing_ok=True)
            (self.root / name).write_bytes(content)
        (self.root / "d").unlink(missing_ok=True)
        os.link(self.root / "c", self.root / "d")

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.iterdir()}

    def check(self, in_vault: list[str]) -> None:
        """What must hold at any moment."""
        assert len(in_vault) == len(set(in_vault))
        for name, content in self.content().items():
            if name.startswith(".hf-proxy-scan"):  # on its way: without a token, or nothing yet
                assert content in {b"", *self.empty.values()}
                continue
            name = name.replace("d", "c")
            assert content in {self.full[name], self.empty[name]}
            assert content == self.full[name] or self.holds[name] <= set(in_vault)

    def check_end(self, in_vault: list[str]) -> None:
        """What must hold once it went through."""
        assert sorted(in_vault) == ["bot", "me"]
        assert self.content() == {**self.empty, "d": b""}  # and nothing else is there


@pytest.fixture
def files(house: LastingHouse, tokens: Tokens) -> Home:
    return Home(house.root, tokens)


def in_vault(house: LastingHouse) -> list[str]:
    """Whose tokens there are: each user of this Hub has one here."""
    return [account["user"] for account in said(house, {"do": "accounts"})["accounts"]]


def forget(house: LastingHouse) -> None:
    for account in said(house, {"do": "accounts"})["accounts"]:
        said(house, {"do": "logout", "account": account["name"]})


def said(house: LastingHouse, asked: dict[str, object]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.connect(str(house.runtime / "control.sock"))
        daemon.sendall(json.dumps(asked).encode() + b"\n")
        answer: dict[str, Any] = json.loads(daemon.makefile().readline())
        return answer


def migrate(house: LastingHouse, home: Home, before: list[str]) -> int:
    command = [*before, *HFPROXY, "scan", "--migrate", "--yes", str(home.root)]
    return subprocess.run(command, env=house.env, capture_output=True, timeout=60).returncode


def killing(modules: str, when: str, number: int) -> list[str]:
    return [sys.executable, "-I", str(KILLED), modules, when, str(number), "--"]


@pytest.mark.timeout(600)
def test_the_command_is_killed_at_every_step(house: LastingHouse, files: Home) -> None:
    for number in itertools.count(1):
        files.sow()
        code = migrate(house, files, killing(COMMAND, "hfproxy.cli.migrate:move", number))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        files.check(in_vault(house))
        assert migrate(house, files, []) == 0
        files.check_end(in_vault(house))
        forget(house)
    print(f"\nthe command was killed at {number - 1} steps")
    assert number > 40


@pytest.mark.timeout(900)
def test_the_daemon_is_killed_at_every_step(house: LastingHouse, files: Home) -> None:
    for number in itertools.count(1):
        forget(house)
        house.stop()
        files.sow()
        house.begin(before=killing(DAEMON, "hfproxy.daemon.adoption:serve", number))
        code = migrate(house, files, [])
        assert house.process is not None
        if code == 0:
            break
        assert (code, house.process.wait(30)) == (1, -signal.SIGKILL)
        house.process = None
        house.begin()
        files.check(in_vault(house))
        assert migrate(house, files, []) == 0
        files.check_end(in_vault(house))
    print(f"\nthe daemon was killed at {number - 1} steps")
    assert number > 20
