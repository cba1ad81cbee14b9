"""The daemon on a real keyring: the token is there, outlives the daemon, and is gone when it is forgotten."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary import leaks
from fakehub import FakeHub
from house import House
from secret_service import SecretService
from wire_client import ask, bearer


@pytest.fixture
def house(hub: FakeHub, tmp_path: Path) -> House:
    """Not started yet."""
    return House(tmp_path / "house", hub.url, hub.ca_path, vault="keyring")


def reads(house: House) -> int:
    minted = house.mint("--scope", "read:me/*")
    return ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"])).status


def test_a_token_in_the_keyring_outlives_the_daemon(house: House, desktop: SecretService, canary: str) -> None:
    house.start(env=desktop.env)
    house.login(canary)
    assert house.status()["vault"] == "keyring:SecretService"
    house.stop()
    ((_, _, stored),) = desktop.items()
    assert leaks(stored, canary)
    house.start(env=desktop.env)
    assert reads(house) == 200


def test_logout_takes_it_out_of_the_keyring(house: House, desktop: SecretService, canary: str) -> None:
    house.start(env=desktop.env)
    house.login(canary)
    house.login(canary, "--account", "other")
    house.must("logout", "--account", "other")
    assert reads(house) == 200
    house.must("logout")
    assert all(not leaks(stored, canary) for _, _, stored in desktop.items())


def test_a_locked_keyring_is_named_and_once_unlocked_all_is_there(
    house: House, desktop: SecretService, canary: str
) -> None:
    house.start(env=desktop.env)
    house.login(canary)
    house.stop()
    desktop.lock()
    house.start(env=desktop.env)
    for words in (["mint"], ["exec", "--", "true"], ["login", "--token-stdin"], ["accounts"]):
        done = house.cli(*words, stdin=canary)
        assert done.returncode == (125 if words[0] == "exec" else 1), done
        assert done.stdout == ""
        assert "the keyring is locked; unlock it" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    desktop.restart()
    assert reads(house) == 200


def test_a_keyring_that_never_answers_keeps_nothing_but_itself_waiting(
    house: House, desktop: SecretService, canary: str, hub: FakeHub
) -> None:
    """What needs it waits, many times over; all else is served, and the daemon ends when it is told to."""
    house.start(env=desktop.env)
    house.login(canary)
    kept = [house.mint("--scope", "read:me/*") for _ in range(3)]

    def read(minted: dict[str, str]) -> tuple[int, str | None]:
        reply = ask(minted["endpoint"], "GET", "/api/models/me/secret-model", bearer(minted["credential"]))
        return reply.status, reply.refusal

    with desktop.stopped():
        waiting = [
            subprocess.Popen(
                [*house.hfproxy, "logout"], env=house.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for _ in range(10)
        ]
        try:
            assert {read(minted) for minted in kept} == {(200, None)}
            assert house.status()["locked"] is False
            house.must("revoke", kept[0]["id"])
            assert [read(minted) for minted in kept[:2]] == [(401, "revoked"), (200, None)]
            assert house.audit("--grant", kept[0]["id"])
            house.must("lockdown", "--yes")
            assert read(kept[1]) == (401, "revoked")
            assert house.status()["lockdown"] is True
            assert house.process is not None
            house.process.terminate()
            assert house.process.wait(30) == 0
            house.process = None
        finally:
            for process in waiting:
                process.kill()
                process.wait()
