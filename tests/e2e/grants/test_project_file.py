"""A project's file is worth nothing until a person allowed it, as it is and where it is; then `exec` needs no flags."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY
from wire_client import ask, bearer

pytestmark = pytest.mark.shared_daemon

PASSPHRASE = "a passphrase of the test"
FILE = ".hf-proxy.toml"
WIDE, NARROW = 'scopes = ["read:me/*", "write:me/secret-model"]\n', 'scopes = ["read:me/table"]\n'

Ran = "subprocess.CompletedProcess[str]"
At = Callable[..., Ran]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that was just cloned."""
    (tmp_path / "project" / "src").mkdir(parents=True)
    (tmp_path / "project" / FILE).write_text(WIDE)
    return tmp_path / "project"


@pytest.fixture
def at(daemon: DaemonFixture) -> At:
    """Run `hf-proxy` in a directory, without a terminal."""

    def run(directory: Path, *words: str) -> Ran:
        command = [*daemon.hfproxy, *words]
        return subprocess.run(
            command, env=daemon.env, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )

    return run


def granted(at: At, directory: Path) -> list[str]:
    """The scopes of a credential without flags; none where it was refused."""
    done = at(directory, "mint", "--json")
    if done.returncode:
        assert (done.returncode, done.stdout, "hf-proxy allow" in done.stderr) == (1, "", True), done
        return []
    scopes: list[str] = json.loads(done.stdout)["scopes"]
    return scopes


def allow(at: At, directory: Path) -> None:
    done = at(directory, "allow", "--yes")
    assert (done.returncode, done.stderr) == (0, "")


def test_until_it_is_allowed_nothing_runs(at: At, project: Path) -> None:
    done = at(project / "src", "exec", "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1)
    assert "hf-proxy allow" in done.stderr
    assert str(project / FILE) in done.stderr


def test_what_is_typed_runs_all_the_same(at: At, project: Path) -> None:
    assert at(project, "exec", "--scope", "read:me/*", "--", "echo", "ran").stdout == "ran\n"


def test_then_a_command_has_what_it_asks_for_and_no_more(at: At, project: Path, daemon: DaemonFixture) -> None:
    allow(at, project)
    done = at(
        project / "src",
        "exec",
        "--",
        "sh",
        "-c",
        "echo $HF_ENDPOINT $HF_TOKEN; %s grants --json" % " ".join(daemon.hfproxy),
    )
    grants = json.loads(done.stdout.partition("\n")[2])
    assert [grant["scopes"] for grant in grants] == [["read:me/*", "write:me/secret-model"]]


@pytest.mark.parametrize(("target", "answer"), [("me/secret-model", 200), ("me/new-model", 403)])
def test_the_scopes_are_those_of_the_file(at: At, project: Path, target: str, answer: int) -> None:
    allow(at, project)
    minted = json.loads(at(project, "mint", "--json").stdout)
    headers = bearer(minted["credential"]) | {"Content-Type": "application/json"}
    reply = ask(minted["endpoint"], "POST", f"/api/models/{target}/branch/x", headers, b"{}")
    assert reply.status == answer, reply.raw


def test_a_changed_file_has_to_be_allowed_again(at: At, project: Path) -> None:
    allow(at, project)
    (project / FILE).write_text(NARROW)
    assert granted(at, project) == []
    allow(at, project)
    assert granted(at, project) == ["read:me/table"]
    (project / FILE).write_text(WIDE)
    assert granted(at, project) == ["read:me/*", "write:me/secret-model"]


def test_so_has_the_same_file_in_another_place(at: At, project: Path) -> None:
    allow(at, project)
    shutil.copytree(project, project.with_name("copy"))
    assert granted(at, project.with_name("copy")) == []


def test_what_was_allowed_is_forgotten_on_request(at: At, project: Path) -> None:
    allow(at, project)
    (project / FILE).write_text(NARROW)
    allow(at, project)
    other = project.with_name("other")
    shutil.copytree(project, other)
    allow(at, other)
    assert at(project, "allow", "--forget").returncode == 0
    for text in (WIDE, NARROW):
        (project / FILE).write_text(text)
        assert granted(at, project) == []
    assert granted(at, other) == ["read:me/table"]


class TestDaemonThatStartsAgain:
    """With accounts that outlive it."""

    @pytest.fixture
    def daemon(self, hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
        daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
        begin(daemon)
        daemon.login(CANARY)
        yield daemon
        daemon.stop()

    def test_knows_what_was_allowed(self, at: At, project: Path, daemon: DaemonFixture) -> None:
        allow(at, project)
        daemon.stop()
        begin(daemon)
        assert granted(at, project) == ["read:me/*", "write:me/secret-model"]


def begin(daemon: DaemonFixture) -> None:
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    daemon.start("--passphrase-fd", str(reading), pass_fds=(reading,))
    os.close(reading)


@pytest.mark.own_daemon
def test_who_can_write_the_state_directory_cannot_make_it_up(at: At, project: Path, daemon: DaemonFixture) -> None:
    allow(at, project)
    (made,) = (daemon.state / "allowed").iterdir()
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    (project / FILE).write_text(NARROW)
    allow(at, project)
    (other,) = [note for note in (daemon.state / "allowed").iterdir() if note != made]
    for forged in (made.read_bytes(), b"", b"{}", b'{"path": "", "mac": ""}', b"\xff"):
        other.write_bytes(forged)
        assert granted(at, project) == []


@pytest.mark.own_daemon
def test_with_the_vault_locked_there_is_nothing_to_check_it_with(at: At, project: Path, daemon: DaemonFixture) -> None:
    allow(at, project)
    daemon.must("lock")
    for words in (["exec", "true"], ["allow", "--yes"]):
        done = at(project, *words)
        assert "hf-proxy unlock" in done.stderr
        assert done.returncode in {1, 125}


@pytest.mark.parametrize("bind", ["pid", "tree"])
def test_from_inside_of_a_grant_nothing_is_allowed(at: At, project: Path, daemon: DaemonFixture, bind: str) -> None:
    for way in ("allow --yes", "allow --forget"):
        inside = ["exec", "--scope", "read", "--bind", bind, "--", *daemon.hfproxy, *way.split()]
        done = at(project, *inside)
        assert (done.returncode, done.stdout) == (1, "")
        assert "inside" in done.stderr
    assert granted(at, project) == []


BRANCH = """
curl -s -o /dev/null -w '%{http_code}' -d '{}' -H 'Content-Type: application/json' \\
    -H "Authorization: Bearer $HF_TOKEN" "$HF_ENDPOINT/api/models/me/secret-model/branch/x"
"""


@pytest.mark.needs("curl")
def test_from_inside_an_allowed_file_asks_for_no_more_than_there_is(
    at: At, project: Path, daemon: DaemonFixture
) -> None:
    allow(at, project)
    (project / "branch.sh").write_text(BRANCH)
    inside = (*daemon.hfproxy, "exec", "--", "sh", "branch.sh")
    assert at(project, "exec", "--scope", "read:me/*", "--", *inside).stdout == "403"
    assert at(project, "exec", "--", *inside).stdout == "200"


def test_what_cannot_mean_anything_is_not_allowed(at: At, project: Path) -> None:
    (project / FILE).write_text('scopes = ["read"]\ntoken = "x"\n')
    done = at(project, "allow", "--yes")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "unknown key 'token'" in done.stderr
    assert granted(at, project) == []


def test_it_is_in_the_journal(at: At, project: Path, daemon: DaemonFixture) -> None:
    allow(at, project)
    (entry,) = [entry for entry in daemon.audit() if entry["kind"] == "allowed"]
    assert (entry["project"], entry["scopes"]) == (str(project / FILE), ["read:me/*", "write:me/secret-model"])
    assert f"allowed {project / FILE} read:me/*, write:me/secret-model\n" in daemon.must("audit")
