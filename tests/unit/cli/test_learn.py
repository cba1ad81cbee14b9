"""`learn`: the command's terminal, signals and end stay its own; what is printed, and where."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outcome import HfProxy, failed
from scripted_daemon import CREDENTIAL, MINTED, ScriptedDaemon

LEARN = (sys.executable, "-m", "hfproxy", "learn", "--yes", "--")
# Says that it is there, and then of each SIGINT, SIGTERM and SIGUSR1; ends when it is told to.
LISTENS = """
import os, signal, sys
def said(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, said)
os.write(1, b"ready\\n")
sys.exit(int(sys.stdin.readline()))
"""


def decided(action: str, repo: str) -> dict[str, object]:
    return {"kind": "decided", "decision": "allow", "action": action, "repo": repo}


@pytest.fixture(autouse=True)
def learning(daemon: ScriptedDaemon) -> None:
    """A journal in which the command read and wrote."""
    daemon.answers["audit"] = [decided("read", "models/me/a"), decided("write", "spaces/me/b"), {}]


def test_the_profile_is_on_stderr_and_stdout_is_the_commands(hf_proxy: HfProxy) -> None:
    done = hf_proxy("learn", "--yes", "--", "sh", "-c", "echo mine; exit 41")
    assert (done.returncode, done.stdout) == (41, "mine\n")
    assert done.stderr.splitlines() == [
        "# Learned from 2 requests.",
        "# The command failed: it may need more than this.",
        "[profiles.learned]",
        "scopes = [",
        '  "read:models/me/a",',
        '  "write:spaces/me/b",',
        "]",
        "",
        "hf-proxy exec --scope read:models/me/a --scope write:spaces/me/b -- CMD",
    ]


def test_it_asks_for_everything_and_for_what_its_own_grant_did(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    told = hf_proxy("learn", "--yes", "--account", "work", "printenv", "HF_TOKEN")
    assert told.stdout == f"{CREDENTIAL}\n"
    mint, audit = daemon.requests
    assert mint == {
        **{"do": "mint", "learn": True, "bind": "pid", "of": "caller", "account": "work"},
        **{"label": "learn", "program": "printenv", "found": []},
    }
    assert audit["do"] == "audit"


def test_a_command_that_needs_nothing_is_told_so(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = [{}]
    assert hf_proxy("learn", "--yes", "true").stderr == "# Learned from 0 requests.\n# It needs no scope.\n"


def test_it_is_written_as_a_projects_file_on_request(hf_proxy: HfProxy, tmp_path: Path) -> None:
    script = f'cd "{tmp_path}"; "{sys.executable}" -m hfproxy learn --yes --write true'
    done = hf_proxy("exec", "sh", "-c", script)
    assert done.returncode == 0, done
    assert "hf-proxy allow" in done.stderr
    assert (tmp_path / ".hf-proxy.toml").read_text() == (
        '# Learned from 2 requests.\nscopes = [\n  "read:models/me/a",\n  "write:spaces/me/b",\n]\n'
    )
    again = hf_proxy("exec", "sh", "-c", script)
    assert (again.returncode, "without --write" in again.stderr) == (2, True)


def test_without_a_terminal_it_has_to_be_told(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert "learn --yes" in failed(hf_proxy("learn", "true"), 2)
    assert daemon.requests == []


def test_a_daemon_that_refuses_and_a_command_that_is_not_there(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert "not found" in failed(hf_proxy("learn", "--yes", "/no/such/program"), 127)
    daemon.answers["mint"] = {"error": "no; try: hf-proxy unlock", "code": 1}
    assert "hf-proxy unlock" in failed(hf_proxy("learn", "--yes", "true"), 125)


def test_what_the_journal_holds_cannot_write_to_the_terminal(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    refused = {"kind": "decided", "decision": "deny", "method": "GET", "target": "/\x1b]0;x\nscopes", "refusal": "x"}
    daemon.answers["audit"] = [refused, {}]
    assert "GET /\\x1b]0;x\\nscopes (x)\n" in hf_proxy("learn", "--yes", "true").stderr


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def listening(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A command under `learn` that says which signals it gets."""
    command = [*LEARN, sys.executable, "-c", LISTENS]
    with subprocess.Popen(
        command, env=environment, stdin=-1, stdout=-1, stderr=-1, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_that_is_sent_to_it_is_the_commands(listening: subprocess.Popen[str], number: signal.Signals) -> None:
    listening.send_signal(number)
    assert listening.stdout is not None
    assert listening.stdout.readline() == f"{number.name}\n"
    out, err = listening.communicate("7\n")
    assert (listening.returncode, out) == (7, "")
    assert "[profiles.learned]" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGSEGV])
def test_it_ends_by_the_signal_that_ended_the_command(hf_proxy: HfProxy, number: signal.Signals) -> None:
    done = hf_proxy("learn", "--yes", "sh", "-c", f"kill -{number} $$")
    assert done.returncode == -number
    assert "[profiles.learned]" in done.stderr


def test_a_broken_pipe_ends_the_command_as_ever(hf_proxy: HfProxy) -> None:
    piped = f"({sys.executable} -m hfproxy learn --yes yes 2>/dev/null; echo $? >&2) | head -n 1"
    result = hf_proxy("exec", "sh", "-c", piped)
    assert (result.stdout, result.stderr) == ("y\n", "141\n")


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Callable[[bytes, bytes], bytes]]:
    """An interactive shell on a terminal: types the first, and reads on until the second has come."""
    pid, screen = pty.fork()
    if pid == 0:
        os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], environment | {"PS1": "", "TERM": "dumb"})

    def talk(typed: bytes, awaited: bytes) -> bytes:
        os.write(screen, typed)
        seen = b""
        while awaited not in seen:
            seen += os.read(screen, 1000)
        return seen

    yield talk
    os.close(screen)  # the shell hangs up, and what it runs
    os.waitpid(pid, 0)


def line(*command: str) -> bytes:
    quoted = " ".join(f"'{word}'" for word in command)
    return f"{' '.join(LEARN)} {quoted}\n".encode()


def test_what_is_typed_at_the_command_arrives_there_once(
    terminal: Callable[[bytes, bytes], bytes], tmp_path: Path
) -> None:
    script = tmp_path / "listens.py"
    script.write_text(LISTENS)
    terminal(line(sys.executable, str(script)), b"ready\r\n")
    terminal(b"\x03", b"SIGINT\r\n")
    seen = terminal(b"0\n", b"[profiles.learned]")
    assert b"SIGINT" not in seen


def test_it_stops_and_goes_on_with_the_command(terminal: Callable[[bytes, bytes], bytes], tmp_path: Path) -> None:
    script = tmp_path / "reads"
    script.write_text("echo ready; read x; echo got $x; exit 3\n")
    terminal(line("sh", str(script)), b"ready\r\n")
    terminal(b"\x1a", b"Stopped")
    terminal(b"echo the shell is $((20 + 3))\n", b"is 23\r\n")
    terminal(b"fg\n", b"learn")
    terminal(b"it\n", b"got it\r\n")
    terminal(b"echo code $?\n", b"code 3\r\n")


def test_in_the_background_it_does_not_take_the_terminal(
    terminal: Callable[[bytes, bytes], bytes], tmp_path: Path
) -> None:
    script = tmp_path / "reads"
    script.write_text("read x; echo got $x\n")
    background = line("sh", str(script)).replace(b"\n", b" & wait %1; jobs; echo the shell is $((20 + 3))\n")
    assert b"Stopped" in terminal(background, b"is 23\r\n")
    terminal(b"fg\n", b"learn")
    terminal(b"it\n", b"got it\r\n")
