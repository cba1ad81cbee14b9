"""Several accounts: which token is on which request."""

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY
from wire_client import ask, bearer

READER, WORK = "hf_ReaderOfMine0", "hf_TokenOfTheBot0"


@pytest.fixture
def daemon(daemon: DaemonFixture, hub: FakeHub) -> DaemonFixture:
    """A daemon with three accounts, and a rule."""
    hub.add_user("me", READER, role="read", orgs=("acme",))
    hub.add_user("bot", WORK)
    hub.add_repo("model", "bot/model", private=True, files={"config.json": b"{}"})
    daemon.stop()
    daemon.configure('[accounts]\nbot = "work"\n')
    daemon.start()
    daemon.login(CANARY)
    daemon.login(READER, "--account", "reader")
    daemon.login(WORK, "--account", "work")
    hub.recorder.clear()
    return daemon


def spent(hub: FakeHub, daemon: DaemonFixture, target: str, method: str = "GET", *options: str) -> set[str]:
    minted = daemon.mint("--scope", "write", "--scope", "delete", *options)
    hub.recorder.clear()
    ask(minted["endpoint"], method, target, bearer(minted["credential"]))
    return {token for token in (CANARY, READER, WORK) if hub.saw(token.encode())}


def test_reads_spend_the_token_that_only_reads(hub: FakeHub, daemon: DaemonFixture) -> None:
    assert spent(hub, daemon, "/api/models/me/secret-model") == {READER}
    assert [entry["account"] for entry in daemon.audit() if entry["kind"] == "completed"] == ["reader"]


def test_writes_spend_the_one_that_writes(hub: FakeHub, daemon: DaemonFixture) -> None:
    assert spent(hub, daemon, "/api/models/me/secret-model/branch/x", "DELETE") == {CANARY}


def test_a_rule_chooses_by_namespace(hub: FakeHub, daemon: DaemonFixture) -> None:
    assert spent(hub, daemon, "/api/models/bot/model") == {WORK}


def test_an_account_that_was_asked_for_is_the_one(hub: FakeHub, daemon: DaemonFixture) -> None:
    assert spent(hub, daemon, "/api/models/me/secret-model", "GET", "--account", "default") == {CANARY}
    assert spent(hub, daemon, "/api/models/bot/model", "GET", "--account", "default") == {CANARY}
