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
from budgets import CRASH_STRIDE, FIRST_CRASH
from daemon_fixture import HFPROXY, PersistentDaemon
from seeded_home import Tokens

KILLED = Path(__file__).with_name("killed.py")
COMMAND = "hfproxy.control_client,hfproxy.scan.rewrite_file,hfproxy.atomic_file,hfproxy.cli.scan.migrate"
DAEMON = "hfproxy.atomic_file,hfproxy.private_file,hfproxy.vault.sealed_file,hfproxy.vault.envelope,hfproxy.daemon.journal.writer"


class Home:
    """Files with tokens, of which the last has two names; and what they are without."""

    # Where the tokens of `me` and `bot` stand.
    FILES = {"a.env": "HF_TOKEN={me}\nB=1\n", "b.json": '["{me}", "{bot}"]', "c": "{bot}"}

    def __init__(self, root: Path, tokens: Tokens) -> None:
        self.root, self.tokens = root / "files", {"me": tokens.me, "bot": tokens.bot}

    def seed(self, *names: str) -> None:
        self.root.mkdir(exist_ok=True)
        for path in self.root.iterdir():
            path.unlink()
        for name in names:
            (self.root / name).write_text(self.FILES[name].format(**self.tokens))
        os.link(self.root / names[-1], self.root / "second name")

    def check(self, in_vault: list[str]) -> None:
        """What must hold at any moment: each file is as it was, but for tokens that are in the vault."""
        assert len(in_vault) == len(set(in_vault))
        choices = [("", token) if user in in_vault else (token,) for user, token in self.tokens.items()]
        for path in self.root.iterdir():
            forms = [self.FILES[path.name]] if path.name in self.FILES else self.FILES.values()
            could_be = {form.format(me=me, bot=bot) for form in forms for me, bot in itertools.product(*choices)}
            # One that is only on its way may be empty yet.
            assert path.read_text() in could_be | ({""} if path.name.startswith(".hf-proxy-scan") else set())

    def check_end(self, in_vault: list[str], *names: str) -> None:
        """What must hold once it went through, and that nothing else is there."""
        empty = {name: self.FILES[name].format(me="", bot="") for name in names}
        empty["second name"] = empty[names[-1]]
        assert {path.name: path.read_text() for path in self.root.iterdir()} == empty
        held = {user for name in names for user in self.tokens if f"{{{user}}}" in self.FILES[name]}
        assert sorted(in_vault) == sorted(held)


@pytest.fixture
def files(daemon: PersistentDaemon, tokens: Tokens) -> Home:
    return Home(daemon.root, tokens)


def in_vault(daemon: PersistentDaemon) -> list[str]:
    """Whose tokens there are: each user of this Hub has one here."""
    return [account["user"] for account in said(daemon, {"do": "accounts"})["accounts"]]


def forget(daemon: PersistentDaemon) -> None:
    for account in said(daemon, {"do": "accounts"})["accounts"]:
        said(daemon, {"do": "logout", "account": account["name"]})


def said(daemon: PersistentDaemon, asked: dict[str, object]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.runtime / "control.sock"))
        connection.sendall(json.dumps(asked).encode() + b"\n")
        answer: dict[str, Any] = json.loads(connection.makefile().readline())
        return answer


def migrate(daemon: PersistentDaemon, home: Home, before: list[str]) -> int:
    command = [*before, *HFPROXY, "scan", "--migrate", "--yes", str(home.root)]
    return subprocess.run(command, env=daemon.env, capture_output=True, timeout=60).returncode


def killing(modules: str, when: str, number: int) -> list[str]:
    return [sys.executable, "-I", str(KILLED), modules, when, str(number), "--"]


@pytest.mark.timeout(3000)
def test_the_command_is_killed_at_every_step(daemon: PersistentDaemon, files: Home) -> None:
    for number in itertools.count(FIRST_CRASH, CRASH_STRIDE):
        files.seed("a.env", "b.json", "c")
        code = migrate(daemon, files, killing(COMMAND, "hfproxy.cli.scan.migrate:migrate", number))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        files.check(in_vault(daemon))
        assert migrate(daemon, files, []) == 0
        files.check_end(in_vault(daemon), "a.env", "b.json", "c")
        forget(daemon)
    print(f"\nthe command was killed at steps {FIRST_CRASH}, {FIRST_CRASH + CRASH_STRIDE}, … before {number}")
    assert number > 40


@pytest.mark.timeout(3000)
def test_the_daemon_is_killed_at_every_step(daemon: PersistentDaemon, files: Home) -> None:
    for number in itertools.count(FIRST_CRASH, CRASH_STRIDE):
        forget(daemon)
        daemon.stop()
        files.seed("a.env")
        daemon.begin(before=killing(DAEMON, "hfproxy.daemon.tokens.importing:TokenImporter.import_token", number))
        code = migrate(daemon, files, [])
        assert daemon.process is not None
        if code == 0:
            break
        assert (code, daemon.process.wait(30)) == (1, -signal.SIGKILL)
        daemon.process = None
        daemon.begin()
        files.check(in_vault(daemon))
        assert migrate(daemon, files, []) == 0
        files.check_end(in_vault(daemon), "a.env")
    print(f"\nthe daemon was killed at steps {FIRST_CRASH}, {FIRST_CRASH + CRASH_STRIDE}, … before {number}")
    assert number > 15
