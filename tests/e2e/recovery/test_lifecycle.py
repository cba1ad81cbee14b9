"""How grants, commands and the daemon itself begin and end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fakehub import FakeHub
from daemon_fixture import HFPROXY, DaemonFixture
from wire_client import ask, bearer

INFO = "/api/models/me/secret-model"


def until(condition: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@pytest.mark.shared_daemon
class TestExec:
    def test_the_credential_is_dead_when_the_command_has_ended(self, daemon: DaemonFixture) -> None:
        printed = daemon.must("exec", "--scope", "read:me/*", "--", "printenv", "HF_ENDPOINT", "HF_TOKEN").split()
        until(lambda: ask(printed[0], "GET", INFO, bearer(printed[1])).refusal == "revoked", 2)

    def test_it_ends_by_sigkill_as_well(self, daemon: DaemonFixture) -> None:
        process = subprocess.Popen([*HFPROXY, "exec", "--", "sleep", "60"], env=daemon.env)
        until(lambda: daemon.status()["grants"] == 1)
        (grant,) = json.loads(daemon.must("grants", "--json"))
        assert (grant["pid"], grant["bind"], grant["program"]) == (process.pid, "pid", "sleep")
        process.kill()
        process.wait()
        until(lambda: daemon.status()["grants"] == 0, 2)
        until(lambda: [entry["kind"] for entry in daemon.audit("--grant", grant["id"])] == ["minted", "revoked"], 2)

    def test_no_process_of_ours_is_left_between_the_shell_and_the_command(self, daemon: DaemonFixture) -> None:
        process = subprocess.Popen([*HFPROXY, "exec", "--", "sleep", "60"], env=daemon.env)
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text().strip() == "sleep")
        process.terminate()
        assert process.wait(5) == -signal.SIGTERM

    @pytest.mark.parametrize(
        ("command", "code"),
        [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["/no/such/file"], 127), (["/etc/passwd"], 126)],
    )
    def test_the_exit_code_is_the_commands_own(self, daemon: DaemonFixture, command: list[str], code: int) -> None:
        assert daemon.cli("exec", "--", *command).returncode == code

    @pytest.mark.own_daemon
    def test_without_a_daemon_it_is_125_and_the_command_does_not_run(
        self, daemon: DaemonFixture, tmp_path: Path
    ) -> None:
        daemon.stop()
        done = daemon.cli("exec", "--", "touch", str(tmp_path / "ran"))
        assert (done.returncode, done.stdout) == (125, "")
        assert "hf-proxy daemon" in done.stderr
        assert not (tmp_path / "ran").exists()


class TestGrants:
    @pytest.mark.shared_daemon
    def test_a_credential_ends_with_its_time(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--ttl", "1s")
        until(lambda: ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"])).refusal == "expired", 4)
        until(lambda: "expired" in {entry["kind"] for entry in daemon.audit("--grant", minted["id"])}, 4)

    @pytest.mark.shared_daemon
    def test_a_revoked_one_is_refused_at_once(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint()
        daemon.must("revoke", minted["id"])
        reply = ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"]))
        assert (reply.status, reply.refusal) == (401, "revoked")

    @pytest.mark.shared_daemon
    def test_all_can_be_revoked(self, daemon: DaemonFixture) -> None:
        minted = [daemon.mint() for _ in range(3)]
        daemon.must("revoke", "--all")
        assert daemon.status()["grants"] == 0
        assert {ask(one["endpoint"], "GET", INFO, bearer(one["credential"])).refusal for one in minted} == {"revoked"}

    @pytest.mark.shared_daemon
    def test_uses_are_counted_across_requests(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--scope", "read:me/*", "--max-uses", "2")
        replies = [ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"])) for _ in range(3)]
        assert [(reply.status, reply.refusal) for reply in replies] == [(200, None), (200, None), (403, "limit")]

    @pytest.mark.shared_daemon
    def test_strict_reads_nothing_outside_its_scope(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        minted = daemon.mint("--scope", "read:me/*", "--strict")
        reply = ask(minted["endpoint"], "GET", "/api/models/you/public-model", bearer(minted["credential"]))
        assert (reply.status, reply.refusal, reply.headers["x-error-code"]) == (403, "strict", "GatedRepo")
        assert "--scope read:models/you/public-model" in reply.headers["x-error-message"]
        assert hub.requests == []

    def test_the_ceiling_holds_whatever_is_asked_for(self, hub: FakeHub, tmp_path: Path, canary: str) -> None:
        daemon = DaemonFixture(tmp_path / "low", hub.url, hub.ca_path)
        daemon.configure('[grants]\nceiling = ["read:me/*"]\n')
        daemon.start()
        daemon.login(canary)
        minted = daemon.mint("--scope", "write:me/*")
        reply = ask(minted["endpoint"], "POST", "/api/models/me/x/commit/main", bearer(minted["credential"]), b"{}")
        daemon.stop()
        assert (reply.status, reply.refusal) == (403, "scope")
        assert "ceiling" in reply.headers["x-error-message"]

    def test_a_lock_refuses_what_was_granted_before(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        daemon.must("lock")
        reply = ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"]))
        assert (reply.status, reply.refusal) == (403, "locked")
        assert daemon.status()["locked"] is True
        assert "hf-proxy unlock" in daemon.cli("mint").stderr

    def test_a_logout_refuses_what_was_granted_before(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        daemon.must("logout")
        reply = ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"]))
        assert (reply.status, reply.refusal) == (403, "account")

    def test_and_another_login_does_not_revive_it(self, daemon: DaemonFixture, canary: str) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        daemon.must("logout")
        daemon.login(canary)
        reply = ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"]))
        assert (reply.status, reply.refusal) == (403, "account")

    def test_another_token_of_the_same_user_goes_on_with_what_was_granted(
        self, daemon: DaemonFixture, hub: FakeHub
    ) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        hub.add_user("me", "hf_AnotherTokenOfMine", orgs=("acme",))
        daemon.login("hf_AnotherTokenOfMine")
        assert ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"])).status == 200

    @pytest.mark.parametrize("command", ["lock", "logout"])
    def test_what_is_running_is_cut(self, daemon: DaemonFixture, hub: FakeHub, command: str) -> None:
        hub.world.settings.idle_seconds = 60
        hub.add_space("me/demo")
        minted = daemon.mint()
        place = urlsplit(minted["endpoint"])
        with socket.create_connection((place.hostname, place.port), timeout=30) as client:
            client.sendall(
                f"GET /api/spaces/me/demo/events HTTP/1.1\r\nHost: {place.netloc}\r\n"
                f"Authorization: Bearer {minted['credential']}\r\n\r\n".encode()
            )
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            daemon.must(command)
            try:
                while client.recv(65536):
                    pass
            except ConnectionResetError:
                pass

    @pytest.mark.shared_daemon
    def test_any_number_of_grants_can_be_listed(self, daemon: DaemonFixture) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(daemon.runtime / "control.sock"))
        for _ in range(300):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(daemon.runtime / "control.sock"))
                connection.sendall(
                    json.dumps({"do": "mint", "label": "\u00e9" * 300, "scopes": ["read:" + "a" * 90] * 9}).encode()
                )
                connection.sendall(b"\n")
                connection.makefile().readline()
        assert len(json.loads(daemon.must("grants", "--json"))) == 300


class TestDaemon:
    def test_a_second_one_does_not_start_and_says_why(self, daemon: DaemonFixture) -> None:
        second = daemon.cli("daemon")
        assert second.returncode == 1
        assert f"pid {daemon.status()['pid']}" in second.stderr
        assert daemon.cli("status").returncode == 0

    def test_it_finds_its_port_again(self, daemon: DaemonFixture) -> None:
        before = daemon.status()["endpoint"]
        daemon.stop()
        daemon.start()
        assert daemon.status()["endpoint"] == before

    def test_a_taken_port_names_the_user_and_the_setting(self, hub: FakeHub, tmp_path: Path) -> None:
        taken = socket.create_server(("127.0.0.1", 0))
        daemon = DaemonFixture(tmp_path / "late", hub.url, hub.ca_path)
        daemon.configure(port=taken.getsockname()[1])
        done = daemon.cli("daemon")
        taken.close()
        assert done.returncode == 1
        assert f"uid {os.getuid()}" in done.stderr
        assert "listen.address" in done.stderr

    def test_sigterm_lets_a_running_transfer_finish(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        body = b"x" * 3_000_000
        hub.add_repo("model", "me/large", private=True, files={"large.txt": body[:40_000]})
        minted = daemon.mint("--scope", "read:me/*")
        host = minted["endpoint"].removeprefix("http://")
        with socket.create_connection(host.split(":")) as client:
            client.sendall(
                f"GET /api/spaces/me/slow/logs/run HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: Bearer {minted['credential']}\r\nConnection: close\r\n\r\n".encode()
            )
            assert client.recv(10).startswith(b"HTTP/1.1")
        assert daemon.stop() == 0
        assert '"event": "stopping"' in daemon.log.read_text()

    def test_sockets_of_the_service_manager_are_used(self, hub: FakeHub, tmp_path: Path) -> None:
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            pytest.skip("needs systemd-socket-activate (Debian package systemd)")
        daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        daemon.runtime.mkdir(mode=0o700)
        control = daemon.runtime / "control.sock"
        environment = [
            f"--setenv={name}={value}" for name, value in daemon.env.items() if name.startswith(("HF", "HOME"))
        ]
        names = "--fdname=data:control"
        process = subprocess.Popen(
            [activate, "-l", f"127.0.0.1:{port}", "-l", str(control), names, *environment, *HFPROXY, "daemon"],
            env=daemon.env,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(control.exists)
            control.chmod(0o600)
            until(lambda: daemon.cli("status").returncode == 0)
            assert daemon.status()["endpoint"] == f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)

    def test_a_passed_socket_that_contradicts_the_config_is_an_error_that_names_both(self, tmp_path: Path) -> None:
        daemon = DaemonFixture(tmp_path / "daemon", "https://huggingface.co")
        daemon.configure(port=4881)
        with socket.create_server(("127.0.0.1", 0)) as data:
            port = data.getsockname()[1]
            code = (
                "import os,sys; os.dup2(int(sys.argv[1]),3); os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='1',"
                "LISTEN_FDNAMES='data'); os.execv(sys.argv[2], sys.argv[2:])"
            )
            done = subprocess.run(
                [sys.executable, "-I", "-c", code, str(data.fileno()), *HFPROXY, "daemon"],
                env=daemon.env,
                pass_fds=(data.fileno(), 3) if data.fileno() != 3 else (3,),
                capture_output=True,
                text=True,
                timeout=30,
            )
        assert done.returncode == 1
        assert f"127.0.0.1:{port}" in done.stderr
        assert "127.0.0.1:4881" in done.stderr

    def test_it_says_when_it_is_ready(self, hub: FakeHub, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(10)
            daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
            daemon.start(env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
            assert manager.recv(100) == b"READY=1"
            daemon.stop()
            assert manager.recv(100) == b"STOPPING=1"

    def test_its_limits_and_its_files_are_for_nobody_else(self, daemon: DaemonFixture) -> None:
        process = Path(f"/proc/{daemon.status()['pid']}")
        core = next(line for line in (process / "limits").read_text().splitlines() if line.startswith("Max core"))
        assert core.split()[4:6] == ["0", "0"]
        assert "Umask:\t0077" in (process / "status").read_text()
        for path in [daemon.state, daemon.runtime, *daemon.state.rglob("*"), *daemon.runtime.rglob("*")]:
            assert path.stat().st_mode & 0o077 == 0, path
