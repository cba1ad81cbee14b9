"""`scan --migrate` with a real daemon: what is moved, under which name, what is left, and what is said."""

import json
import os
import pty
import sqlite3
import subprocess
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import HFPROXY, DaemonFixture, PersistentDaemon
from seeded_home import Tokens, made_up


@pytest.fixture
def folder(daemon: PersistentDaemon) -> Path:
    """What is scanned."""
    folder = daemon.root / "files"
    folder.mkdir()
    return folder


def write(folder: Path, **contents: str) -> None:
    for name, content in contents.items():
        (folder / name).write_text(content)


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def accounts(daemon: DaemonFixture) -> dict[str, str]:
    return {account["name"]: account["user"] for account in daemon.status()["accounts"]}


def states(printed: str) -> dict[str, str]:
    return {Path(one["path"]).name: one["state"] for one in json.loads(printed)["findings"]}


def on_a_terminal(daemon: DaemonFixture, *words: str, typed: str) -> tuple[str, int]:
    """Run a command on a terminal, where each letter is typed as the answer to one question."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(HFPROXY[0], [*HFPROXY, *words], daemon.env)
    seen = b""
    try:
        while part := os.read(terminal, 1000):
            seen += part
            if seen.rstrip().endswith(b"[y/N]") and typed:
                os.write(terminal, typed[0].encode() + b"\n")
                typed = typed[1:]
    except OSError:
        pass  # Linux says so when the other end of a terminal is gone
    os.close(terminal)
    return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_each_token_gets_a_name_of_its_own_and_its_rotation_is_offered(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens
) -> None:
    write(folder, a=tokens.me, b=tokens.bot, c=tokens.me, d=tokens.org)
    (folder / "e").write_text(tokens.reader)
    told = daemon.must("scan", "--migrate", "--yes", str(folder))
    assert texts(folder) == dict.fromkeys("abcde", "")
    assert sorted(accounts(daemon).values()) == ["acme", "bot", "me", "me"]
    for name, user in accounts(daemon).items():
        assert name == "default" or name.startswith(user)
        assert f"hf-proxy rotate --account {name}" in told
    assert sorted(entry["kind"] for entry in daemon.audit()).count("login") == 4


def test_a_token_that_the_vault_has_already_stays_one_account(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens
) -> None:
    daemon.login(tokens.me, "--account", "mine")
    write(folder, a=tokens.me)
    daemon.must("scan", "--migrate", "--yes", str(folder))
    assert accounts(daemon) == {"mine": "me"}
    assert texts(folder) == {"a": ""}


def test_a_dead_token_is_left_and_named(daemon: PersistentDaemon, folder: Path, tokens: Tokens) -> None:
    dead = made_up()
    write(folder, a=dead, b=f"{dead} {tokens.me}")
    done = daemon.cli("scan", "--migrate", "--yes", "--json", str(folder))
    assert (done.returncode, states(done.stdout)["a"]) == (1, "dead")
    assert texts(folder) == {"a": dead, "b": f"{dead} "}
    assert list(accounts(daemon).values()) == ["me"]
    assert "does not accept it" in daemon.cli("scan", "--whoami", str(folder)).stdout


def test_a_person_at_a_terminal_may_have_dead_ones_taken_out(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens
) -> None:
    write(folder, a=made_up(), b=tokens.me)
    told, code = on_a_terminal(daemon, "scan", "--migrate", str(folder), typed="yy")
    assert (code, texts(folder)) == (0, {"a": "", "b": ""}), told
    assert "Move 2 tokens into the vault, and remove them from 2 files? [y/N]" in told
    assert "for good?" in told


@pytest.mark.parametrize(("typed", "left"), [("n", ("dead", "me")), ("yn", ("dead", ""))])
def test_a_no_is_a_no(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens, typed: str, left: tuple[str, str]
) -> None:
    known = {"dead": made_up(), "me": tokens.me, "": ""}
    write(folder, a=known["dead"], b=tokens.me)
    _, code = on_a_terminal(daemon, "scan", "--migrate", str(folder), typed=typed)
    assert code == 1
    assert texts(folder) == {"a": known[left[0]], "b": known[left[1]]}


def test_nothing_is_taken_out_where_the_hub_cannot_be_asked(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens
) -> None:
    daemon.stop()
    daemon.hub = "https://127.0.0.1:9"
    daemon.configure()
    daemon.begin()
    write(folder, a=tokens.me, b=tokens.bot)
    done = daemon.cli("scan", "--migrate", "--yes", "--json", str(folder))
    assert (done.returncode, set(states(done.stdout).values())) == (1, {"left"})
    assert all("127.0.0.1:9" in one["why"] for one in json.loads(done.stdout)["findings"])
    assert texts(folder) == {"a": tokens.me, "b": tokens.bot}


def test_nothing_is_taken_out_for_a_vault_that_ends_with_the_daemon(
    hub: FakeHub, tmp_path: Path, tokens: Tokens
) -> None:
    daemon = DaemonFixture(tmp_path / "passing", hub.url, hub.ca_path)
    daemon.start()
    file = daemon.root / "a"
    file.write_text(tokens.me)
    done = daemon.cli("scan", "--migrate", "--yes", str(file))
    assert done.returncode == 1
    assert "[vault]" in done.stdout
    assert file.read_text() == tokens.me


def test_nothing_is_done_while_the_vault_is_locked(daemon: PersistentDaemon, folder: Path, tokens: Tokens) -> None:
    daemon.must("lock")
    write(folder, a=tokens.me)
    done = daemon.cli("scan", "--migrate", "--yes", str(folder))
    assert done.returncode == 1
    assert "hf-proxy unlock" in done.stdout
    assert texts(folder) == {"a": tokens.me}


def test_it_cannot_be_done_from_inside_of_a_grant(daemon: PersistentDaemon, folder: Path, tokens: Tokens) -> None:
    daemon.login(tokens.me)
    write(folder, a=tokens.bot)
    done = daemon.cli("exec", "--", *HFPROXY, "scan", "--migrate", "--yes", str(folder))
    assert done.returncode == 1
    assert "inside of grant" in done.stdout
    assert (texts(folder), accounts(daemon)) == ({"a": tokens.bot}, {"default": "me"})


def test_a_login_by_browser_is_moved_with_what_renews_it(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens
) -> None:
    stored = folder / "stored_tokens"
    text = "[a]\nhf_token = {}\nrefresh_token = {}\nexpires_at = 1\n\n[b]\nhf_token = {}\n"
    stored.write_text(text.format(tokens.oauth, tokens.refresh, tokens.bot))
    write(folder, log=tokens.refresh)  # which is known for what it is there too
    daemon.must("scan", "--migrate", "--yes", str(folder))
    assert texts(folder) == {"stored_tokens": text.format("", "", ""), "log": ""}
    assert sorted(accounts(daemon).values()) == ["bot", "me"]


def test_what_renews_a_login_stays_while_the_login_does(daemon: PersistentDaemon, folder: Path, tokens: Tokens) -> None:
    text = f"[a]\nhf_token = hf_oauth_eyJ0.{made_up()[3:]}7\nrefresh_token = {tokens.refresh}\n"
    write(folder, stored_tokens=text, log=tokens.refresh)
    told, code = on_a_terminal(daemon, "scan", "--migrate", str(folder), typed="yn")
    assert code == 1
    assert texts(folder) == {"stored_tokens": text, "log": tokens.refresh}
    assert "a refresh token whose login was not moved" in told
    assert tokens.refresh not in told


def test_whoami_says_whose_and_changes_nothing(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens, hub: FakeHub
) -> None:
    write(folder, a=tokens.bot)
    asked = len(hub.requests)
    daemon.cli("scan", str(folder))
    assert len(hub.requests) == asked  # only if it is told to
    (one,) = json.loads(daemon.cli("scan", "--whoami", "--json", str(folder)).stdout)["findings"]
    assert (one["user"], one["account"], one["state"]) == ("bot", "default", "found")
    assert (texts(folder), accounts(daemon)) == ({"a": tokens.bot}, {})


def test_a_dry_run_changes_nothing_and_needs_nobody(daemon: PersistentDaemon, folder: Path, tokens: Tokens) -> None:
    write(folder, a=tokens.me, b="\0" + tokens.bot)
    daemon.stop()
    done = daemon.cli("scan", "--migrate", "--dry-run", "--json", str(folder))
    assert (done.returncode, states(done.stdout)) == (1, {"a": "would-move", "b": "found"})
    assert texts(folder) == {"a": tokens.me, "b": "\0" + tokens.bot}


def test_a_database_is_left_whole(daemon: PersistentDaemon, folder: Path, tokens: Tokens) -> None:
    with sqlite3.connect(folder / "state.db") as database:
        database.execute("create table t (a)")
        database.execute("insert into t values (?)", (tokens.me,))
    database.close()
    done = daemon.cli("scan", "--migrate", "--yes", str(folder))
    assert done.returncode == 1
    assert "by hand: it is binary" in done.stdout
    with sqlite3.connect(folder / "state.db") as database:
        assert database.execute("select a from t").fetchone() == (tokens.me,)
    database.close()


def test_a_second_name_that_was_not_scanned_is_said(daemon: PersistentDaemon, folder: Path, tokens: Tokens) -> None:
    write(folder, a=tokens.me)
    os.link(folder / "a", daemon.root / "outside")
    assert "2 names" in daemon.cli("scan", "--migrate", "--yes", str(folder)).stdout
    daemon.must("scan", "--migrate", "--yes", str(folder), str(daemon.root / "outside"))
    assert (folder / "a").read_text() == (daemon.root / "outside").read_text() == ""
    assert list(accounts(daemon).values()) == ["me"]


def test_the_target_of_a_link_is_changed_and_the_link_stays(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens
) -> None:
    (daemon.root / "dotfiles").mkdir()
    (daemon.root / "dotfiles/bashrc").write_text(f"export HF_TOKEN={tokens.me}\n")
    (folder / ".bashrc").symlink_to("../dotfiles/bashrc")
    daemon.must("scan", "--migrate", "--yes", str(folder))
    assert os.readlink(folder / ".bashrc") == "../dotfiles/bashrc"
    assert (daemon.root / "dotfiles/bashrc").read_text() == "export HF_TOKEN=\n"


@pytest.mark.needs("git")
def test_what_keeps_git_past_hf_proxy_is_named_with_the_command_that_removes_it(
    daemon: PersistentDaemon, folder: Path, tokens: Tokens
) -> None:
    config = folder / ".gitconfig"
    config.write_text(f'[url "https://me:{tokens.me}@huggingface.co/"]\n\tinsteadOf = https://huggingface.co/\n')
    told = daemon.must("scan", "--migrate", "--yes", str(folder))
    (line,) = [line for line in told.splitlines() if "past hf-proxy" in line]
    subprocess.run(line.partition(" with: ")[2], shell=True, check=True)
    assert "huggingface.co" not in config.read_text()
