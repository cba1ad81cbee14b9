"""The control socket under whatever a program of our own user may send it."""

import json
import socket
import subprocess
import time

import pytest
from canary import made_up
from fakehub import FakeHub
from daemon_fixture import DaemonFixture

from hfproxy import wire

pytestmark = pytest.mark.shared_daemon


def say(daemon: DaemonFixture, data: bytes) -> list[dict[str, object]]:
    """Send bytes; all that is answered until the daemon hangs up."""
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as answers:
        connection.settimeout(30)
        connection.connect(str(daemon.runtime / "control.sock"))
        try:
            connection.sendall(data)
        except BrokenPipeError:
            pass
        lines = []
        try:
            lines.extend(json.loads(line) for line in answers)
        except ConnectionResetError:
            pass
        return lines


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"\xff\xfe\n",
        b"GET / HTTP/1.1\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b'{"do":"nope"}\n',
        b'{"do":1}\n',
        b'{"do":"status","more":1}\n',
        b'{"do":"status"}{"do":"lock"}\n',
        b'{"do":"mint","scopes":"read"}\n',
        b'{"do":"mint","max_uses":"1"}\n',
        b'{"do":"mint","bind":"forever"}\n',
        b'{"do":"mint","label":"\\ud800"}\n',
        b'{"do":"revoke","all":"yes"}\n',
        b'{"do":"login","account":"default"}\n',
        b'{"do":"mint","scopes":' + b"[" * 100_000 + b"\n",
    ],
    ids=lambda line: repr(line[:40]),
)
def test_what_is_not_one_of_the_requests_is_a_usage_error(daemon: DaemonFixture, line: bytes) -> None:
    (answer,) = say(daemon, line)
    assert answer["code"] == 2
    assert "does not understand" in str(answer["error"])
    assert daemon.status()["locked"] is False


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"do":"revoke"}\n', "name the grants to revoke"),
        (b'{"do":"audit","since":"soon"}\n', "malformed duration"),
        (b'{"do":"login","account":"","token":"x"}\n', "an account's name"),
        (b'{"do":"login","account":"a/b","token":"x"}\n', "an account's name"),
        (b'{"do":"login","account":"' + b"a" * 65 + b'","token":"x"}\n', "an account's name"),
        (b'{"do":"login","account":"a","token":""}\n', "this is not a token"),
        (b'{"do":"login","account":"a","token":"hf_a b"}\n', "this is not a token"),
        (b'{"do":"login","account":"a","token":"hf_a\\r\\nX: y"}\n', "this is not a token"),
        (b'{"do":"login","account":"a","token":"hf_\\u00e9"}\n', "this is not a token"),
        (b'{"do":"login","account":"a","token":"hf_px_0123"}\n', "a credential of hf-proxy, not a token"),
    ],
    ids=lambda value: repr(value[:60]),
)
def test_what_cannot_be_meant_is_a_usage_error_that_says_so(
    daemon: DaemonFixture, line: bytes, said: str, hub: FakeHub
) -> None:
    (answer,) = say(daemon, line)
    assert answer["code"] == 2
    assert said in str(answer["error"])
    assert hub.requests == []


def test_a_line_without_end_is_refused_at_its_limit(daemon: DaemonFixture) -> None:
    (answer,) = say(daemon, b"a" * (3 * wire.MAX_LINE))
    assert answer["code"] == 2
    assert str(wire.MAX_LINE) in str(answer["error"])


def test_one_request_a_connection(daemon: DaemonFixture) -> None:
    answers = say(daemon, b'{"do":"status"}\n{"do":"lock"}\n')
    assert [answer["locked"] for answer in answers] == [False]
    assert daemon.status()["locked"] is False


def test_who_hangs_up_early_leaves_nothing_behind(daemon: DaemonFixture) -> None:
    for data in (b"", b'{"do":"sta', b'{"do":"audit","follow":true}\n'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(daemon.runtime / "control.sock"))
            connection.sendall(data)
    assert daemon.status()["grants"] == 0
    assert "control_failed" not in daemon.log.read_text()


def test_many_who_say_nothing_keep_nobody_waiting(daemon: DaemonFixture) -> None:
    silent = [socket.socket(socket.AF_UNIX) for _ in range(200)]
    for connection in silent:
        connection.connect(str(daemon.runtime / "control.sock"))
    assert daemon.status()["grants"] == 0
    for connection in silent:
        connection.close()


def test_to_revoke_some_that_are_not_all_there_revokes_none(daemon: DaemonFixture) -> None:
    minted = daemon.mint()
    done = daemon.cli("revoke", minted["id"], "0" * 16)
    assert done.returncode == 1
    assert daemon.status()["grants"] == 1


def test_no_passphrase_opens_a_vault_that_has_none(daemon: DaemonFixture) -> None:
    (answer,) = say(daemon, b'{"do":"unlock","passphrase":"x"}\n')
    assert answer["code"] == 1
    assert "without one" in str(answer["error"])


@pytest.mark.own_daemon
def test_several_accounts_each_have_their_own_grants(daemon: DaemonFixture, hub: FakeHub) -> None:
    second = made_up()
    hub.add_user("second", second)
    daemon.login(second, "--account", "work")
    assert daemon.mint("--account", "work")["id"] != daemon.mint()["id"]
    assert {grant["account"] for grant in json.loads(daemon.must("grants", "--json"))} == {"default", "work"}
    daemon.must("logout", "--account", "work")
    assert [one["name"] for one in json.loads(daemon.must("accounts", "--json"))] == ["default"]


@pytest.mark.own_daemon
def test_following_the_journal_shows_what_happens_meanwhile(daemon: DaemonFixture) -> None:
    with subprocess.Popen(
        [*daemon.hfproxy, "audit", "-f", "--json"], env=daemon.env, stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["kind"] == "login"
        minted = daemon.mint()
        assert json.loads(following.stdout.readline())["grant"] == minted["id"]
        following.terminate()


class TestJsonShapes:
    """The members of what each command prints with `--json`, which programs rely on."""

    @pytest.mark.own_daemon
    def test_status(self, daemon: DaemonFixture) -> None:
        daemon.mint()
        status = json.loads(daemon.must("status", "--json"))
        assert set(status) >= {"version", "pid", "endpoint", "vault", "locked", "accounts", "grants", "started_at"}
        assert (status["vault"], status["locked"], status["grants"]) == ("memory", False, 1)
        assert status["accounts"] == [{"name": "default", "user": "me", "role": "fineGrained"}]
        assert daemon.process is not None
        assert status["pid"] == daemon.process.pid
        assert isinstance(status["started_at"], int)
        assert 0 <= time.time() - status["started_at"] < 300

    def test_mint_and_grants(self, daemon: DaemonFixture) -> None:
        options = ("--scope", "read:me/*", "--label", "a label", "--ttl", "90s")
        minted = json.loads(daemon.must("mint", "--json", *options))
        assert set(minted) == {"id", "credential", "endpoint", "expires_at", "scopes"}
        assert (minted["endpoint"], minted["scopes"]) == (daemon.status()["endpoint"], ["read:me/*"])
        (grant,) = json.loads(daemon.must("grants", "--json"))
        assert grant == {
            "id": minted["id"],
            "label": "a label",
            "scopes": ["read:me/*"],
            "account": "default",
            "parent": None,
            "bind": "none",
            "pid": None,
            "program": None,
            "minted_at": minted["expires_at"] - 90,
            "expires_at": minted["expires_at"],
            "uses": 0,
        }

    @pytest.mark.own_daemon
    def test_audit(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--scope", "read:me/*")
        daemon.must("revoke", minted["id"])
        login, given, ended = map(json.loads, daemon.must("audit", "--json").splitlines())
        assert (set(login), login["kind"]) == ({"seq", "at", "kind", "account"}, "login")
        assert (set(given), given["kind"]) == ({"seq", "at", "kind", "grant", "account", "scopes"}, "minted")
        assert (set(ended), ended["kind"]) == ({"seq", "at", "kind", "grant", "account"}, "revoked")
        assert [entry["seq"] for entry in (login, given, ended)] == [1, 2, 3]
        assert all(isinstance(entry["at"], int) for entry in (login, given, ended))
