"""A home with more than sixty hiding places, and more than sixty things that only look like one."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import seeded_home as seeded
from fakehub import FakeHub
from daemon_fixture import PersistentDaemon
from seeded_home import Place, Tokens

WAIT = "import sys; sys.stdin.read()"


@pytest.fixture
def places(tokens: Tokens) -> list[Place]:
    return seeded.places(tokens)


@pytest.fixture
def alike() -> dict[str, bytes]:
    return seeded.look_alikes()


@pytest.fixture
def home(home: Path, places: list[Place], alike: dict[str, bytes], tokens: Tokens) -> Path:
    """All of it, the state of an editor, and what must not be opened."""
    seeded.seed(home, places, alike)
    seeded.database(home / ".config/Code/User/globalStorage/state.vscdb", tokens.me)
    seeded.obstacles(home)
    return home


def scanned(daemon: PersistentDaemon, *words: str, code: int = 1, env: dict[str, str] | None = None) -> dict[str, Any]:
    done = daemon.cli("scan", "--json", *words, env=env)
    assert done.returncode == code, done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def below(home: Path, answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The findings in files of that home; a machine has processes of its own."""
    return {one["path"]: one for one in answer["findings"] if one["path"].startswith(f"{home}/")}


def in_processes(answer: dict[str, Any], known: set[str]) -> set[tuple[str, str]]:
    kinds = ("process", "environment")
    return {
        (one["kind"], one["variable"]) for one in answer["findings"] if one["kind"] in kinds and one["token"] in known
    }


def test_everything_is_found_and_nothing_else(
    daemon: PersistentDaemon, home: Path, places: list[Place], alike: dict[str, bytes], tokens: Tokens
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", WAIT, tokens.reader], stdin=subprocess.PIPE, env={"HF_ACCESS_TOKEN": tokens.bot}
    )
    try:
        answer = scanned(daemon, env={"API_KEY": tokens.me})
    finally:
        process.communicate()
    hidden = {str(home / place.path): place for place in places}
    found = below(home, answer)
    database = found.pop(str(home / ".config/Code/User/globalStorage/state.vscdb"))
    missed, wrong = hidden.keys() - found.keys(), found.keys() - hidden.keys()
    ids = {one["token"] for one in found.values()}
    elsewhere = in_processes(answer, ids)
    total = len(hidden) + 1 + len(elsewhere)
    print(f"\n{total} hiding places, {len(alike)} look-alikes: {total - len(missed)} found, {len(missed)} missed, "
          f"{len(wrong)} wrongly found")  # fmt: skip
    assert (missed, wrong) == (set(), set())
    assert len(hidden) >= 60
    assert len(alike) >= 60
    assert {path: one["kind"] for path, one in found.items()} == {path: one.kind for path, one in hidden.items()}
    assert database["kind"] == "binary"
    assert elsewhere == {("environment", "API_KEY"), ("process", "HF_ACCESS_TOKEN"), ("process", None)}
    # Six tokens and the refresh token: each is one, wherever it lies.
    assert len({one["token"] for one in answer["findings"] if one["path"].startswith(f"{home}/")}) == 6
    assert answer["scanned"]["skipped"] >= 5


def test_nothing_that_is_printed_holds_a_token(daemon: PersistentDaemon, home: Path, tokens: Tokens) -> None:
    (home / f"{tokens.me}.txt").write_text(tokens.me)
    for words in (
        (),
        ("--json",),
        ("--whoami",),
        ("--dry-run",),
        (str(home / f"{tokens.me}.txt"),),
        (f"/no/{tokens.me}",),
    ):
        done = daemon.cli("scan", *words, env={"HF_TOKEN": tokens.bot})
        assert done.returncode in {1, 2}
        for token in vars(tokens).values():
            assert token not in done.stdout + done.stderr


def test_all_of_it_is_moved_and_no_other_byte(
    daemon: PersistentDaemon, home: Path, hub: FakeHub, places: list[Place], alike: dict[str, bytes], tokens: Tokens
) -> None:
    answer = scanned(daemon, "--migrate", "--yes")
    database = home / ".config/Code/User/globalStorage/state.vscdb"
    wrong = [path for path, content in alike.items() if (home / path).read_bytes() != content]
    expected = {place.path: place.before if place.after is None else place.after for place in places}
    wrong += [path for path, content in expected.items() if (home / path).read_bytes() != content]
    left = {path for path, one in below(home, answer).items() if one["state"] != "moved"}
    by_hand = {str(home / place.path) for place in places if place.after is None} | {str(database)}
    moved = len(places) - len(left) + 1
    print(f"\n{moved} moved, {len(left)} left for a person, {len(wrong)} wrongly touched, {len(alike)} look-alikes")
    assert wrong == []
    assert left == by_hand
    assert {place.path: stat.S_IMODE((home / place.path).stat().st_mode) for place in places} == {
        place.path: place.mode for place in places
    }
    accounts = {account["name"]: account["user"] for account in daemon.status()["accounts"]}
    assert sorted(accounts.values()) == ["acme", "bot", "me", "me", "me"]
    assert "default" in accounts
    again = below(home, scanned(daemon))
    assert set(again) == by_hand
    assert not list(home.rglob(".hf-proxy-scan*"))


def test_what_was_moved_works(daemon: PersistentDaemon, home: Path, hub: FakeHub, tokens: Tokens) -> None:
    hub.add_repo("model", "bot/secret", private=True, files={"a": b"1"})
    scanned(daemon, "--migrate", "--yes", str(home / "src/app"), str(home / ".cache/huggingface"), code=0)
    owner = next(account["name"] for account in daemon.status()["accounts"] if account["user"] == "bot")
    daemon.stop()
    daemon.begin()  # it is in the vault, not only in memory
    hub.recorder.clear()
    minted = daemon.mint("--account", owner, "--scope", "read:bot/*")
    command = [
        "curl",
        "-sf",
        "-H",
        f"Authorization: Bearer {minted['credential']}",
        f"{minted['endpoint']}/api/models/bot/secret",
    ]
    assert subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True).returncode == 0
    assert hub.saw(tokens.bot.encode())
