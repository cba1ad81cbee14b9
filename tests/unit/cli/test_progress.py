"""Who waits for more than a second is told for what, on a terminal; nobody else is."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_daemon import ScriptedDaemon
from terminal import Terminal

ACCOUNT = {"name": "default", "user": "ada", "role": "read", "origin": "https://hub", "warnings": []}
HF_PROXY = [sys.executable, "-m", "hfproxy"]


@pytest.fixture
def held(daemon: ScriptedDaemon) -> Iterator[threading.Event]:
    """The daemon answers a login, and has read the journal, once this is set."""
    go_on = threading.Event()

    def answer(answered: object) -> object:
        go_on.wait(60)
        return answered

    daemon.answers |= {"login": lambda _: answer(ACCOUNT), "audit": lambda _: answer([{"kind": "lock", "at": 1}, {}])}
    yield go_on
    go_on.set()


@pytest.mark.parametrize(
    ("words", "doing", "done"),
    [
        (["login", "--token-file", "token"], "asking the Hub for the token's user: 2 s", "account default: ada"),
        (["audit", "report"], "reading the journal: 0 entries, 2 s", "from "),
    ],
)
def test_it_is_said_while_it_lasts_and_taken_back(
    held: threading.Event, environment: dict[str, str], tmp_path: Path, words: list[str], doing: str, done: str
) -> None:
    (tmp_path / "token").write_text("hf_x")
    terminal = Terminal([*HF_PROXY, *words], environment, tmp_path)
    try:
        terminal.until(f"\r\x1b\\[K{doing}")
        held.set()
        terminal.until("\r\x1b\\[K\\r?\\n?" + done)
    finally:
        terminal.close()


def test_a_long_journal_says_how_far_it_is(environment: dict[str, str], tmp_path: Path) -> None:
    """A pipe in the place of a file that takes its time."""
    journal = tmp_path / "00000001.jsonl"
    os.mkfifo(journal)
    terminal = Terminal([*HF_PROXY, "audit", "verify", str(journal)], environment, tmp_path)
    try:
        with journal.open("wb"):
            terminal.until("checking the journal: 0 entries, 1 s")
        terminal.until("entries: 0")
    finally:
        terminal.close()


def test_where_nobody_looks_nothing_is_said(
    held: threading.Event, daemon: ScriptedDaemon, environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [*HF_PROXY, "login", "--token-stdin"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    threading.Timer(2.5, held.set).start()
    out, error = process.communicate("hf_x", 60)
    assert (process.returncode, error) == (0, "")
    assert out.startswith("account default")
