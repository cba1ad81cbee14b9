"""Who may not: other users, web pages, other host names, and whoever has no living credential
(docs/threat-model.md#t1, docs/threat-model.md#t2, docs/threat-model.md#t3)."""

import json
import os
import subprocess
import sys

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from wire_client import Reply, ask, bearer, send

pytestmark = pytest.mark.shared_daemon

OTHER = 65534
INFO = "/api/models/me/secret-model"


@pytest.fixture
def credential(daemon: DaemonFixture) -> str:
    return str(daemon.mint("--scope", "read:me/*")["credential"])


@pytest.fixture
def endpoint(daemon: DaemonFixture) -> str:
    return str(daemon.status()["endpoint"])


def refused(reply: Reply, refusal: str, status: int, hub: FakeHub) -> None:
    """It was refused for this reason, in both places where the reason stands, and nothing went to the Hub."""
    assert (reply.refusal, reply.status) == (refusal, status), reply.raw
    assert json.loads(reply.body)["refusal"] == refusal
    assert json.loads(reply.body)["error"] == reply.headers["x-error-message"]
    assert hub.requests == []


def test_our_own_request_goes_through(endpoint: str, credential: str, hub: FakeHub) -> None:
    """Or none of the refusals below would mean anything."""
    assert ask(endpoint, "GET", INFO, bearer(credential)).status == 200
    port = endpoint.rpartition(":")[2]
    assert ask(endpoint, "GET", INFO, bearer(credential), host=f"localhost:{port}").status == 200
    assert len(hub.requests) == 2


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "[::1]:PORT", "127.0.0.1:PORT.evil.example", ""]
)
def test_another_host_name_is_refused(endpoint: str, credential: str, hub: FakeHub, host: str) -> None:
    named = host.replace("PORT", endpoint.rpartition(":")[2])
    refused(ask(endpoint, "GET", INFO, bearer(credential), host=named), "host", 421, hub)


def test_two_hosts_are_refused(endpoint: str, credential: str, hub: FakeHub) -> None:
    host = endpoint.removeprefix("http://")
    data = f"GET {INFO} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\nConnection: close\r\n"
    data += f"Authorization: Bearer {credential}\r\n\r\n"
    assert send(endpoint, data.encode()).status in {400, 421}
    assert hub.requests == []


@pytest.mark.parametrize("target", ["http://127.0.0.1:PORT" + INFO, "http://evil.example" + INFO])
def test_an_absolute_target_is_refused(endpoint: str, credential: str, hub: FakeHub, target: str) -> None:
    reply = ask(endpoint, "GET", target.replace("PORT", endpoint.rpartition(":")[2]), bearer(credential))
    refused(reply, "bad_target", 400, hub)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_web_page_is_refused_even_with_a_credential(
    endpoint: str, credential: str, hub: FakeHub, headers: dict[str, str]
) -> None:
    refused(ask(endpoint, "GET", INFO, bearer(credential) | headers), "origin", 403, hub)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
def test_a_form_without_credential_is_refused(endpoint: str, hub: FakeHub, kind: str) -> None:
    reply = ask(endpoint, "POST", "/api/validate-yaml", {"Content-Type": kind}, b"a=b")
    refused(reply, "origin", 403, hub)


def test_no_answer_lets_a_web_page_read_it(endpoint: str, credential: str) -> None:
    for headers in (bearer(credential), {"Origin": "https://evil.example"}, {}):
        reply = ask(endpoint, "OPTIONS" if "Origin" in headers else "GET", INFO, headers)
        assert not [name for name in reply.headers if name.startswith("access-control-")]


def test_a_browser_that_opens_our_address_is_sent_to_the_hub(endpoint: str, hub: FakeHub) -> None:
    reply = ask(endpoint, "GET", "/me/secret-model", {"Accept": "text/html,*/*", "Sec-Fetch-Site": "none"})
    assert (reply.status, reply.headers["location"]) == (302, hub.url + "/me/secret-model")
    assert hub.requests == []


def test_without_a_credential_there_is_nothing(endpoint: str, hub: FakeHub) -> None:
    reply = ask(endpoint, "GET", INFO)
    refused(reply, "no_credential", 401, hub)
    assert reply.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "authorization", ["Bearer hf_px_000000000000000000000000000000000", "Bearer x", "Basic !!", "Digest a", "Bearer "]
)
def test_an_unknown_credential_is_refused(endpoint: str, hub: FakeHub, authorization: str) -> None:
    refused(ask(endpoint, "GET", INFO, {"Authorization": authorization}), "unknown_credential", 401, hub)


def test_the_real_token_itself_is_no_credential(endpoint: str, canary: str, hub: FakeHub) -> None:
    reply = ask(endpoint, "GET", INFO, bearer(canary))
    refused(reply, "unknown_credential", 401, hub)
    assert canary.encode() not in reply.raw


@pytest.mark.own_daemon
def test_unknown_credentials_are_counted_and_not_written_one_by_one(endpoint: str, daemon: DaemonFixture) -> None:
    before = len(daemon.audit())
    for _ in range(20):
        ask(endpoint, "GET", INFO, bearer("hf_px_nobody"))
    assert len(daemon.audit()) == before
    daemon.stop()
    last = [json.loads(line) for line in sorted(daemon.state.glob("journal/*.jsonl"))[-1].read_text().splitlines()]
    counted = [entry for entry in last if entry["kind"] == "denied_unknown"]
    assert [(entry["refusal"], entry["count"]) for entry in counted] == [("unknown_credential", 20)]


class TestAnotherUser:
    """Another account of the machine, which holds a stolen, living credential."""

    @pytest.fixture(autouse=True)
    def _root(self) -> None:
        if os.getuid() != 0:
            pytest.skip("needs root, to become another user")

    def as_other(self, code: str, *arguments: str) -> str:
        code = f"import os,socket,sys; os.setgroups([]); os.setgid({OTHER}); os.setuid({OTHER});" + code
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, *arguments], env={}, capture_output=True, text=True, timeout=30
        )
        return done.stdout + done.stderr

    def test_a_stolen_credential_is_worth_nothing(self, endpoint: str, credential: str, hub: FakeHub) -> None:
        host, port = endpoint.removeprefix("http://").split(":")
        code = (
            "s=socket.socket(); s.connect((sys.argv[1],int(sys.argv[2])));"
            "s.sendall(sys.argv[3].encode()); print(s.makefile().read())"
        )
        request = f"GET {INFO} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
        request += f"Authorization: Bearer {credential}\r\n\r\n"
        answer = self.as_other(code, host, port, request)
        assert "X-HF-Proxy-Refusal: peer" in answer, answer
        assert hub.requests == []

    CONTROL = (
        "s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        's.sendall(b\'{"do":"status"}\\n\'); print(repr(s.recv(100)))'
    )

    def test_the_control_socket_cannot_be_reached(self, daemon: DaemonFixture) -> None:
        assert "PermissionError" in self.as_other(self.CONTROL, str(daemon.runtime / "control.sock"))

    def test_nor_used_where_its_permissions_were_loosened(self, daemon: DaemonFixture) -> None:
        """The kernel says who is calling; file modes are only the first door."""
        socket_path = daemon.runtime / "control.sock"
        directories = [path for path in socket_path.parents if str(path).startswith("/tmp/")]
        before = [(path, path.stat().st_mode) for path in directories]
        for path in directories:
            path.chmod(0o755)
        socket_path.chmod(0o666)
        try:
            assert "pid" not in self.as_other(self.CONTROL, str(socket_path))
        finally:
            for path, mode in before:
                path.chmod(mode)
