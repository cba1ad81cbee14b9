"""Sealed vaults and machines without a desktop: what opens them, what does not, and what is said about it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary import leaks
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy
from prompter import Prompter
from secret_service import SecretService
from wire_client import ask, bearer

from hfproxy.secret import Secret
from hfproxy.vault.kernel_key_cache import KernelKeyCache
from hfproxy.vault.sealed_file import SealedFileVault

PASSPHRASE = "a passphrase, and a long one"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The passphrase, in a file of ours alone."""
    path = tmp_path / "key"
    path.write_text(f"{PASSPHRASE}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def on_keyring(hub: FakeHub, tmp_path: Path) -> DaemonFixture:
    """Not started yet."""
    return DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="keyring")


@pytest.fixture
def on_file(hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
    """Not started yet. What the kernel was given to keep for it is gone afterwards."""
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
    yield daemon
    KernelKeyCache(daemon.state).remove()


def reads(daemon: DaemonFixture) -> int:
    minted = daemon.mint("--scope", "read:me/*")
    return ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"])).status


def refused(daemon: DaemonFixture, *words: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
    """The one line that a command fails with."""
    done = daemon.cli(*words, stdin=stdin, env=env)
    assert done.returncode == (125 if words[0] == "exec" else 1), done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


class TestSealedInTheKeyring:
    def test_the_whole_way(
        self, on_keyring: DaemonFixture, desktop: SecretService, key_file: Path, canary: str
    ) -> None:
        daemon = on_keyring
        daemon.start(env=desktop.env)
        daemon.login(canary)
        assert leaks(desktop.items()[0][2], canary)
        told = daemon.must("vault", "seal", "--passphrase-file", str(key_file))
        assert "keyring:SecretService (sealed)" in told
        self.holds_no_token(desktop, canary)
        assert reads(daemon) == 200
        daemon.login(canary, "--account", "other")
        self.holds_no_token(desktop, canary)
        daemon.stop()

        daemon.start(env=desktop.env)
        status = daemon.status()
        assert (status["vault"], status["locked"]) == ("keyring:SecretService (sealed)", True)
        for words in (["mint"], ["exec", "--", "true"], ["login", "--token-stdin"], ["accounts"]):
            assert "the vault is locked; run: hf-proxy unlock" in refused(daemon, *words, stdin=canary)
        daemon.must("unlock", "--passphrase-file", str(key_file))
        assert reads(daemon) == 200
        assert not daemon.status()["locked"]

        daemon.must("vault", "unseal", "--passphrase-file", str(key_file))
        assert daemon.status()["vault"] == "keyring:SecretService"
        assert leaks(desktop.items()[0][2], canary)
        daemon.stop()
        daemon.start(env=desktop.env)
        assert reads(daemon) == 200
        assert daemon.log.read_text().count(canary) == 0

    def holds_no_token(self, desktop: SecretService, canary: str) -> None:
        ((label, attributes, secret),) = desktop.items()
        assert not leaks(repr((label, attributes)).encode() + secret, canary)

    def sealed_and_unmarked(self, daemon: DaemonFixture, desktop: SecretService, key_file: Path, canary: str) -> None:
        daemon.start(env=desktop.env)
        daemon.login(canary)
        daemon.must("vault", "seal", "--passphrase-file", str(key_file))
        daemon.stop()
        (daemon.state / "keyring-sealed").unlink()
        daemon.start(env=desktop.env)

    def test_a_mark_that_is_gone_does_not_open_it(
        self, on_keyring: DaemonFixture, desktop: SecretService, key_file: Path, canary: str
    ) -> None:
        self.sealed_and_unmarked(on_keyring, desktop, key_file, canary)
        assert "hf-proxy unlock" in refused(on_keyring, "login", "--token-stdin", stdin=canary)
        self.holds_no_token(desktop, canary)
        on_keyring.must("unlock", "--passphrase-file", str(key_file))
        assert reads(on_keyring) == 200
        assert on_keyring.status()["vault"] == "keyring:SecretService (sealed)"

    def test_without_its_mark_one_unlock_is_enough(
        self, on_keyring: DaemonFixture, desktop: SecretService, key_file: Path, canary: str
    ) -> None:
        self.sealed_and_unmarked(on_keyring, desktop, key_file, canary)
        on_keyring.must("unlock", "--passphrase-file", str(key_file))
        assert reads(on_keyring) == 200

    def test_a_key_file_opens_it_at_start_and_at_unlock(
        self, on_keyring: DaemonFixture, desktop: SecretService, key_file: Path, canary: str
    ) -> None:
        daemon = on_keyring
        daemon.start(env=desktop.env)
        daemon.login(canary)
        daemon.must("vault", "seal", "--passphrase-file", str(key_file))
        daemon.stop()
        daemon.configure(f'key_file = "{key_file}"\n')
        daemon.start(env=desktop.env)
        assert not daemon.status()["locked"]
        assert reads(daemon) == 200
        daemon.must("lock")
        assert daemon.status()["locked"]
        daemon.must("unlock")
        assert reads(daemon) == 200
        daemon.must("lock")
        key_file.write_text("another")
        assert f"the passphrase in {key_file} is not the vault's" in refused(daemon, "unlock")

    def test_a_keyring_that_is_not_there_at_start_leaves_it_locked_and_may_come(
        self, on_keyring: DaemonFixture, desktop: SecretService, key_file: Path, canary: str
    ) -> None:
        daemon = on_keyring
        daemon.start(env=desktop.env)
        daemon.login(canary)
        daemon.must("vault", "seal", "--passphrase-file", str(key_file))
        daemon.stop()
        daemon.configure(f'key_file = "{key_file}"\n')
        desktop.stop_keyring()
        daemon.start(env=desktop.env)
        assert daemon.status()["locked"]
        assert "vault_not_opened" in daemon.log.read_text()
        assert "the session bus has no Secret Service" in refused(daemon, "unlock")
        desktop.start()
        daemon.must("unlock")
        assert reads(daemon) == 200

    @pytest.mark.parametrize("vault", ["memory", "sealed-file"])
    def test_no_other_vault_is_sealed_so(self, hub: FakeHub, tmp_path: Path, key_file: Path, vault: str) -> None:
        daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault=vault)
        daemon.configure(f'key_file = "{key_file}"\n')
        daemon.start()
        assert "sealed" in refused(daemon, "vault", "seal", "--passphrase-file", str(key_file))
        refused(daemon, "vault", "unseal", "--passphrase-file", str(key_file))


class TestWithoutADesktop:
    def test_a_key_file_makes_the_vault_and_opens_it_from_then_on(
        self, on_file: DaemonFixture, key_file: Path, canary: str
    ) -> None:
        on_file.configure(f'key_file = "{key_file}"\n')
        on_file.start()
        on_file.login(canary)
        on_file.stop()
        on_file.start()
        assert reads(on_file) == 200

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda path: path.chmod(0o644), "is open to other users; run: chmod 600"),
            (lambda path: path.unlink(), "cannot be opened: No such file"),
            (lambda path: path.write_text("\n"), "holds no passphrase"),
            (lambda path: path.rename(path.with_name("x")) and path.symlink_to("x"), "cannot be opened"),
            (lambda path: path.write_text("another"), "is not the vault's; correct it"),
        ],
        ids=["its mode", "gone", "empty", "a link", "another passphrase"],
    )
    def test_a_key_file_that_is_not_as_it_has_to_be_keeps_the_daemon_from_starting(
        self, on_file: DaemonFixture, key_file: Path, canary: str, spoil: object, said: str
    ) -> None:
        on_file.configure(f'key_file = "{key_file}"\n')
        on_file.start()
        on_file.login(canary)
        on_file.stop()
        spoil(key_file)  # type: ignore[operator]
        line = refused(on_file, "daemon").removeprefix("hf-proxy: ")
        assert said in line
        assert str(key_file) in line

    @pytest.mark.needs("systemd-creds")
    def test_a_credential_of_systemd_opens_it(self, on_file: DaemonFixture, tmp_path: Path, canary: str) -> None:
        """Encrypted for this machine's key and decrypted by systemd's own program, as for LoadCredentialEncrypted=."""
        directory = tmp_path / "credentials"
        directory.mkdir(mode=0o700)
        self.creds(PASSPHRASE.encode(), "encrypt", tmp_path / "sealed.cred")
        assert PASSPHRASE.encode() not in (tmp_path / "sealed.cred").read_bytes()
        self.creds((tmp_path / "sealed.cred").read_bytes(), "decrypt", directory / "hf-proxy-passphrase")
        (directory / "hf-proxy-passphrase").chmod(0o400)
        # With what makes the daemon start itself again in a clean environment.
        env = {"CREDENTIALS_DIRECTORY": str(directory), "SSLKEYLOGFILE": "/nonexistent/keys"}
        on_file.start(env=env)
        on_file.login(canary)
        on_file.stop()
        on_file.start()
        assert on_file.status()["locked"]
        on_file.stop()
        on_file.start(env=env)
        assert reads(on_file) == 200

    def creds(self, given: bytes, verb: str, result: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root, for the machine's key")
        key = ["--with-key=host"] if verb == "encrypt" else []
        words = ["systemd-creds", verb, "--name=hf-proxy-passphrase", *key, "-", str(result)]
        subprocess.run(words, input=given, check=True, timeout=60, capture_output=True)

    @pytest.mark.parametrize(
        "env", [{}, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}], ids=["no bus", "dead"]
    )
    def test_login_says_that_there_is_no_keyring_and_offers_the_sealed_file(
        self, on_keyring: DaemonFixture, env: dict[str, str], canary: str
    ) -> None:
        """And keeps the token nowhere else."""
        on_keyring.start(env=env)
        line = refused(on_keyring, "login", "--token-stdin", stdin=canary)
        assert "session bus" in line
        assert 'set backend = "sealed-file" under [vault] in config.toml' in line
        assert all(not leaks(path.read_bytes(), canary) for path in on_keyring.root.rglob("*") if path.is_file())
        assert on_keyring.status()["accounts"] == []


class TestKeptByTheKernel:
    @pytest.fixture
    def daemon(self, on_file: DaemonFixture, key_file: Path, canary: str) -> DaemonFixture:
        """Running, with its key kept."""
        on_file.start()
        on_file.must("unlock", "--passphrase-file", str(key_file))
        on_file.login(canary)
        on_file.must("unlock", "--keep", "1h")
        return on_file

    def test_the_next_daemon_is_open(self, daemon: DaemonFixture) -> None:
        daemon.stop()
        daemon.start()
        assert not daemon.status()["locked"]
        assert reads(daemon) == 200

    @pytest.mark.parametrize("words", [["lock"], ["lockdown", "--yes"]], ids=str)
    def test_until_somebody_locks(self, daemon: DaemonFixture, words: list[str], key_file: Path) -> None:
        assert KernelKeyCache(daemon.state).get() is not None
        daemon.must(*words)
        assert KernelKeyCache(daemon.state).get() is None
        daemon.must("unlock", "--passphrase-file", str(key_file))
        daemon.stop()
        daemon.start()
        assert daemon.status()["locked"]

    def test_only_when_asked_for(self, on_file: DaemonFixture, key_file: Path) -> None:
        on_file.start()
        on_file.must("unlock", "--passphrase-file", str(key_file))
        assert KernelKeyCache(on_file.state).get() is None

    def test_one_that_does_not_open_what_is_there_is_thrown_away(self, daemon: DaemonFixture) -> None:
        daemon.stop()
        sealed = daemon.state / "vault.sealed"
        kept = sealed.rename(sealed.with_name("kept"))
        SealedFileVault(sealed).unlock(Secret("another passphrase"))
        daemon.start()
        assert daemon.status()["locked"]
        assert "kept_key_removed" in daemon.log.read_text()
        daemon.stop()
        kept.rename(sealed)
        daemon.start()
        assert daemon.status()["locked"]

    def test_a_vault_without_a_passphrase_has_nothing_to_keep(self, hub: FakeHub, tmp_path: Path) -> None:
        daemon = DaemonFixture(tmp_path / "memory", hub.url, hub.ca_path)
        daemon.start()
        assert "no key of its own to keep" in refused(daemon, "unlock", "--keep", "1h")

    def test_longer_than_a_week_is_too_long(self, daemon: DaemonFixture) -> None:
        done = daemon.cli("unlock", "--keep", "8d")
        assert (done.returncode, done.stdout) == (2, "")
        assert "7d at most" in done.stderr


class TestALockedKeyring:
    @pytest.fixture
    def daemon(self, on_keyring: DaemonFixture, desktop: SecretService, canary: str) -> DaemonFixture:
        """With a token in the keyring, which is locked, and started anew."""
        on_keyring.start(env=desktop.env)
        on_keyring.login(canary)
        on_keyring.stop()
        desktop.lock()
        on_keyring.start(env=desktop.env)
        return on_keyring

    def test_that_was_not_opened_yet_is_not_said_to_be_empty(self, daemon: DaemonFixture) -> None:
        assert daemon.status()["accounts"] == []
        assert daemon.status()["opened"] is False
        told = daemon.must("status")
        assert "not opened yet; it opens at the first request that needs it" in told
        assert "hf-proxy login" not in told

    def test_is_asked_about_once_by_a_burst_of_commands(self, daemon: DaemonFixture, desktop: SecretService) -> None:
        prompter = Prompter(desktop.address, dismisses=True)
        burst = [
            subprocess.Popen([*daemon.hfproxy, "exec", "--", "true"], env=daemon.env, stderr=subprocess.PIPE, text=True)
            for _ in range(8)
        ]
        lines = [process.communicate(timeout=60)[1] for process in burst]
        assert [process.returncode for process in burst] == [125] * 8
        assert all("the keyring is locked; unlock it in your desktop session" in line for line in lines)
        assert prompter.prompts == 1
        assert "dismissed" in refused(daemon, "unlock")
        assert prompter.prompts == 2
        prompter.close()
        desktop.restart()
        assert reads(daemon) == 200

    def test_with_its_prompt_open_holds_up_nothing_else(self, daemon: DaemonFixture, desktop: SecretService) -> None:
        prompter = Prompter(desktop.address, dismisses=False)
        waiting = subprocess.Popen([*daemon.hfproxy, "mint"], env=daemon.env, stderr=subprocess.PIPE, text=True)
        assert prompter.shown.wait(60)
        self.goes_on(daemon)
        assert waiting.poll() is None
        daemon.must("lock")
        daemon.must("lockdown", "--yes")
        assert daemon.stop() == 0
        assert "hung up" in waiting.communicate(timeout=60)[1]
        assert prompter.prompts == 1
        prompter.close()

    def test_one_that_hangs_holds_up_nothing_else(self, daemon: DaemonFixture, desktop: SecretService) -> None:
        desktop.restart()
        with desktop.stopped():
            before = clients(desktop)
            waiting = subprocess.Popen([*daemon.hfproxy, "mint"], env=daemon.env, stderr=subprocess.PIPE, text=True)
            while clients(desktop) == before:
                assert waiting.poll() is None
            self.goes_on(daemon)
            assert waiting.poll() is None
            assert daemon.stop() == 0
        assert "hung up" in waiting.communicate(timeout=60)[1]

    def test_one_that_hung_and_goes_on_is_used(self, daemon: DaemonFixture, desktop: SecretService) -> None:
        desktop.restart()
        with desktop.stopped():
            before = clients(desktop)
            waiting = subprocess.Popen(
                [*daemon.hfproxy, "mint", "--json"], env=daemon.env, stdout=subprocess.PIPE, text=True
            )
            while clients(desktop) == before:
                assert waiting.poll() is None
        minted = json.loads(waiting.communicate(timeout=60)[0])
        assert minted["credential"].startswith("hf_px_")
        assert reads(daemon) == 200

    def goes_on(self, daemon: DaemonFixture) -> None:
        """Commands and the data plane answer."""
        status = daemon.status()
        assert status["opened"] is False
        assert ask(status["endpoint"], "GET", "/api/models/me/secret-model", bearer("hf_px_unknown")).status == 401
        assert daemon.must("grants", "--json") == "[]\n"


def clients(desktop: SecretService) -> int:
    """How many are connected to the bus."""
    with desktop.connect() as bus:
        return len([name for name in Proxy(message_bus, bus).ListNames()[0] if name.startswith(":")])
