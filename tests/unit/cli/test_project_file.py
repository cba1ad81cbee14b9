"""A project's file: which one is found, when, and how it is shown before it is allowed."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from outcome import HfProxy, Result, done, failed
from scripted_daemon import ScriptedDaemon

from hfproxy.wire import Message

FILE = ".hf-proxy.toml"
TEXT = 'scopes = ["read:models/me/a"]\n'
HFPROXY = (sys.executable, "-m", "hfproxy")
At = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a file, and directories below."""
    (tmp_path / "a project" / "src" / "deep").mkdir(parents=True)
    (tmp_path / "a project" / FILE).write_text(TEXT)
    return tmp_path / "a project"


@pytest.fixture
def at(environment: dict[str, str]) -> At:
    """Run `hf-proxy` in a directory."""

    def run(directory: Path, *words: str, **more: object) -> Result:
        command = [*HFPROXY, *words]
        return subprocess.run(
            command, env=environment, cwd=directory, stdin=-3, capture_output=True, text=True, timeout=20, **more
        )

    return run


def named(daemon: ScriptedDaemon) -> object:
    return daemon.requests[-1].get("project")


@pytest.mark.parametrize("words", [("exec", "true"), ("mint",), ("env",)])
@pytest.mark.parametrize("below", [".", "src/deep"])
def test_the_nearest_file_above_goes_along_as_it_is(
    at: At, daemon: ScriptedDaemon, project: Path, words: tuple[str, ...], below: str
) -> None:
    done(at(project / below, *words))
    assert named(daemon) == {"path": str(project / FILE), "content": TEXT}


def test_a_nearer_one_wins(at: At, daemon: ScriptedDaemon, project: Path) -> None:
    (project / "src" / FILE).write_text("scopes = []")
    done(at(project / "src" / "deep", "exec", "true"))
    assert named(daemon) == {"path": str(project / "src" / FILE), "content": "scopes = []"}


@pytest.mark.parametrize("option", [("--scope", "read"), ("--profile", "p")])
def test_what_is_typed_wins(at: At, daemon: ScriptedDaemon, project: Path, option: tuple[str, str]) -> None:
    done(at(project, "exec", *option, "true"))
    assert named(daemon) is None


def test_where_there_is_none_nothing_is_said(at: At, daemon: ScriptedDaemon, tmp_path: Path) -> None:
    done(at(tmp_path, "exec", "true"))
    assert named(daemon) is None


def test_a_directory_that_was_removed_has_none(
    at: At, daemon: ScriptedDaemon, project: Path, environment: dict[str, str]
) -> None:
    gone = project / "gone"
    gone.mkdir()
    line = f'rmdir "{gone}"; exec "{sys.executable}" -m hfproxy exec /bin/true'
    assert subprocess.run(["sh", "-c", line], cwd=gone, env=environment).returncode == 0
    assert named(daemon) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_passed_over(at: At, daemon: ScriptedDaemon, project: Path) -> None:
    (project / "src" / FILE).write_text("scopes = []")
    os.chown(project / "src", 12345, 12345)
    done(at(project / "src" / "deep", "exec", "true"))
    assert named(daemon) == {"path": str(project / FILE), "content": TEXT}
    assert "directory of yours" in failed(at(project, "allow", "--yes", "src"), 2)


def spoil(file: Path, how: str) -> None:
    file.unlink()
    match how:
        case "a pipe":
            os.mkfifo(file)
        case "a directory":
            file.mkdir()
        case "a link to nothing":
            file.symlink_to("nothing")
        case "endless":
            file.symlink_to("/dev/zero")
        case "too long":
            file.write_bytes(b"#" * 65537)
        case "no text":
            file.write_bytes(b"\xff")


@pytest.mark.parametrize("how", ["a pipe", "a directory", "a link to nothing", "endless", "too long", "no text"])
def test_one_that_cannot_be_read_is_not_passed_over(at: At, daemon: ScriptedDaemon, project: Path, how: str) -> None:
    spoil(project / FILE, how)
    assert "--scope" in failed(at(project, "exec", "true"), 125)
    failed(at(project, "mint"), 1)
    failed(at(project, "allow", "--yes"), 1)
    assert daemon.requests == []


def test_what_it_asks_for_is_shown_before_it_is_allowed(at: At, daemon: ScriptedDaemon, project: Path) -> None:
    daemon.answers["allow"] = {"path": "p", "scopes": ["read:me/*", "write\x1b[2K:x"]}
    shown = done(at(project / "src", "allow", "--yes"))
    assert shown.splitlines()[:3] == [f"{project / FILE} asks for:", "  read:me/*", "  write\\x1b[2K:x"]
    file: Message = {"path": str(project / FILE), "content": TEXT}
    assert daemon.requests == [
        {"do": "allow", "project": file, "dry": True},
        {"do": "allow", "project": file},
    ]


def test_without_a_terminal_it_has_to_be_told(at: At, daemon: ScriptedDaemon, project: Path) -> None:
    assert "hf-proxy allow --yes" in failed(at(project, "allow"), 2)
    assert daemon.requests == []


@pytest.mark.parametrize(("typed", "code", "asked"), [(b"y\n", 0, [True, None]), (b"\n", 1, [True])])
def test_a_person_is_asked(
    environment: dict[str, str], daemon: ScriptedDaemon, project: Path, typed: bytes, code: int, asked: list[object]
) -> None:
    daemon.answers["allow"] = {"path": "p", "scopes": ["read:me/*"]}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project)
        os.execve(sys.executable, [*HFPROXY, "allow"], environment)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(terminal, 1000)
    assert b"read:me/*" in seen
    os.write(terminal, typed)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    os.close(terminal)
    assert [request.get("dry") for request in daemon.requests] == asked


@pytest.mark.parametrize("words", [(), (FILE,), (".",), ("../link",)])
def test_a_place_has_one_name(at: At, daemon: ScriptedDaemon, project: Path, words: tuple[str, ...]) -> None:
    """The one that `exec` sees, by whatever way it is named."""
    (project.parent / "link").symlink_to(project)
    daemon.answers["allow"] = {"path": "p", "scopes": []}
    daemon.answers["forget"] = {"forgotten": 1}
    done(at(project, "allow", "--yes", *words))
    done(at(project, "allow", "--forget", *words))
    assert daemon.requests[0]["project"] == {"path": str(project / FILE), "content": TEXT}
    assert daemon.requests[-1] == {"do": "forget", "path": str(project / FILE)}


def test_where_there_is_nothing_to_allow(at: At, daemon: ScriptedDaemon, project: Path, tmp_path: Path) -> None:
    assert "hf-proxy allow FILE" in failed(at(tmp_path, "allow"), 2)
    (project / "other.toml").write_text(TEXT)
    assert FILE in failed(at(project, "allow", "--yes", "other.toml"), 2)
    assert daemon.requests == []


def test_a_path_that_is_no_text_is_sent_as_escapes(at: At, daemon: ScriptedDaemon, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff")
    os.mkdir(odd)
    Path(odd, FILE).write_text(TEXT)
    done(at(Path(odd), "exec", "true"))
    assert named(daemon) == {"path": f"{tmp_path}/odd\\xff/{FILE}", "content": TEXT}
