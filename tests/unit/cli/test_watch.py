"""`status --watch`: on a terminal, for a log, for a program."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from outcome import HfProxy, failed
from scripted_daemon import ScriptedDaemon
from terminal import Terminal

WATCH = [sys.executable, "-m", "hfproxy", "status", "--watch"]
LABEL = "night run\x1b[31m"


class Busy:
    """A daemon's answers: ten requests more at each look, one of them refused."""

    def __init__(self, daemon: ScriptedDaemon) -> None:
        self.requests = 0
        self.granted: dict[str, object] = {
            "id": "0a1b2c3d4e5f6071",
            "label": LABEL,
            "scopes": ["read:me/*"],
            "program": "python",
            "uses": 7,
            "expires_at": int(time.time()) + 7230,
        }
        daemon.answers |= {"status": self.status, "grants": lambda _: [self.granted, {}]}

    def status(self, _request: object) -> dict[str, object]:
        self.requests += 10
        return {
            "version": "9",
            "endpoint": "http://127.0.0.1:4880",
            "vault": "memory",
            "accounts": [{"name": "default", "user": "ada", "role": "write"}],
            "grants": 1,
            "requests": self.requests,
            "denied": self.requests // 10,
        }


@pytest.fixture
def busy(daemon: ScriptedDaemon) -> Busy:
    return Busy(daemon)


@pytest.fixture
def piped(environment: dict[str, str]) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_without_a_terminal_it_is_a_line_a_second(
    busy: Busy, environment: dict[str, str], piped: list[subprocess.Popen[str]]
) -> None:
    process = subprocess.Popen(WATCH, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    piped.append(process)
    assert process.stdout is not None and process.stderr is not None
    first, second = process.stdout.readline(), process.stdout.readline()
    assert "0.0 requests a second, 0.0 refused (since the start: 10, 1); 1 grants" in first
    assert "(since the start: 20, 2)" in second and " 0.0 requests" not in second
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert process.stderr.read() == ""


def test_for_a_program_it_is_an_object_a_line(
    busy: Busy, environment: dict[str, str], piped: list[subprocess.Popen[str]]
) -> None:
    process = subprocess.Popen([*WATCH, "--json"], env=environment, stdout=subprocess.PIPE, text=True)
    piped.append(process)
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    assert (first["requests"], first["per_second"], first["denied_per_second"]) == (10, 0, 0)
    assert second["requests"] == 20
    assert 0 < second["denied_per_second"] < second["per_second"] <= 10
    assert second["granted"] == [busy.granted]


def test_a_counter_that_began_anew_is_not_a_rate_below_nought(
    busy: Busy, environment: dict[str, str], piped: list[subprocess.Popen[str]]
) -> None:
    process = subprocess.Popen([*WATCH, "--json"], env=environment, stdout=subprocess.PIPE, text=True)
    piped.append(process)
    assert process.stdout is not None
    process.stdout.readline()
    busy.requests = -10  # the next look finds 0
    assert json.loads(process.stdout.readline())["per_second"] == 0


@pytest.fixture
def terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(WATCH, environment | {"COLUMNS": "100", "LINES": "12", "PYTHONIOENCODING": "utf-8"}, tmp_path)
    yield terminal
    terminal.close()


def test_on_a_terminal_it_is_drawn_over_itself(busy: Busy, terminal: Terminal) -> None:
    frame = terminal.until(r"(?s)\x1b\[J(.*?)\x1b\[(\d+)F\x1b\[J")
    lines = frame[1].split("\r\n")
    assert int(frame[2]) == len(lines) - 1, "it goes back by as many lines as it wrote"
    assert lines[-2].startswith("0a1b2c3d4e5f6071  2h 0m  7     python")
    assert r"night run\x1b[31m" in lines[-2], "a label is only shown"
    assert max(map(len, lines)) < 100
    terminal.until("requests a second")
    terminal.press("\x03")
    assert terminal.process.wait(20) == 0


def test_on_a_terminal_a_daemon_may_go_and_come_back(busy: Busy, daemon: ScriptedDaemon, terminal: Terminal) -> None:
    terminal.until("since the start")
    answer = daemon.answers["status"]
    daemon.answers["status"] = b""
    terminal.until("(?s)the daemon hung up.*retrying every second")
    daemon.answers["status"] = answer
    terminal.until("since the start")


def test_it_fails_at_once_where_there_is_no_daemon(hf_proxy: HfProxy) -> None:
    for words in (("status", "--watch"), ("status", "--watch", "--json")):
        assert "hf-proxy daemon" in failed(hf_proxy(*words), 1)
