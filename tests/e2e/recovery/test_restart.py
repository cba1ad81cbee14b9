"""What survives the daemon: grants with a living process, what was used, and above all every end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY
from wire_client import ask, bearer

PASSPHRASE = "a passphrase of the test"


@pytest.fixture
def daemon(hub: FakeHub, tmp_path: Path) -> DaemonFixture:
    """A daemon whose accounts outlive it."""
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
    begin(daemon)
    daemon.login(CANARY)
    return daemon


def begin(daemon: DaemonFixture) -> None:
    """Start the daemon with its passphrase."""
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    daemon.start("--passphrase-fd", str(reading), pass_fds=(reading,))
    os.close(reading)


def kill(daemon: DaemonFixture) -> None:
    """As a crash does."""
    assert daemon.process is not None
    daemon.process.kill()
    daemon.process.wait()
    daemon.process = None


def stop(daemon: DaemonFixture) -> None:
    daemon.stop()


def status(minted: dict[str, Any]) -> tuple[int, str | None]:
    reply = ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"]))
    return reply.status, reply.refusal


END = pytest.mark.parametrize("end", [stop, kill], ids=["stopped", "killed"])


@END
def test_a_grant_lives_on(daemon: DaemonFixture, end: Callable[[DaemonFixture], None]) -> None:
    minted = daemon.mint("--label", "long", "--scope", "read:me/*")
    before = json.loads(daemon.must("grants", "--json"))
    end(daemon)
    begin(daemon)
    assert status(minted) == (200, None)
    after = json.loads(daemon.must("grants", "--json"))
    assert [{**grant, "uses": 0} for grant in after] == before


@END
@pytest.mark.parametrize("bind", ["pid", "tree"])
def test_a_running_exec_keeps_working_and_still_ends_with_its_command(
    daemon: DaemonFixture, end: Callable[[DaemonFixture], None], bind: str
) -> None:
    script = (
        "import json, os, sys, urllib.request\n"
        "for _ in sys.stdin:\n"
        "    request = urllib.request.Request(os.environ['HF_ENDPOINT'] + '/api/models/me/secret-model',\n"
        "        headers={'Authorization': 'Bearer ' + os.environ['HF_TOKEN']})\n"
        "    print(urllib.request.urlopen(request).status, os.environ['HF_TOKEN'], flush=True)\n"
    )
    command = [*daemon.hfproxy, "exec", "--bind", bind, "--", sys.executable, "-c", script]
    process = subprocess.Popen(command, env=daemon.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None

    def asked() -> list[str]:
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().split()

    _, credential = asked()
    end(daemon)
    begin(daemon)
    assert asked() == ["200", credential]
    process.communicate()
    minted = {"endpoint": daemon.status()["endpoint"], "credential": credential}
    deadline = time.monotonic() + 10
    while status(minted) != (401, "revoked"):
        assert time.monotonic() < deadline


def test_a_command_that_ended_while_there_was_no_daemon_has_no_grant_any_more(daemon: DaemonFixture) -> None:
    process = subprocess.Popen(
        [
            *daemon.hfproxy,
            "exec",
            "--",
            sys.executable,
            "-c",
            "import os; print(os.environ['HF_TOKEN'], flush=True); input()",
        ],
        env=daemon.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    credential = process.stdout.readline().strip()
    kill(daemon)
    process.communicate()
    begin(daemon)
    assert status({"endpoint": daemon.status()["endpoint"], "credential": credential}) == (401, "revoked")
    assert json.loads(daemon.must("grants", "--json")) == []


@END
def test_what_was_revoked_stays_revoked(daemon: DaemonFixture, end: Callable[[DaemonFixture], None]) -> None:
    minted = daemon.mint()
    daemon.must("revoke", minted["id"])
    end(daemon)
    begin(daemon)
    assert status(minted) == (401, "revoked")


@END
def test_what_was_used_stays_used(daemon: DaemonFixture, end: Callable[[DaemonFixture], None]) -> None:
    minted = daemon.mint("--max-uses", "3")
    assert [status(minted)[0] for _ in range(2)] == [200, 200]
    end(daemon)
    begin(daemon)
    assert [status(minted)[0] for _ in range(2)] == [200, 403]


@END
def test_the_requests_of_the_last_minute_stay_counted(
    daemon: DaemonFixture, end: Callable[[DaemonFixture], None]
) -> None:
    minted = daemon.mint("--max-rate", "2")
    assert [status(minted)[0] for _ in range(2)] == [200, 200]
    end(daemon)
    begin(daemon)
    assert status(minted) == (429, "limit")


@END
def test_a_child_is_still_its_parents_child(daemon: DaemonFixture, end: Callable[[DaemonFixture], None]) -> None:
    script = '"$@" mint --bind none --scope write; read line'
    process = subprocess.Popen(
        [*daemon.hfproxy, "exec", "--scope", "read:me/*", "--", "bash", "-c", script, "-", *daemon.hfproxy],
        env=daemon.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = {"credential": process.stdout.readline().strip(), "endpoint": daemon.status()["endpoint"]}
    end(daemon)
    begin(daemon)
    reply = ask(child["endpoint"], "DELETE", "/api/models/me/secret-model/branch/x", bearer(child["credential"]))
    assert (reply.status, reply.refusal) == (403, "scope")
    process.communicate()
    deadline = time.monotonic() + 10
    while status(child) != (401, "revoked"):
        assert time.monotonic() < deadline


def test_a_damaged_store_is_refused_with_a_way_out(daemon: DaemonFixture) -> None:
    minted = daemon.mint()
    daemon.stop()
    grants = daemon.state / "grants"
    file = grants / "grants.sqlite"
    file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(AssertionError, match=rf"mv {grants} {grants}\.bad"):
        begin(daemon)
    grants.rename(daemon.state / "grants.bad")
    begin(daemon)
    assert status(minted) == (401, "unknown_credential")


# --- sockets that outlive it ------------------------------------------------------------------------------------------


class Activated:
    """What a service manager does: it holds both listeners, and starts one daemon after another on them."""

    def __init__(self, daemon: DaemonFixture) -> None:
        self._daemon = daemon
        self.data = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._control = socket.socket(socket.AF_UNIX)
        daemon.runtime.mkdir(mode=0o700, exist_ok=True)
        self._control.bind(str(daemon.runtime / "control.sock"))
        (daemon.runtime / "control.sock").chmod(0o600)
        self._control.listen(4096)
        self.endpoint = f"http://127.0.0.1:{self.data.getsockname()[1]}"

    def start(self) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        os.write(writing, PASSPHRASE.encode())
        os.close(writing)
        given = (self.data.fileno(), self._control.fileno(), reading)
        script = (
            f"exec 3<&{given[0]} 4<&{given[1]} 5<&{reading};"
            ' LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=data:control exec "$@" daemon --passphrase-fd 5'
        )
        with self._daemon.log.open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-c", script, "-", *self._daemon.hfproxy], env=self._daemon.env, pass_fds=given, stderr=log
            )
        os.close(reading)
        return process

    def close(self) -> None:
        self.data.close()
        self._control.close()


@pytest.fixture
def manager(daemon: DaemonFixture) -> Iterator[Activated]:
    daemon.stop()
    manager = Activated(daemon)
    yield manager
    manager.close()


class Load:
    """Clients of every kind that never pause, and what became of what they asked. Used as a context: it ends with that."""

    def __init__(self, daemon: DaemonFixture, manager: Activated, credential: str) -> None:
        self._daemon, self._manager, self._credential = daemon, manager, credential
        self._goes_on = threading.Event()
        self._clients: list[threading.Thread] = []
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []
        self.cut = 0
        """Kept connections that were closed while nothing of an answer had come: a client asks again on another."""

    def __enter__(self) -> "Load":
        self._goes_on.set()
        kinds = [(self._anew, 16), (self._kept, 8), (self._asks_control, 8), (self._inside_exec, 2)]
        self._clients = [threading.Thread(target=self._run, args=(kind,)) for kind, many in kinds for _ in range(many)]
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._goes_on.clear()
        for client in self._clients:
            client.join()

    def wait(self, process: "subprocess.Popen[bytes]") -> None:
        """Until every kind of client has been answered anew, many times over."""
        wanted = {kind: self.answered[kind] + 20 for kind in ("anew", "kept", "control", "inside")}
        deadline = time.monotonic() + 60
        while any(self.answered[kind] < number for kind, number in wanted.items()):
            assert process.poll() is None
            assert not self.failed, self.failed[:3]
            assert time.monotonic() < deadline, self.answered
            time.sleep(0.01)

    def _run(self, kind: Callable[[], None]) -> None:
        try:
            kind()
        except Exception as error:
            self.failed.append(f"{kind.__name__}: {error!r}")

    def _count(self, kind: str, status: int) -> None:
        if status == 200:
            self.answered[kind] += 1
        else:
            self.failed.append(f"{kind}: {status}")

    def _anew(self) -> None:
        while self._goes_on.is_set():
            reply = ask(self._manager.endpoint, "GET", "/api/models/me/secret-model", bearer(self._credential))
            self._count("anew", reply.status)

    def _kept(self) -> None:
        def connect() -> http.client.HTTPConnection:
            return http.client.HTTPConnection(self._manager.endpoint.removeprefix("http://"), timeout=60)

        connection, fresh = connect(), True
        while self._goes_on.is_set():
            try:
                connection.request("GET", "/api/models/me/secret-model", headers=dict(bearer(self._credential)))
                reply = connection.getresponse()
                reply.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                assert not fresh
                self.cut += 1
                connection, fresh = connect(), True
            else:
                self._count("kept", reply.status)
                fresh = reply.will_close
        connection.close()

    def _asks_control(self) -> None:
        while self._goes_on.is_set():
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self._daemon.runtime / "control.sock"))
                connection.sendall(b'{"do": "status"}\n')
                with connection.makefile("rb") as answer:
                    self._count("control", 200 if b'"pid"' in answer.readline() else 0)

    def _inside_exec(self) -> None:
        """What one command asks for, from before the first restart to after the last."""
        script = (
            "import os, sys, urllib.request\n"
            "for _ in sys.stdin:\n"
            "    request = urllib.request.Request(os.environ['HF_ENDPOINT'] + '/api/models/me/secret-model',\n"
            "        headers={'Authorization': 'Bearer ' + os.environ['HF_TOKEN']})\n"
            "    print(urllib.request.urlopen(request).status, flush=True)\n"
        )
        command = [*self._daemon.hfproxy, "exec", "--scope", "read:me/*", "--", sys.executable, "-c", script]
        with subprocess.Popen(
            command,
            env=self._daemon.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            while self._goes_on.is_set():
                process.stdin.write("\n")
                process.stdin.flush()
                line = process.stdout.readline()
                self._count("inside", int(line or 0))
                if not line:
                    return
            process.communicate()


RESTARTS = 12


@pytest.mark.timeout(300)
def test_with_sockets_of_the_service_manager_nobody_notices_a_restart(
    daemon: DaemonFixture, manager: Activated
) -> None:
    """Not one connection is refused, and not one request fails, while one daemon follows another."""
    process = manager.start()
    minted = daemon.mint("--ttl", "1h")
    try:
        with Load(daemon, manager, minted["credential"]) as load:
            load.wait(process)
            for _ in range(RESTARTS):
                process.terminate()
                assert process.wait(30) == 0
                process = manager.start()
                load.wait(process)
    finally:
        process.terminate()
        process.wait(30)
    print(f"{RESTARTS} restarts: {dict(load.answered)} answered, {load.cut} kept connections closed while idle")
    assert load.failed == []


def test_all_who_come_while_there_is_no_daemon_are_served_by_the_next(
    daemon: DaemonFixture, manager: Activated
) -> None:
    """As many as the kernel lets wait; a daemon that has been does not make them fewer."""
    process = manager.start()
    minted = daemon.mint("--ttl", "1h")
    process.terminate()
    assert process.wait(30) == 0
    host = manager.endpoint.removeprefix("http://")
    request = (
        f"GET /api/models/me/secret-model HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {minted['credential']}\r\nConnection: close\r\n\r\n"
    )
    waiting = [socket.create_connection(tuple(host.split(":")), timeout=20) for _ in range(400)]
    for client in waiting:
        client.sendall(request.encode())
    process = manager.start()
    try:
        answers = {client.makefile("rb").readline() for client in waiting}
    finally:
        for client in waiting:
            client.close()
        process.terminate()
        process.wait(30)
    assert answers == {b"HTTP/1.1 200 OK\r\n"}


def test_of_a_daemon_that_is_killed_no_connection_is_refused_either(daemon: DaemonFixture, manager: Activated) -> None:
    process = manager.start()
    minted = daemon.mint("--ttl", "1h")
    for _ in range(3):
        process.kill()
        process.wait()
        with socket.create_connection(tuple(manager.endpoint.removeprefix("http://").split(":")), timeout=20):
            process = manager.start()
            assert status(minted) == (200, None)
    process.terminate()
    process.wait(30)


# --- the clock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def faked(daemon: DaemonFixture) -> Iterator[Callable[[str], None]]:
    """Start the daemon anew, its clock off by what is said. It drops what is preloaded, so the loader is told itself."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    loader = next(Path("/lib64").glob("ld-linux-*.so.2"), None)
    if library is None or loader is None:
        pytest.skip("needs libfaketime; on Debian: apt install libfaketime")
    rc = daemon.root / "clock"

    def start(offset: str) -> None:
        rc.write_text(offset)
        reading, writing = os.pipe()
        os.write(writing, PASSPHRASE.encode())
        os.close(writing)
        kept = daemon.hfproxy
        options = {"FAKETIME_TIMESTAMP_FILE": str(rc), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        clean = {name: value for name, value in daemon.env.items() if not name.startswith(("PYTHON", "LD_"))}
        with daemon.log.open("ab") as log:
            daemon.process = subprocess.Popen(
                [str(loader), "--preload", str(library), *kept, "daemon", "--passphrase-fd", str(reading)],
                env=clean | options,
                pass_fds=(reading,),
                stderr=log,
            )
        os.close(reading)
        deadline = time.monotonic() + 20
        while daemon.cli("status").returncode != 0:
            assert daemon.process.poll() is None, daemon.log.read_text()
            assert time.monotonic() < deadline

    yield start
    daemon.stop()


def set_clock(daemon: DaemonFixture, offset: str) -> None:
    (daemon.root / "clock").write_text(offset)


def test_a_clock_that_is_set_back_revives_nothing(daemon: DaemonFixture, faked: Callable[[str], None]) -> None:
    daemon.stop()
    faked("+0")
    minted = daemon.mint("--ttl", "2s")
    set_clock(daemon, "-1d")
    deadline = time.monotonic() + 20
    while status(minted)[0] != 401:
        assert time.monotonic() < deadline
    assert status(minted) == (401, "expired")


def test_a_clock_that_jumps_ahead_ends_what_is_over_then_and_back_again_it_stays_ended(
    daemon: DaemonFixture, faked: Callable[[str], None]
) -> None:
    daemon.stop()
    faked("+0")
    minted = daemon.mint("--ttl", "1h")
    assert status(minted) == (200, None)
    set_clock(daemon, "+1d")
    deadline = time.monotonic() + 20
    while status(minted)[0] != 401:
        assert time.monotonic() < deadline
    set_clock(daemon, "+0")
    assert status(minted) == (401, "expired")


def test_a_clock_that_was_set_back_while_no_daemon_ran_gives_no_more_time(
    daemon: DaemonFixture, faked: Callable[[str], None]
) -> None:
    minted = daemon.mint("--ttl", "1h")
    kill(daemon)
    faked("-1d")
    [grant] = json.loads(daemon.must("grants", "--json"))
    assert grant["expires_at"] <= minted["expires_at"] - 86_000


def test_a_clock_that_was_set_back_gives_no_more_time_to_the_next_daemon_either(
    daemon: DaemonFixture, faked: Callable[[str], None]
) -> None:
    minted = daemon.mint("--ttl", "1h")
    kill(daemon)
    faked("-1d")
    daemon.mint()  # something is written down, and with it the time that it is now
    kill(daemon)
    faked("-1d")
    grant = next(one for one in json.loads(daemon.must("grants", "--json")) if one["id"] == minted["id"])
    assert grant["expires_at"] <= minted["expires_at"] - 86_000
    assert grant["minted_at"] <= minted["expires_at"] - 3600 - 86_000


def test_what_is_minted_while_the_clock_is_a_day_ahead_lives_no_day_longer(
    daemon: DaemonFixture, faked: Callable[[str], None]
) -> None:
    daemon.stop()
    faked("+0")
    set_clock(daemon, "+1d")
    minted = daemon.mint("--ttl", "3s")
    assert minted["expires_at"] > time.time() + 80_000
    set_clock(daemon, "+0")
    deadline = time.monotonic() + 20
    while status(minted)[0] != 401:
        assert time.monotonic() < deadline
    assert status(minted) == (401, "expired")


def test_a_clock_that_jumps_while_the_daemon_is_suspended_counts(
    daemon: DaemonFixture, faked: Callable[[str], None]
) -> None:
    daemon.stop()
    faked("+0")
    minted = daemon.mint("--ttl", "12h")
    assert status(minted) == (200, None)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    set_clock(daemon, "+1d")
    daemon.process.send_signal(signal.SIGCONT)
    assert status(minted) == (401, "expired")


def test_a_daemon_that_was_suspended_knows_how_long(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--ttl", "3s")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(max(0.0, minted["expires_at"] + 1 - time.time()))
    daemon.process.send_signal(signal.SIGCONT)
    assert status(minted) == (401, "expired")


@pytest.mark.parametrize("longest", ["1h", "4s"])
def test_a_command_outlives_a_sleep_that_is_longer_than_its_grant_but_not_the_longest_life(
    daemon: DaemonFixture, longest: str
) -> None:
    daemon.stop()
    daemon.configure(f'[grants]\ndefault_ttl = "3s"\nmax_ttl = "{longest}"\n')
    begin(daemon)
    held = subprocess.Popen(
        [*daemon.hfproxy, "exec", "--", "sh", "-c", 'echo "$HF_ENDPOINT $HF_TOKEN"; exec sleep 600'],
        env=daemon.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert held.stdout is not None
    endpoint, credential = held.stdout.readline().split()
    (grant,) = json.loads(daemon.must("grants", "--json"))
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(max(0.0, grant["expires_at"] + 3 - time.time()))
    daemon.process.send_signal(signal.SIGCONT)
    expected = (200, None) if longest == "1h" else (401, "expired")
    assert status({"endpoint": endpoint, "credential": credential}) == expected
    held.kill()
    held.wait()
    held.stdout.close()
