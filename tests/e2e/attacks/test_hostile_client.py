"""A client that has a credential and an hour: what it sends is read in one way, or not at all."""

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from canary import made_up
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from raw_hub import RawHub, raw_hub
from wire_client import Reply, ask, bearer, send

READ = "/api/models/me/a"
COMMIT = "/api/models/me/mine/commit/main"
TOKEN = made_up()


@dataclass
class Line:
    """The daemon, its Hub, and a credential that reads all of `me` and writes `me/mine`."""

    daemon: DaemonFixture
    hub: RawHub
    endpoint: str
    credential: str

    @property
    def host(self) -> str:
        return self.endpoint.removeprefix("http://")

    def request(self, method: str, target: str, *headers: str, body: str = "", version: str = "1.1") -> str:
        """A request as text, with Host and credential."""
        lines = [f"{method} {target} HTTP/{version}", f"Host: {self.host}", f"Authorization: Bearer {self.credential}"]
        return "\r\n".join([*lines, *headers, "", body])

    def send(self, *requests: str) -> Reply:
        """All on one connection; the last has to close it."""
        return send(self.endpoint, "".join(requests).encode("latin-1"))

    @property
    def seen(self) -> list[tuple[str, bytes]]:
        """The first lines and the bodies that reached the Hub."""
        return [(head.decode().split(" HTTP/")[0], body) for head, body in self.hub.requests]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with raw_hub() as hub:
        daemon = DaemonFixture(tmp_path_factory.mktemp("line") / "daemon", hub.url)
        daemon.start()
        daemon.login(TOKEN)
        minted = daemon.mint("--scope", "read:me/*", "--scope", "write:me/mine", "--scope", "create:me")
        DaemonFixture.built.remove(daemon)  # it is for all tests of this page
        yield Line(daemon, hub, minted["endpoint"], minted["credential"])
        daemon.stop()


@pytest.fixture
def line(running: Line) -> Iterator[Line]:
    running.hub.forget()
    yield running
    assert running.daemon.process is not None
    assert running.daemon.process.poll() is None


CLOSE = "Connection: close"
SMUGGLED = "GET /api/models/me/other HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
        ["Content-Length: 4", "Content-Length: 4"],
        ["Content-Length: 4", "Content-Length: 5"],
        ["Content-Length: 4, 4"],
        ["Content-Length: +4"],
        ["Content-Length: -1"],
        ["Content-Length: 0x4"],
        ["Content-Length: 1_0"],
        ["Content-Length : 4"],
        ["Content-Length:"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: \x0bchunked"],
        ["X: a\r\n folded"],
        ["X: a\rY: b"],
        ["X: a\0b"],
        ["X Y: a"],
        [": a"],
    ],
    ids=repr,
)
def test_framing_that_could_be_read_in_two_ways_is_refused(line: Line, headers: list[str]) -> None:
    reply = line.send(line.request("POST", COMMIT, *headers, body="0\r\n\r\n" + SMUGGLED))
    assert reply.status == 400
    assert reply.raw.count(b"HTTP/1.") == 1
    assert line.seen == []


@pytest.mark.parametrize("chunk", ["4\nabcd\n0\n\n", "0x4\r\nabcd\r\n0\r\n\r\n", "4;a\nb\r\nabcd\r\n0\r\n\r\n", "-1\r\n\r\n", "F" * 17 + "\r\n"])  # fmt: skip
def test_chunks_that_could_be_read_in_two_ways_are_never_a_whole_request(line: Line, chunk: str) -> None:
    line.send(line.request("POST", COMMIT, "Transfer-Encoding: chunked", CLOSE, body=chunk))
    assert line.seen == []


def test_lines_that_end_in_a_bare_newline_are_refused(line: Line) -> None:
    assert line.send(line.request("GET", READ, CLOSE).replace("\r\n", "\n")).status == 400
    assert line.seen == []


def test_chunk_extensions_and_trailers_end_here(line: Line) -> None:
    body = "4;name=value\r\nabcd\r\n0\r\nAuthorization: Bearer other\r\n\r\n"
    assert line.send(line.request("POST", COMMIT, "Transfer-Encoding: chunked", CLOSE, body=body)).status == 200
    assert line.seen == [(f"POST {COMMIT}", b"4\r\nabcd\r\n0\r\n\r\n")]


def test_each_of_several_requests_on_a_connection_is_judged_for_itself(line: Line) -> None:
    denied = line.request("POST", "/api/models/me/other/commit/main", "Content-Length: 2", body="{}")
    reply = line.send(line.request("GET", READ), denied, line.request("GET", READ + "b", CLOSE))
    assert [part.split(b" ")[0] for part in reply.raw.split(b"HTTP/1.1 ")[1:]] == [b"200", b"403", b"200"]
    assert line.seen == [(f"GET {READ}", b""), (f"GET {READ}b", b"")]


def test_the_body_of_a_refused_request_is_not_read_as_the_next_one(line: Line) -> None:
    denied = line.request("POST", "/api/models/me/other/commit/main", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED)
    reply = line.send(denied, line.request("GET", READ, CLOSE))
    assert reply.raw.count(b"HTTP/1.1 ") == 2
    assert line.seen == [(f"GET {READ}", b"")]


def test_the_body_of_a_get_stays_its_body(line: Line) -> None:
    reply = line.send(line.request("GET", READ, f"Content-Length: {len(SMUGGLED)}", CLOSE, body=SMUGGLED))
    assert reply.status == 200
    assert line.seen == [(f"GET {READ}", SMUGGLED.encode())]


@pytest.mark.parametrize("headers", [["Upgrade: websocket", "Connection: Upgrade, close"], ["Upgrade: h2c", "HTTP2-Settings: AAA", "Connection: Upgrade, HTTP2-Settings, close"]])  # fmt: skip
def test_a_connection_becomes_nothing_else(line: Line, headers: list[str]) -> None:
    with socket.create_connection(line.host.split(":"), timeout=20) as client:
        client.sendall(line.request("GET", READ, *headers).encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    ((head, _),) = line.hub.requests
    assert b"upgrade" not in head.lower()
    assert b"http2-settings" not in head.lower()


@pytest.mark.parametrize("method", ["CONNECT", "OPTIONS", "TRACE", "PATCH", "PUT", "DELETE"])
def test_a_method_without_a_row_is_refused(line: Line, method: str) -> None:
    reply = ask(line.endpoint, method, READ, bearer(line.credential)) if method != "CONNECT" else None
    if reply is None:
        with socket.create_connection(line.host.split(":"), timeout=20) as client:
            client.sendall(line.request("CONNECT", "huggingface.co:443").encode())
            reply = Reply(client.recv(4096))
    assert reply.status in {400, 403, 421}
    assert line.seen == []


class TestCredentials:
    @pytest.mark.parametrize("second", ["Bearer {}", "Bearer other", "Basic eDp5", ""])
    def test_two_are_none(self, line: Line, second: str) -> None:
        reply = line.send(line.request("GET", READ, f"Authorization: {second.format(line.credential)}", CLOSE))
        assert (reply.status, reply.refusal) == (401, "unknown_credential")
        assert line.seen == []

    def test_one_as_a_password_is_one(self, line: Line) -> None:
        for pair in (f"anybody:{line.credential}", f"{line.credential}:"):
            basic = base64.b64encode(pair.encode()).decode()
            assert ask(line.endpoint, "GET", READ, {"Authorization": f"Basic {basic}"}).status == 200
        assert len(line.seen) == 2

    def test_the_body_of_a_stranger_is_not_waited_for(self, line: Line) -> None:
        """No byte of it was sent, and the answer is there."""
        reply = ask(
            line.endpoint,
            "POST",
            "/api/repos/create",
            {**bearer("hf_px_unknown"), "Content-Type": "application/json", "Content-Length": "1000"},
        )
        assert (reply.status, reply.refusal) == (401, "unknown_credential")

    def test_the_real_token_is_no_credential(self, line: Line) -> None:
        reply = ask(line.endpoint, "GET", READ, bearer(TOKEN))
        assert (reply.status, reply.refusal) == (401, "unknown_credential")
        assert line.seen == []


class TestPayer:
    @pytest.mark.parametrize("headers", [["X-HF-Bill-To: acme", "X-HF-Bill-To: me"], ["X-HF-Bill-To: me, acme"], ["X-HF-Bill-To: a/b"], ["X-HF-Bill-To: me", "x-hf-bill-to: acme"]])  # fmt: skip
    def test_more_than_one_is_a_mistake(self, line: Line, headers: list[str]) -> None:
        reply = line.send(line.request("GET", READ, *headers, CLOSE))
        assert (reply.status, reply.refusal) == (400, "bad_target")
        assert line.seen == []

    def test_somebody_else_needs_a_scope_and_oneself_none(self, line: Line) -> None:
        reply = ask(line.endpoint, "GET", READ, {**bearer(line.credential), "X-HF-Bill-To": "acme"})
        assert (reply.status, reply.refusal) == (403, "scope")
        assert "--scope billing:acme" in reply.headers["x-error-message"]
        assert ask(line.endpoint, "GET", READ, {**bearer(line.credential), "X-HF-Bill-To": "ME"}).status == 200


def test_headers_that_connection_names_end_here_whatever_they_are(line: Line) -> None:
    extra = ["Connection: close, X-Private, Authorization, Content-Length", "X-Private: 1", "Content-Length: 2"]
    assert line.send(line.request("POST", COMMIT, *extra, body="{}")).status == 200
    ((head, body),) = line.hub.requests
    assert b"x-private" not in head.lower()
    assert head.lower().count(b"authorization: bearer " + TOKEN.lower().encode()) == 1
    assert b"2\r\n{}\r\n" in body


class TestExpect:
    def test_a_body_that_is_welcome_is_asked_for(self, line: Line) -> None:
        with socket.create_connection(line.host.split(":"), timeout=20) as client:
            client.sendall(line.request("POST", COMMIT, "Content-Length: 2", "Expect: 100-continue", CLOSE).encode())
            assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"{}")
            assert client.recv(20).startswith(b"HTTP/1.1 200 ")
        ((head, body),) = line.hub.requests
        assert body == b"{}"
        assert b"expect" not in head.lower()

    def test_one_that_decides_is_asked_for_too(self, line: Line) -> None:
        headers = ["Content-Length: 12", "Content-Type: application/json", "Expect: 100-continue", CLOSE]
        with socket.create_connection(line.host.split(":"), timeout=20) as client:
            client.sendall(line.request("POST", "/api/repos/create", *headers).encode())
            assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b'{"name":"x"}')
            assert client.recv(20).startswith(b"HTTP/1.1 200 ")

    def test_one_that_is_refused_is_not(self, line: Line) -> None:
        request = line.request("POST", READ + "/commit/main", "Content-Length: 2", "Expect: 100-continue")
        with socket.create_connection(line.host.split(":"), timeout=20) as client:
            client.sendall(request.encode())
            assert client.recv(20).startswith(b"HTTP/1.1 403 ")
        assert line.seen == []


class TestBodiesThatDecide:
    def create(self, line: Line, body: bytes, **headers: str) -> Reply:
        given = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return ask(line.endpoint, "POST", "/api/repos/create", bearer(line.credential) | given, body)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"name":"x","name":"y"}',
            b'{"name":"x","organization":"me","organization":"you"}',
            b'{"name":"x","\\u006eame":"y"}',
            b'\xef\xbb\xbf{"name":"x"}',
            '{"name":"x"}'.encode("utf-16"),
            b'{"name":"x"}{"name":"y"}',
            b'{"name":"x"}\n{"name":"y"}',
            b'{"name":"x"}\0',
            b'{"name":"x",}',
            b'{"name":NaN}',
            b'{"name":"\xff"}',
            b"{'name':'x'}",
            b"[]",
            b"",
            b"[" * 100_000,
        ],
        ids=lambda body: repr(body[:30]),
    )
    def test_what_two_parsers_could_read_in_two_ways_is_refused(self, line: Line, body: bytes) -> None:
        reply = self.create(line, body)
        assert (reply.status, reply.refusal) == (422, "bad_body")
        assert line.seen == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content_Type": "text/plain"},
            {"Content_Type": "application/x-www-form-urlencoded"},
            {"Content_Type": "application/json; charset=utf-16"},
            {"Content_Type": "application/json, text/plain"},
            {"Content_Encoding": "gzip"},
        ],
        ids=str,
    )
    def test_another_type_or_encoding_is_refused(self, line: Line, headers: dict[str, str]) -> None:
        given = {"Content_Type": "application/json", **headers}
        reply = self.create(line, b'{"name":"x"}', **given)
        assert (reply.status, reply.refusal) == (422, "bad_body")
        assert line.seen == []

    def test_the_bytes_that_were_read_are_the_bytes_that_are_sent(self, line: Line) -> None:
        body = b' { "organization" :null,"name":"x" , "type":"model"}\n'
        assert self.create(line, body).status == 200
        assert line.seen == [("POST /api/repos/create", body)]

    def test_one_that_is_too_long_is_refused_by_its_length_and_by_its_bytes(self, line: Line) -> None:
        long = b'{"name":"' + b"x" * 2**20 + b'"}'
        assert self.create(line, long).refusal == "bad_body"
        chunked = f"{len(long):x}\r\n{long.decode()}\r\n0\r\n\r\n"
        headers = ["Content-Type: application/json", "Transfer-Encoding: chunked", CLOSE]
        assert line.send(line.request("POST", "/api/repos/create", *headers, body=chunked)).refusal == "bad_body"
        assert line.seen == []


def test_a_client_that_goes_away_in_mid_body_has_sent_half_a_request_and_no_more(line: Line) -> None:
    with socket.create_connection(line.host.split(":"), timeout=20) as client:
        client.sendall(line.request("POST", COMMIT, "Content-Length: 1000", body="half").encode())
        assert line.hub.asked.wait(20)
    assert line.hub.body_cut.wait(20)
    (*_, ended) = (entry for entry in line.daemon.audit() if entry["kind"] == "completed")
    assert (ended["target"], ended["status"], ended["bytes_up"]) == (COMMIT, 0, 4)


class TestWithoutACredential:
    def test_telemetry_is_answered_here(self, line: Line) -> None:
        reply = ask(line.endpoint, "HEAD", "/api/telemetry/huggingface_hub/x")
        assert (reply.status, reply.body) == (200, b"")
        assert line.seen == []

    @pytest.mark.parametrize(
        ("method", "target"),
        [
            ("POST", "/api/complete_multipart?uploadId=1"),
            ("POST", "/api/validate-yaml"),
            ("GET", "/api/agent-harnesses"),
        ],
    )
    def test_what_clients_ask_so_is_forwarded_without_the_token(self, line: Line, method: str, target: str) -> None:
        assert ask(line.endpoint, method, target, {"Content-Type": "application/json"}, b"{}").status == 200
        assert ask(line.endpoint, method, target, bearer(line.credential)).status == 200
        assert [first for first, _ in line.seen] == [f"{method} {target}"] * 2
        assert not [head for head, _ in line.hub.requests if b"authorization" in head.lower()]

    def test_an_unknown_one_is_worse_than_none(self, line: Line) -> None:
        reply = ask(line.endpoint, "GET", "/api/agent-harnesses", bearer("hf_px_unknown"))
        assert (reply.status, reply.refusal) == (401, "unknown_credential")
        assert line.seen == []

    def test_lfs_is_told_in_its_own_words(self, line: Line) -> None:
        batch = "/me/mine.git/info/lfs/objects/batch"
        kind = {"Content-Type": "application/vnd.git-lfs+json"}
        none = ask(line.endpoint, "POST", batch, kind, b"{}")
        unknown = ask(line.endpoint, "POST", batch, kind | bearer("hf_px_unknown"), b"{}")
        outside = ask(
            line.endpoint,
            "POST",
            batch.replace("mine", "other"),
            kind | bearer(line.credential),
            b'{"operation":"upload"}',
        )
        assert (none.status, none.headers["lfs-authenticate"]) == (401, 'Basic realm="hf-proxy"')
        # A 401 to one that came with a credential would make git-lfs ask again without end.
        assert (unknown.status, unknown.refusal) == (403, "unknown_credential")
        assert (outside.status, outside.refusal) == (403, "scope")
        for reply in (none, unknown, outside):
            assert reply.headers["content-type"].startswith("application/vnd.git-lfs+json")
            assert json.loads(reply.body)["message"] == reply.headers["x-error-message"]
        assert line.seen == []

    def test_a_browser_is_sent_to_no_other_place_than_the_hub(self, line: Line) -> None:
        page = {"Accept": "text/html"}
        assert ask(line.endpoint, "GET", "/me/a?b=c", page).headers["location"] == line.hub.url + "/me/a?b=c"
        for odd in ("//evil.example/", "/\\evil.example", "/a/../..//evil.example", "/%5cevil.example"):
            reply = ask(line.endpoint, "GET", odd, page)
            assert (reply.status, reply.refusal) == (400, "bad_target")
            assert "location" not in reply.headers


class TestALongBody:
    LIMIT = 1024 * 1024
    TARGET = "/api/models/me/secret-model/tag/main"

    @pytest.mark.parametrize("framing", ["length", "chunks"])
    def test_one_of_the_limit_passes_whole_and_one_byte_more_is_refused(
        self, daemon: DaemonFixture, hub: FakeHub, framing: str
    ) -> None:
        """A body that decides is read before anything is sent: so what is longer has no effect at all."""
        minted = daemon.mint("--scope", "write:me/*")
        hub.recorder.clear()
        sent = [self.body(tag, size) for tag, size in (("fits", self.LIMIT), ("does-not", self.LIMIT + 1))]
        replies = [self.post(minted, body, framing) for body in sent]
        assert [(reply.status, reply.refusal) for reply in replies] == [(200, None), (422, "bad_body")]
        assert "longer than 1048576 bytes" in replies[1].headers["x-error-message"]
        assert [(record.path, record.body) for record in hub.requests] == [(self.TARGET, sent[0])]

    def body(self, tag: str, size: int) -> bytes:
        bare = json.dumps({"tag": tag}).encode()
        return bare + b" " * (size - len(bare))

    def post(self, minted: dict[str, str], body: bytes, framing: str) -> Reply:
        headers = {**bearer(minted["credential"]), "Content-Type": "application/json"}
        if framing == "length":
            return ask(minted["endpoint"], "POST", self.TARGET, headers, body)
        half = len(body) // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:], b""))
        head = urlsplit(minted["endpoint"]).netloc
        lines = [f"POST {self.TARGET} HTTP/1.1", f"Host: {head}", "Connection: close", "Transfer-Encoding: chunked",
                 *(f"{name}: {value}" for name, value in headers.items()), "", ""]  # fmt: skip
        return send(minted["endpoint"], "\r\n".join(lines).encode() + chunks)
