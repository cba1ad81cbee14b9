"""`scan` as it is typed: exit codes, what is printed, and what is not believed."""

import json
import os
from pathlib import Path

import pytest
from outcome import HfProxy, done, failed
from seeded_home import made_up
from scripted_daemon import ScriptedDaemon

from hfproxy.cli.scan.scan import Progress
from hfproxy.scan.globs import Globs
from hfproxy.scan.walk import Walk
from hfproxy.wire import Message

TOKEN = made_up()
TAKEN: Message = {"account": "default", "user": "me", "role": "read", "there": False, "dead": False, "refresh": None}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "tree" / ".env"
    file.parent.mkdir()
    file.write_text(f"A=1\nHF_TOKEN={TOKEN}\n")
    return file


@pytest.fixture
def untouched(file: Path) -> object:
    """Whatever is asked, the file stays as it is."""
    before = file.read_bytes()
    yield
    assert file.read_bytes() == before


def test_nothing_found_is_a_success(hf_proxy: HfProxy, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("nothing")
    assert "no plaintext token; searched 1 file" in done(hf_proxy("scan", str(tmp_path / "a")))
    assert json.loads(done(hf_proxy("scan", "--json", str(tmp_path / "a"))))["findings"] == []


def test_something_found_is_none_and_the_next_command_is_named(hf_proxy: HfProxy, file: Path) -> None:
    result = hf_proxy("scan", "--exclude", "*.lock", str(file.parent))
    assert result.returncode == 1
    assert f"{file}:2" in result.stdout
    assert result.stderr == (
        "hf-proxy: 1 place with a plaintext token; move them into the vault with:"
        f" hf-proxy scan --migrate --exclude '*.lock' {file.parent}\n"
    )
    assert TOKEN not in result.stdout + result.stderr


def test_json_to_the_letter(hf_proxy: HfProxy, file: Path) -> None:
    result = hf_proxy("scan", "--json", str(file))
    answer = json.loads(result.stdout)
    (finding,) = answer["findings"]
    assert len(finding.pop("token")) == 8
    assert finding == {
        "path": str(file), "line": 2, "kind": "env-file", "shape": "user", "variable": None, "program": None,
        "state": "found", "account": None, "user": None, "role": None, "why": None,
    }  # fmt: skip
    assert answer["scanned"] == {
        "files": 1, "bytes": 51, "processes": 0, "skipped": 0, "excluded": 0, "denied": 0, "elsewhere": [],
    }  # fmt: skip


def test_what_cannot_be_moved_is_not_offered(hf_proxy: HfProxy, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" + TOKEN.encode())
    result = hf_proxy("scan", str(tmp_path / "a"))
    assert result.returncode == 1
    assert "hf-proxy scan --dry-run" in result.stderr
    assert "by hand" in hf_proxy("scan", "--dry-run", str(tmp_path / "a")).stdout


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "words", [("--migrate",), ("--dry",), ("--yes=1",), ("--yes",), ("--exclude",), ("/no/such/path",)]
)
def test_mistakes_do_nothing(hf_proxy: HfProxy, daemon: ScriptedDaemon, file: Path, words: tuple[str, ...]) -> None:
    said = failed(hf_proxy("scan", str(file), *words), 2)
    assert "hf-proxy scan" in said
    assert daemon.requests == []


@pytest.mark.usefixtures("untouched")
def test_without_a_daemon_nothing_is_moved(hf_proxy: HfProxy, file: Path) -> None:
    assert "hf-proxy daemon" in failed(hf_proxy("scan", "--migrate", "--yes", str(file)), 1)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("proof", [{"digest": "0" * 64}, {"digest": None}, {}], ids=str)
def test_a_vault_that_is_not_proven_to_hold_it_leaves_it_where_it_is(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, file: Path, proof: Message
) -> None:
    daemon.answers |= {"status": {}, "adopt": {**TAKEN, **proof}}
    result = hf_proxy("scan", "--migrate", "--yes", str(file))
    assert result.returncode == 1
    assert "did not prove" in result.stdout
    assert daemon.requests[1:] == [{"do": "adopt", "token": TOKEN}]


def test_at_home_the_environment_and_the_token_of_huggingface_hub_are_looked_into(
    hf_proxy: HfProxy, environment: dict[str, str], tmp_path: Path
) -> None:
    """Wherever variables have put it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "token").write_text("any-word-that-is-long-enough")
    (elsewhere / "other").write_text(made_up())
    extra = {"HF_HOME": str(elsewhere), "HF_TOKEN_PATH": str(elsewhere / "other"), "MY_OWN": TOKEN}
    found = json.loads(hf_proxy("scan", "--json", extra=extra).stdout)["findings"]
    assert {one["path"]: one["kind"] for one in found if one["path"].startswith(str(elsewhere))} == {
        str(elsewhere / "token"): "token-file",
        str(elsewhere / "other"): "token-file",
    }
    assert ("environment", "MY_OWN") in {(one["kind"], one["variable"]) for one in found}


def test_progress_is_shown_on_a_terminal_once_it_takes_a_second(tmp_path: Path) -> None:
    moment = [0.0]
    mine, terminal = os.openpty()
    with open(terminal, "w") as stream, open(mine, "rb", buffering=0) as shown:
        progress, walk = Progress(stream, lambda: moment[0]), Walk(Globs([]))
        progress.show(walk)
        progress.clear()
        moment[0] = 1.0
        walk.seen.files = 1234
        progress.show(walk)
        progress.show(walk)
        progress.clear()
        expected = b"\r1,234 files, 0 MB, 0 with tokens\x1b[K\r\x1b[K"
        seen = b""
        while len(seen) < len(expected):
            seen += shown.read(1000)
        assert seen == expected


def test_progress_is_not_shown_to_a_program(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        moment = [0.0]
        progress = Progress(stream, lambda: moment[0])
        moment[0] = 100.0
        progress.show(Walk(Globs([])))
        progress.clear()
    assert (tmp_path / "log").read_text() == ""
