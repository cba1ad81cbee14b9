"""Commands by name, help, usage errors, and how the program ends."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from outcome import HfProxy, failed
from scripted_daemon import ScriptedDaemon

from hfproxy import __version__

COMMANDS = [
    *("login", "accounts", "logout", "unlock", "lock", "vault", "exec", "mint", "env", "grants", "revoke", "status"),
    *("audit", "daemon", "lockdown", "rotate", "allow", "learn", "completion", "metrics"),
]
TOKEN = "hf_" + "AbCdEfGhIj" * 3 + "WxYz"


def slowly() -> bytes:
    """An answer that takes its time, and then is none."""
    time.sleep(2)
    return b""


def test_help_names_every_command_and_each_has_its_own(hf_proxy: HfProxy) -> None:
    general = hf_proxy("--help")
    assert general.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in general.stdout
        own = hf_proxy(command, "--help")
        assert (own.returncode, own.stderr) == (0, "")
        assert own.stdout.startswith(f"usage: hf-proxy {command}")


def test_no_command_shows_the_help_as_an_error(hf_proxy: HfProxy) -> None:
    result = hf_proxy()
    assert (result.returncode, result.stdout) == (2, "")
    assert "usage: hf-proxy COMMAND" in result.stderr


def test_version(hf_proxy: HfProxy) -> None:
    assert hf_proxy("--version").stdout == f"hf-proxy {__version__}\n"


def test_an_unknown_command_is_answered_by_the_nearest(hf_proxy: HfProxy) -> None:
    assert "did you mean: hf-proxy status" in failed(hf_proxy("statsu"), 2)
    assert "see: hf-proxy --help" in failed(hf_proxy("qqq"), 2)


@pytest.mark.parametrize(
    "words",
    [
        ("status", "extra"),
        ("status", "--jsn"),
        ("status", "--js"),
        ("status", "--json=yes"),
        ("exec",),
        ("exec", "--scope", "read", "--"),
        ("exec", "--", ""),
        ("exec", "--ttl"),
        ("exec", "--ttl", "--", "true"),
        ("exec", "--bind", "moon", "true"),
        ("exec", "--max-uses", "-1", "true"),
        ("exec", "--max-uses", "many", "true"),
        ("exec", "--max-uses", "٣", "true"),
        ("mint", "true"),
        ("env", "--shell", "tcsh"),
        ("revoke",),
        ("revoke", "--all", "g1"),
        ("audit", "verify", "a", "b"),
        ("audit", "verify", "--anchor", "xyz"),
        ("audit", "anchor", "x"),
        ("audit", "nonsense"),
        ("daemon", "--log-level", "loud"),
        ("unlock", "--passphrase-fd", "x"),
        ("unlock", "--passphrase-fd", "3", "--passphrase-file", "f"),
        ("vault",),
        ("vault", "open"),
        ("vault", "seal", "unseal"),
        ("login", "--token-stdin", "--token-file", "f"),
    ],
)
def test_what_cannot_mean_anything_is_two(hf_proxy: HfProxy, words: tuple[str, ...]) -> None:
    failed(hf_proxy(*words), 2)


@pytest.mark.parametrize(
    "words",
    [
        (TOKEN,),
        ("status", TOKEN),
        ("status", f"--{TOKEN}"),
        ("exec", f"--token={TOKEN}", "true"),
        ("audit", TOKEN),
    ],
)
def test_a_token_typed_by_mistake_is_not_repeated(hf_proxy: HfProxy, words: tuple[str, ...]) -> None:
    assert TOKEN[:12] not in failed(hf_proxy(*words), 2)


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("accounts",),
        ("logout",),
        ("mint",),
        ("env",),
        ("grants",),
        ("revoke", "g1"),
        ("audit",),
        ("audit", "anchor"),
        ("unlock",),
        ("lock",),
    ],
)
def test_without_a_daemon_every_command_names_the_next_one(hf_proxy: HfProxy, words: tuple[str, ...]) -> None:
    assert "start it: hf-proxy service install" in failed(hf_proxy(*words), 1)


def test_a_relative_directory_is_a_failure_that_names_the_variable(hf_proxy: HfProxy) -> None:
    assert "HFPROXY_RUNTIME_DIR" in failed(hf_proxy("status", extra={"HFPROXY_RUNTIME_DIR": "run"}), 1)


def test_a_refusal_cannot_drive_the_terminal_or_show_a_token(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = {"error": f"no\x1b[2J\n\u202ebad {TOKEN}", "code": 1}
    assert failed(hf_proxy("status"), 1) == "hf-proxy: no\\x1b[2J\\n\\u202ebad <hidden>\n"


def test_an_interrupt_ends_with_130_and_no_traceback(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = lambda _request: slowly()
    with subprocess.Popen(
        [sys.executable, "-m", "hfproxy", "audit", "-f"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever started the tests in the background has had it ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as program:
        while not daemon.requests:
            time.sleep(0.01)
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 130
        assert program.stderr is not None
        assert program.stderr.read() == ""


def test_a_reader_that_has_enough_is_no_failure_to_talk_of(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = [*({"seq": n, "at": n, "kind": "x" * 500} for n in range(2000)), {}]
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m hfproxy audit | head -n 1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.parametrize(("where", "code"), [("> /dev/full", 1), (">&-", 0), ("2>&-", 0)])
def test_output_that_goes_nowhere_is_no_traceback(
    environment: dict[str, str], daemon: ScriptedDaemon, where: str, code: int
) -> None:
    daemon.answers["grants"] = [{}]
    result = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m hfproxy grants {where}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result
    assert result.stderr == ("hf-proxy: cannot write the output (No space left on device); try again\n" if code else "")


def test_the_prompt_does_not_show_what_is_typed(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    daemon.answers["login"] = {"name": "default", "user": "u", "role": "read", "warnings": []}
    daemon.answers["status"] = {"hub": "https://hub.example"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "hfproxy", "login"], environment)
    seen = b""
    while not seen.endswith(b": "):
        seen += os.read(terminal, 1000)
    os.write(terminal, TOKEN.encode() + b"\n")
    try:
        while part := os.read(terminal, 1000):
            seen += part
    except OSError:
        pass  # Linux says so when the other end of a terminal is gone
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert daemon.requests == [{"do": "status"}, {"do": "login", "account": "default", "token": TOKEN}]
    assert TOKEN.encode() not in seen
    assert b"at https://hub.example, which is not Hugging Face's: " in seen


def test_importing_the_command_line_is_not_running_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import hfproxy.__main__"],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        check=True,
    )
    assert done.stdout == b""
