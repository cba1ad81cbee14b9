"""The daemon on a real keyring: the token is there, outlives the daemon, and is gone when it is forgotten."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary import leaks
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from secret_service import SecretService
from wire_client import ask, bearer


@pytest.fixture
def daemon(hub: FakeHub, tmp_path: Path) -> DaemonFixture:
    """Not started yet."""
    return DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="keyring")


def reads(daemon: DaemonFixture) -> int:
    minted = daemon.mint("--scope", "read:me/*")
    return ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"])).status


def test_a_token_in_the_keyring_outlives_the_daemon(daemon: DaemonFixture, desktop: SecretService, canary: str) -> None:
    daemon.start(env=desktop.env)
    daemon.login(canary)
    assert daemon.status()["vault"] == "keyring:SecretService"
    daemon.stop()
    ((_, _, stored),) = desktop.items()
    assert leaks(stored, canary)
    daemon.start(env=desktop.env)
    assert reads(daemon) == 200


def test_logout_takes_it_out_of_the_keyring(daemon: DaemonFixture, desktop: SecretService, canary: str) -> None:
    daemon.start(env=desktop.env)
    daemon.login(canary)
    daemon.login(canary, "--account", "other")
    daemon.must("logout", "--account", "other")
    assert reads(daemon) == 200
    daemon.must("logout")
    assert all(not leaks(stored, canary) for _, _, stored in desktop.items())


def test_a_locked_keyring_is_named_and_once_unlocked_all_is_there(
    daemon: DaemonFixture, desktop: SecretService, canary: str
) -> None:
    daemon.start(env=desktop.env)
    daemon.login(canary)
    daemon.stop()
    desktop.lock()
    daemon.start(env=desktop.env)
    for words in (["mint"], ["exec", "--", "true"], ["login", "--token-stdin"], ["accounts"]):
        done = daemon.cli(*words, stdin=canary)
        assert done.returncode == (125 if words[0] == "exec" else 1), done
        assert done.stdout == ""
        assert "the keyring is locked; unlock it" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    desktop.restart()
    assert reads(daemon) == 200


def test_a_keyring_that_never_answers_keeps_nothing_but_itself_waiting(
    daemon: DaemonFixture, desktop: SecretService, canary: str, hub: FakeHub
) -> None:
    """What needs it waits, many times over; all else is served, and the daemon ends when it is told to."""
    daemon.start(env=desktop.env)
    daemon.login(canary)
    kept = [daemon.mint("--scope", "read:me/*") for _ in range(3)]

    def read(minted: dict[str, str]) -> tuple[int, str | None]:
        reply = ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"]))
        return reply.status, reply.refusal

    with desktop.stopped():
        waiting = [
            subprocess.Popen(
                [*daemon.hfproxy, "logout"], env=daemon.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for _ in range(10)
        ]
        try:
            assert {read(minted) for minted in kept} == {(200, None)}
            assert daemon.status()["locked"] is False
            daemon.must("revoke", kept[0]["id"])
            assert [read(minted) for minted in kept[:2]] == [(401, "revoked"), (200, None)]
            assert daemon.audit("--grant", kept[0]["id"])
            daemon.must("lockdown", "--yes")
            assert read(kept[1]) == (401, "revoked")
            assert daemon.status()["lockdown"] is True
            assert daemon.process is not None
            daemon.process.terminate()
            assert daemon.process.wait(30) == 0
            daemon.process = None
        finally:
            for process in waiting:
                process.kill()
                process.wait()
