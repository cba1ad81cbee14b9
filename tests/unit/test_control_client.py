"""The client's checks before its first byte, and what it makes of a daemon that answers badly."""

import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripted_daemon import ScriptedDaemon

from hfproxy import control_client
from hfproxy.errors import DaemonError, RefusedError, UsageError
from hfproxy.wire import MAX_LINE, Message

OTHER_UID = 65534
SECRET = "hf_CanaryCanaryCanaryCanaryCanaryCana"
LOGIN: Message = {"do": "login", "account": "a", "token": SECRET}

as_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="NOT SHOWN HERE: another user's directory and socket; it takes root to make them",
)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("HFPROXY_RUNTIME_DIR", str(directory))
    return directory


@pytest.fixture
def daemon(runtime: Path) -> Iterator[ScriptedDaemon]:
    scripted = ScriptedDaemon(runtime)
    yield scripted
    scripted.close()


def refused(match: str) -> None:
    """A login must fail, in one line, without a word of what it carries."""
    with pytest.raises(DaemonError, match=match) as raised:
        control_client.request(LOGIN)
    assert SECRET not in repr(raised.value)
    assert "\n" not in str(raised.value)


def test_an_answer_comes_back(daemon: ScriptedDaemon) -> None:
    daemon.answers["login"] = {"name": "a"}
    assert control_client.request(LOGIN) == {"name": "a"}
    assert daemon.requests == [LOGIN]


@pytest.mark.parametrize(("code", "kind"), [(1, RefusedError), (2, UsageError)])
def test_a_failure_is_told_by_its_code(daemon: ScriptedDaemon, code: int, kind: type[Exception]) -> None:
    daemon.answers["status"] = {"error": "no; see: hf-proxy x", "code": code}
    with pytest.raises(kind, match=r"^no; see: hf-proxy x$"):
        control_client.request({"do": "status"})


def test_no_directory_no_socket_and_nobody_listening_are_no_daemon(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(r"no daemon is running at .*; start it: hf-proxy service install")
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(runtime / "control.sock"))
    refused("no daemon is running")
    monkeypatch.setenv("HFPROXY_RUNTIME_DIR", str(runtime / "absent"))
    refused("no daemon is running")


def test_a_symbolic_link_is_not_the_directory(
    daemon: ScriptedDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(daemon.directory)
    monkeypatch.setenv("HFPROXY_RUNTIME_DIR", str(tmp_path / "link"))
    refused("is not a real directory")
    assert daemon.requests == []


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o740, 0o750, 0o755, 0o777, 0o500])
def test_a_directory_that_others_may_enter_is_refused(daemon: ScriptedDaemon, mode: int) -> None:
    daemon.directory.chmod(mode)
    refused(f"mode {mode:04o}.*chmod 700")
    daemon.directory.chmod(0o700)
    assert daemon.requests == []


@as_root
def test_another_users_directory_is_refused(daemon: ScriptedDaemon) -> None:
    os.chown(daemon.directory, OTHER_UID, OTHER_UID)
    refused(f"belongs to uid {OTHER_UID}, not to you")
    assert daemon.requests == []


def test_a_file_in_place_of_the_socket_is_refused(runtime: Path) -> None:
    (runtime / "control.sock").write_text("")
    refused("is not a socket")


def test_a_link_in_place_of_the_socket_is_refused(
    daemon: ScriptedDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "control.sock").symlink_to(daemon.directory / "control.sock")
    monkeypatch.setenv("HFPROXY_RUNTIME_DIR", str(other))
    refused("is not a socket")
    assert daemon.requests == []


def test_a_path_too_long_for_a_socket_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("HFPROXY_RUNTIME_DIR", str(deep))
    (deep / "short").mkdir()
    os.mknod(deep / "control.sock", stat.S_IFSOCK | 0o600)
    refused("cannot be used .*too long")


@as_root
def test_nothing_is_sent_to_another_users_daemon(runtime: Path) -> None:
    """The directory is ours; only the kernel can say who listens on the socket in it."""
    heard, ready = os.pipe(), os.pipe()
    squatter = os.fork()
    if squatter == 0:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(runtime / "control.sock"))
            os.setuid(OTHER_UID)
            listener.listen()
            os.write(ready[1], b"!")
            connection, _ = listener.accept()
            os.write(heard[1], connection.recv(100) or b"-")
        os._exit(0)
    os.read(ready[0], 1)
    refused("is not yours; nothing was sent")
    assert os.read(heard[0], 100) == b"-"
    os.waitpid(squatter, 0)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (b"", "hung up"),
        (b'{"name":', "hung up"),
        (b'{"name": "a"}', "hung up"),
        (b"not json\n", "is malformed"),
        (b"[1]\n", "is malformed"),
        (b"\xff\n", "is malformed"),
        (b"[" * 100_000 + b"\n", "is malformed"),
        (b'{"error": 7}\n', "is malformed"),
        (b"x" * (MAX_LINE + 10), "is malformed"),
    ],
)
def test_a_bad_answer_is_one_clear_line(daemon: ScriptedDaemon, answer: bytes, match: str) -> None:
    daemon.answers["login"] = answer
    refused(match)


def test_a_daemon_that_is_silent_is_not_waited_for_for_ever(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_client, "ANSWER_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(runtime / "control.sock"))
        listener.listen()
        refused("does not answer")


def test_a_refusal_before_the_request_was_read_is_still_heard(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(runtime / "control.sock"))
        listener.listen()

        def refuse() -> None:
            connection, _ = listener.accept()
            connection.sendall(b'{"error": "too many at once", "code": 1}\n')
            connection.shutdown(socket.SHUT_RD)
            connection.close()

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(RefusedError, match="too many at once"):
            control_client.request({"do": "mint", "found": ["x" * 900_000]})
        thread.join()


def test_more_than_a_line_may_hold_is_not_sent(daemon: ScriptedDaemon) -> None:
    with pytest.raises(UsageError, match="the request is too large for the daemon"):
        control_client.request({"do": "mint", "found": ["x" * MAX_LINE]})
    assert daemon.requests == []


def test_entries_end_with_the_empty_one_and_not_before(daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = [{"seq": 1}, {"seq": 2}, {}]
    assert list(control_client.stream({"do": "audit"})) == [{"seq": 1}, {"seq": 2}]
    daemon.answers["audit"] = [{"seq": 1}]
    with pytest.raises(DaemonError, match="hung up"):
        list(control_client.stream({"do": "audit"}))


@pytest.mark.parametrize("answer", [{}, {"x": 7}, {"x": [7]}, {"x": None}])
def test_a_member_of_another_kind_is_a_senseless_answer(answer: Message) -> None:
    for read in (control_client.text, control_client.texts, control_client.rows):
        with pytest.raises(DaemonError, match="is malformed"):
            read(answer, "x")
