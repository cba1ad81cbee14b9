"""What goes wrong for people: each gives one line that names the next step, and nothing hangs or is lost."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from fakehub import FakeHub, in_thread
from daemon_fixture import DaemonFixture
from real_client import CANARY, Client
from wire_client import ask, bearer

INFO = "/api/models/me/secret-model"


def one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """It failed with this code and one line that says these words; nothing on stdout."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("hf-proxy: ")
    for word in words:
        assert word in done.stderr


def test_an_unknown_config_key_is_named(tmp_path: Path) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", "https://huggingface.co")
    daemon.configure('[grants]\nmax_tll = "1h"\n')
    one_line(daemon.cli("daemon"), 1, "config.toml", "grants.max_tll")


def test_a_malformed_scope_is_a_usage_error(daemon: DaemonFixture) -> None:
    one_line(daemon.cli("mint", "--scope", "wirte:me/x"), 2, "wirte:me/x", "read:")
    one_line(daemon.cli("exec", "--scope", "read:a/b/c", "--", "true"), 2, "read:a/b/c")
    one_line(daemon.cli("mint", "--ttl", "1 hour"), 2, "1 hour", "15m")


def test_bytes_that_are_no_text_are_a_usage_error(daemon: DaemonFixture) -> None:
    for option in ("--label", "--scope", "--profile"):
        one_line(daemon.cli("exec", option, os.fsdecode(b"\xff"), "--", "true"), 2, "not valid UTF-8 text")


def test_a_profile_or_account_that_is_not_there_is_named(daemon: DaemonFixture) -> None:
    one_line(daemon.cli("mint", "--profile", "nope"), 2, "nope", "[profiles.")
    one_line(daemon.cli("mint", "--account", "nope"), 1, "nope", "hf-proxy login")
    one_line(daemon.cli("exec", "--account", "nope", "--", "true"), 125, "nope")
    one_line(daemon.cli("logout", "--account", "nope"), 1, "nope")


def test_a_lifetime_above_the_longest_names_the_setting(daemon: DaemonFixture) -> None:
    one_line(daemon.cli("mint", "--ttl", "2d"), 1, "12h", "max_ttl")


def test_a_grant_that_is_not_there_is_named(daemon: DaemonFixture) -> None:
    one_line(daemon.cli("revoke", "0123456789abcdef"), 1, "0123456789abcdef", "hf-proxy grants")


def test_before_any_login_the_next_step_is_login(hub: FakeHub, tmp_path: Path) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    daemon.start()
    one_line(daemon.cli("mint"), 1, "hf-proxy login")
    one_line(daemon.cli("exec", "--", "true"), 125, "hf-proxy login")
    daemon.stop()


@pytest.mark.parametrize(
    "words", [["status"], ["grants"], ["mint"], ["accounts"], ["audit"], ["lock"], ["revoke", "--all"]]
)
def test_without_a_daemon_the_next_step_is_to_start_it(tmp_path: Path, words: list[str]) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", "https://huggingface.co")
    one_line(daemon.cli(*words), 1, "hf-proxy daemon")


def test_a_token_the_hub_does_not_know_is_not_stored(daemon: DaemonFixture) -> None:
    one_line(daemon.cli("login", "--token-stdin", "--account", "b", stdin="hf_wrong"), 1, "does not accept")
    assert [one["name"] for one in json.loads(daemon.must("accounts", "--json"))] == ["default"]


def test_a_token_on_the_command_line_is_refused_without_being_repeated(daemon: DaemonFixture) -> None:
    done = daemon.cli("login", CANARY)
    assert done.returncode == 2
    assert CANARY not in done.stderr


def test_a_locked_vault_names_unlock(hub: FakeHub, tmp_path: Path) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
    daemon.start()
    one_line(daemon.cli("login", "--token-stdin", stdin=CANARY), 1, "hf-proxy unlock")
    one_line(daemon.cli("mint"), 1, "hf-proxy unlock")
    daemon.stop()


def test_a_descriptor_for_the_passphrase_that_is_not_open_is_named(hub: FakeHub, tmp_path: Path) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
    one_line(daemon.cli("daemon", "--passphrase-fd", "99"), 2, "descriptor 99", "--passphrase-fd 3 3<FILE")


def test_a_wrong_passphrase_is_said_and_nothing_is_lost(hub: FakeHub, tmp_path: Path) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
    daemon.start()
    assert unlock(daemon, "right").returncode == 0
    daemon.login(CANARY)
    daemon.must("lock")
    one_line(unlock(daemon, "wrong"), 1, "passphrase")
    assert unlock(daemon, "right").returncode == 0
    assert len(json.loads(daemon.must("accounts", "--json"))) == 1
    daemon.stop()


def unlock(daemon: DaemonFixture, passphrase: str) -> "subprocess.CompletedProcess[str]":
    reading, writing = os.pipe()
    os.write(writing, passphrase.encode())
    os.close(writing)
    done = subprocess.run(
        [*daemon.hfproxy, "unlock", "--passphrase-fd", str(reading)],
        env=daemon.env, pass_fds=(reading,), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    os.close(reading)
    return done


def test_a_keyring_that_is_not_there_is_named(hub: FakeHub, tmp_path: Path) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="keyring")
    daemon.start(env={"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/no-bus"})
    started = time.monotonic()
    one_line(daemon.cli("login", "--token-stdin", stdin=CANARY), 1, "sealed-file")
    assert time.monotonic() - started < 20
    assert daemon.cli("status").returncode == 0
    daemon.stop()


class TestUpstream:
    """The Hub is away, or is not who it should be."""

    def failing(self, daemon: DaemonFixture) -> "tuple[int, str | None, str]":
        minted = daemon.mint("--scope", "read:me/*")
        reply = ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"]))
        return reply.status, reply.refusal, reply.headers["x-error-message"]

    def test_down(self, tmp_path: Path) -> None:
        with in_thread() as hub:
            hub.add_user("me", CANARY)
            daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
            daemon.start()
            daemon.login(CANARY)
        status, refusal, message = self.failing(daemon)
        one_line(daemon.cli("login", "--token-stdin", stdin=CANARY), 1, hub.url, "upstream.hub")
        daemon.stop()
        assert (status, refusal) == (502, "upstream")
        assert hub.url in message

    def test_with_a_certificate_nobody_vouches_for(self, hub: FakeHub, tmp_path: Path) -> None:
        daemon = DaemonFixture(tmp_path / "daemon", hub.url)
        daemon.start()
        one_line(daemon.cli("login", "--token-stdin", stdin=CANARY), 1, "certificate", "upstream.ca_file")
        daemon.stop()
        assert not hub.saw(CANARY.encode())

    def test_that_closes_in_mid_answer(self, tmp_path: Path) -> None:
        with in_thread() as hub:
            hub.add_user("me", CANARY)
            daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
            daemon.start()
            daemon.login(CANARY)
            daemon.stop()
        with socket.create_server(("127.0.0.1", 0)) as broken:
            daemon.hub, daemon.ca_file = f"http://127.0.0.1:{broken.getsockname()[1]}", None
            daemon.configure()
            daemon.start()
            login = subprocess.Popen(
                [*daemon.hfproxy, "login", "--token-stdin"],
                env=daemon.env,
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert login.stdin is not None
            login.stdin.write(CANARY.encode())
            login.stdin.close()
            for _ in range(2):  # a request that changes nothing is sent once more
                broken.accept()[0].close()
            assert login.wait(30) == 1
            assert login.stderr is not None
            assert b"broke off" in login.stderr.read()
            login.stderr.close()
        daemon.stop()

    def test_that_never_answers(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            daemon = DaemonFixture(tmp_path / "daemon", f"http://127.0.0.1:{mute.getsockname()[1]}")
            daemon.start()
            one_line(daemon.cli("login", "--token-stdin", stdin=CANARY), 1, "does not answer")
            daemon.stop()

    def test_when_the_real_token_was_revoked(self, daemon: DaemonFixture, hub: FakeHub, client: Client) -> None:
        hub.revoke_token(CANARY)
        script = "from huggingface_hub import HfApi; HfApi().model_info('me/secret-model')"
        done = client.attempt(daemon, script, options=("--scope", "read:me/*"))
        assert done.returncode == 1
        assert "no longer accepts the token of account 'default'; run: hf-proxy login" in done.stderr


class TestWhatTheClientPrints:
    """A refusal says, in the words the client prints, which command would allow it."""

    def test_writing_outside_the_scope(self, daemon: DaemonFixture, hub: FakeHub, client: Client) -> None:
        script = "from huggingface_hub import HfApi\nHfApi().upload_file(path_or_fileobj=b'x', path_in_repo='x', repo_id='you/public-model')"
        done = client.attempt(daemon, script, options=("--scope", "write:me/*"))
        assert done.returncode == 1
        assert (
            "to allow it, run outside this command: hf-proxy exec --scope write:models/you/public-model -- CMD"
            in done.stderr
        )

    def test_reading_a_private_model_outside_the_scope(
        self, daemon: DaemonFixture, hub: FakeHub, client: Client
    ) -> None:
        script = "from huggingface_hub import hf_hub_download; hf_hub_download('you/private-model', 'config.json')"
        done = client.attempt(daemon, script, options=("--scope", "read:me/*"))
        assert done.returncode == 1
        assert "'read:models/you/private-model' is not in the credential's scope" in done.stderr
        assert not hub.saw(CANARY.encode())

    def test_a_public_model_outside_the_scope_is_read(
        self, daemon: DaemonFixture, hub: FakeHub, client: Client
    ) -> None:
        script = "from huggingface_hub import hf_hub_download; print(open(hf_hub_download('you/public-model', 'config.json')).read())"
        assert '"public": true' in client.proxied(daemon, script, options=("--scope", "read:me/*"))
        assert not hub.saw(CANARY.encode())

    def test_strictly_it_is_not(self, daemon: DaemonFixture, hub: FakeHub, client: Client) -> None:
        script = "from huggingface_hub import hf_hub_download; hf_hub_download('you/public-model', 'config.json')"
        done = client.attempt(daemon, script, options=("--scope", "read:me/*", "--strict"))
        assert "GatedRepoError" in done.stderr
        assert "--scope read:models/you/public-model" in done.stderr
        assert hub.requests == [] or {record.path for record in hub.requests} == {"/api/agent-harnesses"}

    def test_minting_a_token_of_the_hub(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        minted = daemon.mint("--scope", "write:me/*")
        reply = ask(minted["endpoint"], "GET", "/api/spaces/me/x/jwt?write=1", bearer(minted["credential"]))
        assert (reply.status, reply.refusal) == (403, "minting")
        assert hub.requests == []
