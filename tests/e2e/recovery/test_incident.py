"""The day on which a token, or a program that was given a credential, is not to be trusted any more."""

import json
import os
import pty
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from canary import in_files, made_up
from desktop import Desktop
from e2e.attacks.test_token_stays import PASSPHRASE, sealed_daemon, start_unlocked
from e2e.recovery.test_lifecycle import until
from fakehub import FakeHub, in_thread
from daemon_fixture import HFPROXY, DaemonFixture
from real_client import CANARY, seed
from wire_client import ask, bearer

INFO = "/api/models/me/secret-model"
REVOKE = "/api/credentials/revoke"
LOCKDOWN = ("lockdown", "--yes")
RECALL = (*LOCKDOWN, "--revoke-upstream")


@pytest.fixture
def sealed(hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
    """A running daemon whose vault survives a restart, and is open."""
    daemon = sealed_daemon(hub, tmp_path / "sealed", CANARY)
    start_unlocked(daemon)
    hub.recorder.clear()
    yield daemon
    daemon.stop()


def unlock(daemon: DaemonFixture) -> "subprocess.CompletedProcess[str]":
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    done = subprocess.run(
        [*HFPROXY, "unlock", "--passphrase-fd", str(reading)],
        env=daemon.env, pass_fds=(reading,), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    os.close(reading)
    return done


def read(minted: "dict[str, str]", target: str = INFO) -> "tuple[int, str | None]":
    reply = ask(minted["endpoint"], "GET", target, bearer(minted["credential"]))
    return reply.status, reply.refusal


def lives(hub: FakeHub, token: str = CANARY) -> bool:
    return hub.world.tokens[token].live


def revocations(hub: FakeHub) -> list[object]:
    return [json.loads(record.body) for record in hub.requests if record.path == REVOKE]


class TestLockdown:
    def test_everything_ends_and_nothing_begins_until_somebody_unlocks(
        self, daemon: DaemonFixture, hub: FakeHub
    ) -> None:
        minted = [daemon.mint("--scope", "read:me/*") for _ in range(3)]
        daemon.must(*LOCKDOWN)
        assert {read(one) for one in minted} == {(401, "revoked")}
        assert daemon.status()["locked"] is True
        assert daemon.status()["lockdown"] is True
        refused = daemon.cli("mint")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "hf-proxy unlock" in refused.stderr
        assert hub.requests == []
        daemon.must("unlock")
        assert daemon.status()["lockdown"] is False
        assert read(daemon.mint("--scope", "read:me/*")) == (200, None)
        assert {read(one) for one in minted} == {(401, "revoked")}, "unlocking brings no grant back"

    def test_the_journal_says_so(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint()
        daemon.must(*LOCKDOWN)
        kinds = [(entry["kind"], entry.get("grant")) for entry in daemon.audit()]
        assert kinds[-2:] == [("revoked", minted["id"]), ("lockdown", None)]

    def test_running_transfers_are_cut(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        hub.add_space("me/app", private=True)
        hub.world.settings.idle_seconds = 60
        minted = daemon.mint("--scope", "read:me/*")
        host = minted["endpoint"].removeprefix("http://")
        with socket.create_connection(host.split(":")) as client:
            client.settimeout(20)
            client.sendall(
                f"GET /api/spaces/me/app/events HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: Bearer {minted['credential']}\r\n\r\n".encode()
            )
            said = b""
            while b"BUILDING" not in said:
                said += client.recv(65536)
            daemon.must(*LOCKDOWN)
            rest = b"".join(iter(lambda: client.recv(65536), b""))
            assert not rest.endswith(b"0\r\n\r\n"), "half of it must not look whole"

    def test_a_restarted_daemon_stays_locked_down_even_with_its_passphrase(self, sealed: DaemonFixture) -> None:
        sealed.must(*LOCKDOWN)
        sealed.stop()
        start_unlocked(sealed)
        assert sealed.status()["locked"] is True
        assert sealed.status()["lockdown"] is True
        assert sealed.cli("mint").returncode == 1
        assert unlock(sealed).returncode == 0
        assert read(sealed.mint("--scope", "read:me/*")) == (200, None)
        sealed.stop()
        start_unlocked(sealed)
        assert sealed.status()["lockdown"] is False

    def test_it_is_on_disk_when_it_is_acknowledged(self, sealed: DaemonFixture) -> None:
        sealed.must(*LOCKDOWN)
        assert sealed.process is not None
        sealed.process.kill()
        sealed.process.wait()
        start_unlocked(sealed)
        assert sealed.status()["lockdown"] is True

    def test_a_wrong_passphrase_lifts_nothing(self, sealed: DaemonFixture) -> None:
        sealed.must(*LOCKDOWN)
        done = sealed.cli("unlock", "--passphrase-fd", "0", stdin="wrong")
        assert done.returncode == 1
        assert sealed.status()["lockdown"] is True
        assert (sealed.state / "lockdown").exists()

    def test_a_journal_that_cannot_be_written_keeps_nothing_alive(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        limit_files(daemon, (daemon.state / "journal" / "00000001.jsonl").stat().st_size)
        done = daemon.cli(*LOCKDOWN)
        assert done.returncode == 0
        assert "the journal could not be written" in done.stderr
        assert read(minted) == (401, "revoked")
        assert daemon.status()["locked"] is True
        assert (daemon.state / "lockdown").exists()

    def test_what_could_not_be_written_down_is_ended_by_the_next_daemon_before_anybody_unlocks(
        self, daemon: DaemonFixture
    ) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        limit_files(daemon, 100)  # neither the grants' store nor the journal takes another byte; the marker is shorter
        daemon.must(*LOCKDOWN)
        assert "start the daemon again" in daemon.cli("unlock").stderr
        assert daemon.status()["locked"] is True
        daemon.stop()
        daemon.start()
        assert daemon.status()["lockdown"] is True
        daemon.must("unlock")
        assert read(minted) == (401, "revoked")
        daemon.stop()
        daemon.start()
        assert read(minted) == (401, "revoked")

    def test_a_state_directory_that_cannot_be_written_keeps_nothing_alive_and_is_said(
        self, daemon: DaemonFixture
    ) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        (daemon.state / "lockdown").mkdir()  # a file cannot take the place of a directory, not even root's
        (daemon.state / "lockdown" / "full").touch()
        done = daemon.cli(*LOCKDOWN)
        assert (done.returncode, done.stdout) == (1, "")
        assert "could not be written" in done.stderr
        assert read(minted) == (401, "revoked")
        assert daemon.status()["locked"] is True

    def test_again_and_again_is_the_same(self, daemon: DaemonFixture) -> None:
        for _ in range(3):
            daemon.must(*LOCKDOWN)
        daemon.must("unlock")
        assert daemon.status()["locked"] is False

    def test_without_a_terminal_it_has_to_be_told_yes(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        done = daemon.cli("lockdown", stdin="y\n")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--yes" in done.stderr
        assert read(minted) == (200, None)

    @pytest.mark.parametrize(("typed", "code", "locked"), [("y", 0, True), ("n", 1, False), ("", 1, False)])
    def test_on_a_terminal_it_shows_what_it_will_do_and_asks(
        self, daemon: DaemonFixture, typed: str, code: int, locked: bool
    ) -> None:
        minted = daemon.mint()
        seen, ended = on_a_terminal(daemon, "lockdown", typed=typed)
        assert f"would end: {minted['id']}" in seen
        assert (ended, daemon.status()["locked"]) == (code, locked)

    def test_a_dry_run_says_everything_and_does_nothing(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        minted = daemon.mint("--scope", "read:me/*", "--label", "nightly")
        said = daemon.must("lockdown", "--dry-run", "--revoke-upstream")
        assert f"would end: {minted['id']} nightly" in said
        assert f"would revoke at {hub.url}: the token of account default (of me)" in said
        assert CANARY not in said
        assert "would not revoke" in daemon.must("lockdown", "--dry-run")
        assert read(minted) == (200, None)
        assert lives(hub)
        assert revocations(hub) == []
        assert [entry["kind"] for entry in daemon.audit() if entry["kind"] in {"revoked", "lockdown"}] == []


class TestTokensRevokedAtTheHub:
    def test_they_are_dead_and_that_was_asked(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        said = daemon.must(*RECALL)
        assert "revoked at the Hub: the token of account default" in said
        assert not lives(hub)
        assert revocations(hub) == [{"credentials": [CANARY]}]
        (record,) = [record for record in hub.requests if record.path == REVOKE]
        assert "authorization" not in {name.lower() for name, _ in record.headers}

    def test_only_the_one_that_is_named(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        other = made_up()
        hub.add_user("me", other)
        daemon.login(other, "--account", "work")
        daemon.must(*RECALL, "--account", "work")
        assert (lives(hub), lives(hub, other)) == (True, False)

    def test_every_one_unless_told_otherwise(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        other = made_up()
        hub.add_user("me", other)
        daemon.login(other, "--account", "work")
        daemon.must(*RECALL)
        assert (lives(hub), lives(hub, other)) == (False, False)

    def test_an_account_that_is_not_there_locks_down_all_the_same(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        done = daemon.cli(*RECALL, "--account", "wrok")
        assert "no such account" in done.stderr
        assert daemon.status()["lockdown"] is True
        assert lives(hub)

    def test_a_hub_that_refuses_is_asked_again_at_the_next_unlock(self, sealed: DaemonFixture, hub: FakeHub) -> None:
        hub.inject("POST", REVOKE, 503)
        done = sealed.cli(*RECALL)
        assert "NOT yet revoked" in done.stderr
        assert "503" in done.stderr
        assert "next unlock" in done.stderr
        assert lives(hub)
        assert in_files(sealed.state, CANARY) == []
        sealed.stop()
        start_unlocked(sealed)
        assert lives(hub), "locked down, so the vault was not opened"
        done = unlock(sealed)
        assert "revoked at the Hub" in done.stdout
        assert not lives(hub)
        hub.recorder.clear()
        sealed.must("lock")
        unlock(sealed)
        assert revocations(hub) == [], "what is dead is not asked for again"

    def test_what_waits_is_sent_at_a_start_with_the_vault_open(self, sealed: DaemonFixture, hub: FakeHub) -> None:
        hub.inject("POST", REVOKE, 503, times=2)
        sealed.cli(*RECALL)
        assert "NOT yet revoked" in unlock(sealed).stderr
        sealed.stop()
        start_unlocked(sealed)
        until(lambda: not lives(hub))

    def test_a_vault_that_was_locked_is_asked_when_it_is_opened(self, sealed: DaemonFixture, hub: FakeHub) -> None:
        sealed.must("lock")
        assert "the vault was locked already" in sealed.cli(*RECALL).stderr
        assert lives(hub)
        assert "revoked at the Hub" in unlock(sealed).stdout
        assert not lives(hub)

    def test_a_hub_that_cannot_be_reached_is_said_and_keeps_nothing_alive(self, tmp_path: Path) -> None:
        with in_thread() as gone:
            seed(gone)
            daemon = DaemonFixture(tmp_path / "daemon", gone.url, gone.ca_path)
            daemon.start()
            daemon.login(CANARY)
            minted = daemon.mint("--scope", "read:me/*")
        done = daemon.cli(*RECALL)
        assert "NOT yet revoked: the token of default" in done.stderr
        assert "cannot be reached" in done.stderr
        assert read(minted) == (401, "revoked")
        assert daemon.status()["locked"] is True
        assert in_files(daemon.state, CANARY) == []
        daemon.stop()

    def test_a_hub_that_says_yes_and_does_nothing_is_not_believed(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        hub.inject("POST", REVOKE, 200, body=b"{}")
        assert "accepts the token still" in daemon.cli(*RECALL).stderr

    def test_a_token_that_came_later_is_not_the_one_that_was_meant(self, sealed: DaemonFixture, hub: FakeHub) -> None:
        newer = made_up()
        hub.add_user("me", newer)
        hub.inject("POST", REVOKE, 503, times=3)
        sealed.cli(*RECALL)
        unlock(sealed)
        warned = sealed.cli("login", "--token-stdin", stdin=newer)
        assert "is not revoked" in warned.stderr
        sealed.must("lock")
        unlock(sealed)
        assert lives(hub, newer)
        assert read(sealed.mint("--scope", "read:me/*")) == (200, None)

    def test_a_login_sends_what_waits_before_it_forgets_the_token(self, sealed: DaemonFixture, hub: FakeHub) -> None:
        newer = made_up()
        hub.add_user("me", newer)
        hub.inject("POST", REVOKE, 503, times=2)
        sealed.cli(*RECALL)
        unlock(sealed)
        sealed.login(newer)
        assert (lives(hub), lives(hub, newer)) == (False, True)

    def test_another_hub_in_the_config_gets_no_token(self, hub: FakeHub, tmp_path: Path) -> None:
        daemon = sealed_daemon(hub, tmp_path / "daemon", CANARY)
        with in_thread() as thief:
            seed(thief)
            daemon.hub, daemon.ca_file = thief.url, thief.ca_path
            daemon.configure()
            start_unlocked(daemon)
            done = daemon.cli(*RECALL)
            daemon.stop()
            assert not thief.saw(CANARY.encode())
        assert "was logged in for" in done.stderr

    def test_a_damaged_list_of_what_waits_is_not_forgotten(self, daemon: DaemonFixture) -> None:
        daemon.stop()
        (daemon.state / "to-revoke.json").write_bytes(b'[{"account":"x"')
        done = daemon.cli("daemon")
        assert done.returncode == 1
        assert "to-revoke.json" in done.stderr
        assert "settings/tokens" in done.stderr

    def test_a_disk_that_takes_nothing_does_not_keep_the_token_alive(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        (daemon.state / "lockdown").mkdir()  # neither file can be put in the place of a directory
        (daemon.state / "lockdown" / "full").touch()
        (daemon.state / "to-revoke.json").mkdir()
        (daemon.state / "to-revoke.json" / "full").touch()
        done = daemon.cli(*RECALL)
        assert (done.returncode, done.stdout) == (1, "")
        assert "token of default revoked at the Hub" in done.stderr
        assert not lives(hub)


class TestWhoMayNot:
    @pytest.mark.parametrize(
        "command", ["lockdown --yes --revoke-upstream", "lockdown --dry-run", "rotate --token-stdin"]
    )
    def test_a_command_inside_of_a_grant(self, daemon: DaemonFixture, hub: FakeHub, command: str) -> None:
        script = f"echo hf_x | {' '.join(HFPROXY)} {command}"
        done = subprocess.run(
            [*HFPROXY, "exec", "--", "bash", "-c", script], env=daemon.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1
        assert "inside" in done.stderr
        assert daemon.status()["locked"] is False
        assert lives(hub)

    @pytest.mark.parametrize("do", [{"do": "lockdown", "recall": True}, {"do": "rotate", "token": "hf_x"}])
    def test_one_that_talks_to_the_socket_by_hand(
        self, daemon: DaemonFixture, hub: FakeHub, do: "dict[str, object]"
    ) -> None:
        code = (
            "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
            "s.sendall(sys.argv[2].encode()+b'\\n')\nprint(s.makefile().readline())"
        )
        talk = [sys.executable, "-c", code, str(daemon.runtime / "control.sock"), json.dumps(do)]
        done = subprocess.run(
            [*HFPROXY, "exec", "--", *talk], env=daemon.env, capture_output=True, text=True, timeout=60
        )
        assert "inside of grant" in json.loads(done.stdout)["error"]
        assert daemon.status()["locked"] is False
        assert lives(hub)

    @pytest.mark.parametrize("token", [CANARY, "hf_TokenOfSomebodyElse"])
    def test_a_credential_over_the_data_plane(self, daemon: DaemonFixture, hub: FakeHub, token: str) -> None:
        """The Hub's own way to end a token is refused, whoever's token it is, whatever the scope."""
        everything = daemon.mint("--scope", "write:*", "--scope", "delete:*", "--scope", "settings:*")
        headers = {**bearer(everything["credential"]), "Content-Type": "application/json"}
        body = json.dumps({"credentials": [token]}).encode()
        for target in (REVOKE, "/api/credentials/revoke?x=1", "/api//credentials/revoke", "/api/credentials/%72evoke"):
            assert ask(everything["endpoint"], "POST", target, headers, body).status in {400, 403}
            assert ask(everything["endpoint"], "POST", target, {"Content-Type": "application/json"}, body).status >= 400
        assert hub.requests == []
        assert lives(hub, token)


class TestRotation:
    @pytest.fixture
    def newer(self, hub: FakeHub) -> str:
        token = made_up()
        hub.add_user("me", token)
        return token

    def test_grants_live_on_with_the_new_token(self, daemon: DaemonFixture, hub: FakeHub, newer: str) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        hub.revoke_token(CANARY)
        assert "the old token is dead" in daemon.must("rotate", "--token-stdin", stdin=newer)
        hub.recorder.clear()
        assert read(minted) == (200, None)
        assert hub.saw(newer.encode())
        assert not hub.saw(CANARY.encode())
        assert [entry["kind"] for entry in daemon.audit()].count("rotated") == 1

    def test_an_old_token_that_lives_is_said_to_live(self, daemon: DaemonFixture, hub: FakeHub, newer: str) -> None:
        done = daemon.cli("rotate", "--token-stdin", stdin=newer)
        assert done.returncode == 0
        assert "the old token is NOT dead" in done.stderr
        assert f"{hub.url}/settings/tokens" in done.stderr

    def test_neither_token_is_written_anywhere(self, hub: FakeHub, sealed: DaemonFixture, newer: str) -> None:
        done = sealed.cli("rotate", "--token-stdin", stdin=newer)
        for token in (CANARY, newer):
            assert in_files(sealed.root, token) == []
            assert token not in done.stdout + done.stderr

    def test_the_token_of_another_user_is_refused_and_nothing_changes(
        self, daemon: DaemonFixture, hub: FakeHub
    ) -> None:
        done = daemon.cli("rotate", "--token-stdin", stdin="hf_TokenOfSomebodyElse")
        assert done.returncode == 1
        assert "is of 'you'" in done.stderr
        hub.recorder.clear()
        assert read(daemon.mint("--scope", "read:me/*")) == (200, None)
        assert hub.saw(CANARY.encode())

    def test_the_same_token_is_none(self, daemon: DaemonFixture) -> None:
        assert "has already" in daemon.cli("rotate", "--token-stdin", stdin=CANARY).stderr

    def test_one_that_the_hub_does_not_know_is_refused(self, daemon: DaemonFixture) -> None:
        assert "does not accept this token" in daemon.cli("rotate", "--token-stdin", stdin=made_up()).stderr

    def test_the_form_asks_for_what_was_used_and_no_more(self, daemon: DaemonFixture, hub: FakeHub, newer: str) -> None:
        minted = daemon.mint("--scope", "write:me/*", "--scope", "read")
        read(minted)
        read(minted, "/api/models/you/public-model")
        headers = {**bearer(minted["credential"]), "Content-Type": "application/json"}
        ask(minted["endpoint"], "POST", "/api/models/me/secret-model/branch/new", headers, b"{}")
        read(daemon.mint("--scope", "write:acme/*"), "/api/models/acme/none")
        ask(minted["endpoint"], "POST", "/api/spaces/me/x/secrets", headers, b'{"key":"A","value":"b"}')  # refused
        (line,) = [
            line for line in daemon.must("rotate", "--token-stdin", stdin=newer).splitlines() if "/settings/tokens/new" in line
        ]  # fmt: skip
        url = urlsplit(line.partition(": ")[2])
        assert f"{url.scheme}://{url.netloc}" == hub.url
        assert parse_qs(url.query) == {
            "tokenType": ["fineGrained"],
            "ownUserPermissions": ["repo.content.read", "repo.write"],
            "orgs": ["acme"],
            "orgPermissions": ["repo.content.read"],
            "canReadGatedRepos": ["true"],
        }

    def test_a_browser_is_opened_where_there_is_a_desktop(
        self, daemon: DaemonFixture, newer: str, tmp_path: Path
    ) -> None:
        opener, opened = tmp_path / "bin" / "xdg-open", tmp_path / "opened"
        opener.parent.mkdir()
        opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part && mv {opened}.part {opened}\n')
        opener.chmod(0o755)
        desktop = {"PATH": f"{opener.parent}:{os.environ['PATH']}", "DISPLAY": ":7"}
        daemon.cli("rotate", "--token-stdin", "--no-browser", stdin=CANARY, env=desktop)
        daemon.cli("rotate", "--token-stdin", stdin=CANARY, env={**desktop, "DISPLAY": ":7"})
        until(opened.exists)
        assert opened.read_text().startswith("https://localhost:")


class TestATokenThatTheHubNoLongerAccepts:
    def test_is_found_out_once_and_not_sent_again(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        hub.revoke_token(CANARY)
        assert read(minted)[0] == 401
        until(lambda: read(minted) == (403, "account"))
        hub.recorder.clear()
        reply = ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"]))
        assert "no longer accepts the token" in reply.headers["x-error-message"]
        assert "hf-proxy rotate" in reply.headers["x-error-message"]
        assert "hf-proxy login" in reply.headers["x-error-message"]
        assert read(minted, "/api/whoami-v2") == (403, "account")
        headers = {**bearer(minted["credential"]), "Content-Type": "application/json"}
        assert ask(minted["endpoint"], "POST", "/api/models/me/x/branch/y", headers, b"{}").refusal == "account"
        assert hub.requests == []
        assert "revoked_upstream" in [entry["kind"] for entry in daemon.audit()]
        assert "no longer accepts" in daemon.must("accounts")

    def test_public_content_is_read_without_it_as_before(self, daemon: DaemonFixture, hub: FakeHub) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        hub.revoke_token(CANARY)
        read(minted)
        until(lambda: read(minted) == (403, "account"))
        hub.recorder.clear()
        assert read(minted, "/api/models/you/public-model") == (200, None)
        assert not hub.saw(CANARY.encode())

    def test_is_remembered_by_the_next_daemon(self, sealed: DaemonFixture, hub: FakeHub) -> None:
        hub.revoke_token(CANARY)
        minted = sealed.mint("--scope", "read:me/*")
        read(minted)
        until(lambda: read(minted) == (403, "account"))
        sealed.stop()
        start_unlocked(sealed)
        hub.recorder.clear()
        assert read(sealed.mint("--scope", "read:me/*")) == (403, "account")
        assert hub.requests == []

    @pytest.mark.parametrize("command", ["login", "rotate"])
    def test_a_new_one_makes_it_good_again(self, daemon: DaemonFixture, hub: FakeHub, command: str) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        hub.revoke_token(CANARY)
        read(minted)
        until(lambda: read(minted) == (403, "account"))
        newer = made_up()
        hub.add_user("me", newer)
        daemon.must(command, "--token-stdin", stdin=newer)
        assert read(minted) == (200, None)

    def test_a_401_alone_proves_nothing_and_is_asked_about_once_a_minute(
        self, daemon: DaemonFixture, hub: FakeHub
    ) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        hub.inject(
            "GET", INFO, 401, headers={"X-Error-Message": "Invalid credentials in Authorization header"}, times=5
        )
        assert {read(minted) for _ in range(5)} == {(401, None)}
        until(lambda: "/api/whoami-v2" in [record.path for record in hub.requests])
        assert read(minted) == (200, None)
        assert [record.path for record in hub.requests].count("/api/whoami-v2") == 1

    def test_the_desktop_is_told(self, hub: FakeHub, tmp_path: Path) -> None:
        desktop = Desktop(tmp_path / "desktop")
        try:
            daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
            daemon.start(env=desktop.env)
            daemon.login(CANARY)
            hub.revoke_token(CANARY)
            read(daemon.mint("--scope", "read:me/*"))
            summary, body = desktop.shown.get(timeout=20)
            daemon.stop()
        finally:
            desktop.stop()
        assert "no longer accepts the token of account 'default'" in summary
        assert "hf-proxy rotate" in body
        assert CANARY not in summary + body


class TestReport:
    EVIL = "<img src=x onerror=alert(1)>\"'&</svg><script>alert(2)</script>"

    @pytest.fixture
    def day(self, daemon: DaemonFixture, hub: FakeHub) -> DaemonFixture:
        """What a program did, and tried."""
        minted = daemon.mint("--scope", "write:me/*", "--scope", "secrets:spaces/me", "--label", self.EVIL)
        hub.add_space("me/app")
        headers = {**bearer(minted["credential"]), "Content-Type": "application/json"}
        for target in (INFO, INFO, "/api/models/you/public-model"):
            ask(minted["endpoint"], "GET", target, headers)
        for target in ("/api/models/me/secret-model/branch/new", "/api/models/you/public-model/branch/new"):
            ask(minted["endpoint"], "POST", target, headers, b"{}")
        ask(minted["endpoint"], "POST", "/api/spaces/me/app/secrets", headers, b'{"key":"A","value":"b"}')
        return daemon

    def test_says_for_each_grant_and_account_what_was_done_where(self, day: DaemonFixture) -> None:
        report = json.loads(day.must("audit", "report", "--json"))
        (grant,), (account,) = report["grants"], report["accounts"]
        assert grant["label"] == self.EVIL
        assert grant["scopes"] == ["write:me/*", "secrets:spaces/me"]
        assert account["account"] == "default"
        places = {one["place"]: {name: one[name] for name in COUNTED if one[name]} for one in grant["places"]}
        assert places == {
            "models/me/secret-model": {"read": 2, "changed": 1},
            "models/you/public-model": {"anonymous": 1, "refused": 1},
            "spaces/me/app": {"secrets_set": 1},
        }
        assert [one["place"] for one in account["places"]] == sorted(places)

    def test_as_text(self, day: DaemonFixture) -> None:
        said = day.must("audit", "report", "--since", "1h")
        assert "account default" in said
        assert "models/me/secret-model" in said

    def test_as_a_page_for_nobody_else_that_runs_nothing(self, day: DaemonFixture, tmp_path: Path) -> None:
        file = tmp_path / "report.html"
        day.must("audit", "report", "--html", str(file))
        page = file.read_text()
        assert file.stat().st_mode & 0o077 == 0
        assert "<script" not in page
        assert "<img" not in page
        assert "default-src 'none'" in page
        assert page.count("<svg") == page.count("</svg>") == 1
        assert CANARY not in page

    def test_one_that_cannot_be_written_says_so(self, daemon: DaemonFixture, tmp_path: Path) -> None:
        done = daemon.cli("audit", "report", "--html", str(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert str(tmp_path) in done.stderr


COUNTED = ("read", "changed", "secrets_set", "anonymous", "refused", "failed")


def limit_files(daemon: DaemonFixture, size: int) -> None:
    """No file of the daemon may grow beyond this: the next write to the journal fails as on a full disk."""
    resource.prlimit(daemon.status()["pid"], resource.RLIMIT_FSIZE, (size, size))


def on_a_terminal(daemon: DaemonFixture, *words: str, typed: str) -> tuple[str, int]:
    """Run a command on a terminal, type a line when it asks; what was to be seen, and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(HFPROXY[0], [*HFPROXY, *words], daemon.env)
    seen = b""
    while not seen.endswith(b"[y/N] "):
        seen += os.read(terminal, 1000)
    os.write(terminal, typed.encode() + b"\n")
    try:
        while part := os.read(terminal, 1000):
            seen += part
    except OSError:
        pass  # Linux says so when the other end of a terminal is gone
    return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
