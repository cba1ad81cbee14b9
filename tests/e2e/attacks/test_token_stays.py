"""Where the token goes: to the origin it was made for, on requests that were allowed, and nowhere else."""

import base64
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from canary import in_files, leaks, watched_processes
from fakehub import FakeHub, in_thread
from daemon_fixture import DaemonFixture
from real_client import OPTIONS, SCRIPT, Client, seed
from sniffer import Sniffer
from wire_client import ask, bearer

PASSPHRASE = "correct horse battery staple"


def test_the_token_is_on_allowed_requests_only(daemon: DaemonFixture, hub: FakeHub, canary: str) -> None:
    """For every request the Hub saw, the journal knows the decision."""
    minted = daemon.mint("--scope", "read:me/*", "--scope", "write:me/new")
    for target in ("/api/models/me/secret-model", "/api/models/you/public-model", "/api/models/you/private-model"):
        ask(minted["endpoint"], "GET", target, bearer(minted["credential"]))
    ask(minted["endpoint"], "GET", "/api/agent-harnesses")
    ask(minted["endpoint"], "POST", "/api/models/you/x/commit/main", bearer(minted["credential"]), b"{}")
    decided = {entry["target"]: entry["decision"] for entry in daemon.audit() if entry["kind"] == "decided"}
    seen = {record.path: record.saw(canary.encode()) for record in hub.requests}
    assert seen == {
        "/api/models/me/secret-model": True,
        "/api/models/you/public-model": False,
        "/api/models/you/private-model": False,
        "/api/agent-harnesses": False,
    }
    assert {target for target, decision in decided.items() if decision == "allow"} == {"/api/models/me/secret-model"}
    assert decided["/api/models/you/x/commit/main"] == "deny"


def test_nothing_of_what_identifies_somebody_is_forwarded(daemon: DaemonFixture, hub: FakeHub) -> None:
    minted = daemon.mint("--scope", "read:me/*")
    extra = {
        "Cookie": "token=stolen",
        "X-HF-Authorization": f"Bearer {minted['credential']}",
        "Proxy-Authorization": "Basic eDp5",
        "X-Forwarded-For": "10.0.0.1",
        "Connection": "close, X-Private",
        "X-Private": "of this hop",
    }
    ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"]) | extra)
    (record,) = hub.requests
    assert not hub.saw(minted["credential"].encode())
    assert not {name.lower() for name, _ in record.headers} & {name.lower() for name in extra} - {"connection"}


def test_an_answer_that_holds_the_token_is_not_passed_on(daemon: DaemonFixture, hub: FakeHub, canary: str) -> None:
    minted = daemon.mint("--scope", "read:me/*")
    target = "/api/models/me/secret-model"
    echoes = [
        (json.dumps({"seen": canary}).encode(), {}),
        (json.dumps({"seen": base64.b64encode(b"ab" + canary.encode()).decode()}).encode(), {}),
        (b"{}", {"X-Echo": f"Bearer {canary}"}),
    ]
    for body, headers in echoes:
        hub.inject("GET", target, 200, headers={"Content-Type": "application/json", **headers}, body=body, times=1)
        reply = ask(minted["endpoint"], "GET", target, bearer(minted["credential"]))
        assert (reply.status, reply.refusal) == (502, "upstream")
        assert leaks(reply.raw, canary) == []
    assert [entry["refusal"] for entry in daemon.audit() if entry["kind"] == "completed"] == ["upstream"] * 3


def sealed_daemon(hub: FakeHub, root: Path, token: str) -> DaemonFixture:
    """A daemon whose vault survives a restart; it has been logged in and stopped."""
    daemon = DaemonFixture(root, hub.url, hub.ca_path, vault="sealed-file")
    start_unlocked(daemon)
    daemon.login(token)
    daemon.stop()
    return daemon


def start_unlocked(daemon: DaemonFixture, **env: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    daemon.start("--passphrase-fd", str(reading), pass_fds=(reading,), env=env)
    os.close(reading)


def read_a_model(daemon: DaemonFixture) -> "tuple[int, str | None]":
    minted = daemon.mint("--scope", "read:me/*")
    reply = ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"]))
    return reply.status, reply.refusal


def test_a_restarted_daemon_uses_the_account_it_had(hub: FakeHub, tmp_path: Path, canary: str) -> None:
    """Or the tests below would prove nothing."""
    daemon = sealed_daemon(hub, tmp_path / "daemon", canary)
    start_unlocked(daemon)
    assert read_a_model(daemon) == (200, None)
    daemon.stop()


def test_a_changed_hub_does_not_get_the_token(hub: FakeHub, tmp_path: Path, canary: str) -> None:
    daemon = sealed_daemon(hub, tmp_path / "daemon", canary)
    with in_thread() as thief:
        seed(thief)
        daemon.hub, daemon.ca_file = thief.url, thief.ca_path
        daemon.configure()
        start_unlocked(daemon)
        assert read_a_model(daemon) == (403, "account")
        daemon.stop()
        assert not thief.saw(canary.encode())


def test_a_changed_certificate_authority_does_not_get_the_token(hub: FakeHub, tmp_path: Path, canary: str) -> None:
    """The same origin as before, but whoever holds the new authority's key could stand in its place."""
    daemon = sealed_daemon(hub, tmp_path / "daemon", canary)
    with in_thread() as thief:
        both = tmp_path / "both.pem"
        both.write_bytes(hub.ca_path.read_bytes() + thief.ca_path.read_bytes())
    daemon.ca_file = both
    daemon.configure()
    start_unlocked(daemon)
    hub.recorder.clear()
    assert read_a_model(daemon) == (403, "account")
    daemon.stop()
    assert not hub.saw(canary.encode())


def test_no_session_keys_are_written_for_a_key_log(hub: FakeHub, tmp_path: Path, canary: str) -> None:
    log = tmp_path / "keys.log"
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    daemon.start(env={"SSLKEYLOGFILE": str(log)})
    daemon.login(canary)
    assert read_a_model(daemon) == (200, None)
    daemon.stop()
    assert not log.exists()


def test_certificates_and_code_from_the_environment_are_not_used(hub: FakeHub, tmp_path: Path, canary: str) -> None:
    """Another authority by SSL_CERT_FILE, and a module that a PYTHONPATH would put before ours."""
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "aiohttp.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with in_thread() as thief:
        seed(thief)
        daemon = DaemonFixture(tmp_path / "daemon", thief.url)  # no ca_file: the system's authorities only
        daemon.start(env={"SSL_CERT_FILE": str(thief.ca_path), "PYTHONPATH": str(planted)})
        failed = daemon.cli("login", "--token-stdin", stdin=canary)
        daemon.stop()
        assert failed.returncode == 1
        assert "certificate" in failed.stderr
        assert not thief.saw(canary.encode())
    assert not (tmp_path / "ran").exists()


def test_the_token_is_found_nowhere_after_a_full_run(
    daemon: DaemonFixture, client: Client, hub: FakeHub, tmp_path: Path, canary: str
) -> None:
    """In no reply, output, log, journal or file, and in no process's environment or arguments."""
    hub.world.settings.gzip = False  # what is compressed could not be searched
    port = urlsplit(daemon.status()["endpoint"]).port
    assert port is not None
    with watched_processes(canary) as found, Sniffer(port) as sniffer:
        done = client.attempt(daemon, SCRIPT, str(tmp_path / "files"), options=OPTIONS, MY_OWN_VARIABLE=f"x={canary}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert hub.saw(canary.encode(), "hub")
    assert sniffer.replies().count(b"HTTP/1.1 ") > 50
    assert leaks(sniffer.replies(), canary) == []
    outputs = [
        done.stdout,
        done.stderr,
        *(daemon.must(*words) for words in (["status"], ["grants"], ["audit"], ["accounts"])),
    ]
    daemon.stop()
    assert leaks("".join(outputs).encode(), canary) == []
    assert in_files(tmp_path, canary) == []
    assert found == []


def test_a_variable_that_holds_the_token_holds_the_credential_instead(daemon: DaemonFixture, canary: str) -> None:
    env = {"URL": f"https://user:{canary}@huggingface.co/x", "HUGGING_FACE_HUB_TOKEN": canary, "API_KEY": canary}
    seen = daemon.must("exec", "--", "env", "-0", env=env)
    assert canary not in seen
    variables = dict(entry.split("=", 1) for entry in seen.split("\0") if entry)
    assert variables["API_KEY"] == variables["HF_TOKEN"]
    assert variables["URL"] == f"https://user:{variables['HF_TOKEN']}@huggingface.co/x"
    assert "HUGGING_FACE_HUB_TOKEN" not in variables


def test_a_squatter_on_the_port_gets_no_token(hub: FakeHub, tmp_path: Path, canary: str) -> None:
    """The daemon does not start beside it, and no command talks to it."""
    import socket

    squatter = socket.create_server(("127.0.0.1", 0))
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    daemon.configure(port=squatter.getsockname()[1])
    with pytest.raises(AssertionError, match="did not start"):
        daemon.start()
    assert daemon.cli("login", "--token-stdin", stdin=canary).returncode == 1
    assert daemon.cli("exec", "--", "true").returncode == 125
    squatter.settimeout(0.2)
    with pytest.raises(TimeoutError):
        squatter.accept()
    squatter.close()


def test_a_squatted_socket_directory_gets_no_token(hub: FakeHub, tmp_path: Path, canary: str) -> None:
    """Somebody else made the directory first and answers in it."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    daemon.runtime.mkdir(mode=0o755)
    heard = tmp_path / "heard"
    heard.touch(mode=0o666)
    heard.chmod(0o666)
    code = (
        "import os,socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
        "os.chmod(sys.argv[1],0o666); os.chown(sys.argv[1],65534,65534);"
        "os.chown(os.path.dirname(sys.argv[1]),65534,65534); f=os.open(sys.argv[2],os.O_WRONLY); os.setuid(65534);"
        "print('ready',flush=True); c=s.accept()[0]; os.write(f,c.recv(9999))"
    )
    squatter = subprocess.Popen(
        ["python3", "-I", "-c", code, str(daemon.runtime / "control.sock"), str(heard)], stdout=subprocess.PIPE
    )
    assert squatter.stdout is not None
    assert squatter.stdout.readline() == b"ready\n"
    done = daemon.cli("login", "--token-stdin", stdin=canary)
    squatter.kill()
    squatter.wait()
    squatter.stdout.close()
    assert done.returncode == 1
    assert done.stdout == ""
    assert heard.read_bytes() == b""
