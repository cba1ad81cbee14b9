"""A Hub that answers badly, by malice or by accident: what of it reaches the client, and what stays of it."""

import gzip
import json
import socket
import threading
from collections.abc import Iterable, Iterator

import pytest
from canary import leaks, made_up
from daemon_fixture import DaemonFixture
from raw_hub import RawHub, lines_until, raw_hub, whole
from wire_client import Reply, ask, bearer

INFO = "/api/models/me/a"
FILE = "/me/a/resolve/main/model.bin"
TOKEN = made_up()
ECHO = json.dumps({"authorization": f"Bearer {TOKEN}"}).encode()
JSON = "Content-Type: application/json"
BINARY = "Content-Type: application/octet-stream"


class Wire:
    """The daemon before the Hub, with a credential for all of `me`."""

    def __init__(self, daemon: DaemonFixture, hub: RawHub) -> None:
        self.daemon, self.hub = daemon, hub
        minted = daemon.mint("--scope", "read:me/*", "--scope", "write:me/*")
        self.id, self.endpoint, self.credential = minted["id"], minted["endpoint"], minted["credential"]

    def ask(self, target: str = INFO, method: str = "GET") -> Reply:
        return ask(self.endpoint, method, target, bearer(self.credential))

    def completed(self) -> list[dict[str, object]]:
        return [entry for entry in self.daemon.audit("--grant", self.id) if entry["kind"] == "completed"]

    def connect(self, request: str) -> socket.socket:
        """A connection that has asked."""
        host = self.endpoint.removeprefix("http://")
        client = socket.create_connection(host.split(":"), timeout=20)
        head = f"{request} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.credential}\r\n"
        client.sendall(head.encode())
        return client


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonFixture, RawHub]]:
    with raw_hub() as hub:
        daemon = DaemonFixture(tmp_path_factory.mktemp("wire") / "daemon", hub.url)
        daemon.start()
        daemon.login(TOKEN)
        DaemonFixture.built.remove(daemon)  # it is for all tests of this page
        yield daemon, hub
        daemon.stop()
        assert TOKEN not in daemon.log.read_text()


@pytest.fixture
def wire(running: tuple[DaemonFixture, RawHub]) -> Iterator[Wire]:
    daemon, hub = running
    hub.forget()
    yield Wire(daemon, hub)
    assert daemon.process is not None
    assert daemon.process.poll() is None


class TestTheTokenInAnAnswer:
    @pytest.mark.parametrize(
        "answer",
        [
            whole(ECHO, JSON),
            whole(ECHO, "Content-Type: text/html", status="404 Not Found"),
            whole(ECHO, "Content-Type: application/vnd.git-lfs+json", status="500 Oh"),
            whole(ECHO),
            whole(ECHO, "Content-Type: application/problem+json"),
            whole(gzip.compress(ECHO), JSON, "Content-Encoding: gzip"),
            whole(gzip.compress(ECHO) + b"more", JSON, "Content-Encoding: gzip"),
            whole(gzip.compress(ECHO), JSON, "Content-Encoding: identity", "Content-Encoding: gzip"),
            whole(gzip.compress(b" ") + gzip.compress(ECHO), JSON, "Content-Encoding: x-gzip"),
            whole(b"", f"X-Echo: {TOKEN}"),
            whole(b"", f"{TOKEN}: x"),
            whole(b"", f"Location: https://evil.example/?{TOKEN}", status="302 Found"),
            b"HTTP/1.1 200 OK\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\n" % JSON.encode()
            + b"".join(b"1\r\n%c\r\n" % byte for byte in ECHO) + b"0\r\n\r\n",
        ],
        ids=["body", "error", "lfs", "untyped", "problem", "gzip", "gzip and more", "two encodings", "members", "value", "name", "location", "chunks"],
    )  # fmt: skip
    def test_is_never_passed_on(self, wire: Wire, answer: bytes) -> None:
        wire.hub.answer = answer
        reply = wire.ask()
        assert (reply.status, reply.refusal) == (502, "upstream")
        assert leaks(reply.raw, TOKEN) == []
        assert [(entry["status"], entry["refusal"]) for entry in wire.completed()] == [(502, "upstream")]

    @pytest.mark.parametrize(
        "answer",
        [
            f"HTTP/1.1 200 {TOKEN}\r\nContent-Length: 0\r\n\r\n",
            f"HTTP/1.1 200 OK\r\nSet-Cookie: a={TOKEN}\r\nContent-Length: 0\r\n\r\n",
            f"HTTP/1.1 103 Early\r\nLink: <{TOKEN}>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: {TOKEN}\r\n\r\n",
            f"HTTP/1.1 204 No\r\n\r\n{TOKEN}",
            f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n{TOKEN}",
            f"{TOKEN}\r\n\r\n",
        ],
        ids=["reason", "cookie", "early hints", "trailer", "after none", "after the end", "instead"],
    )
    def test_nor_from_where_nothing_is_passed_on(self, wire: Wire, answer: str) -> None:
        wire.hub.answer = answer.encode()
        assert leaks(wire.ask().raw, TOKEN) == []

    def test_what_the_hub_says_to_browsers_or_in_our_name_ends_here(self, wire: Wire) -> None:
        theirs = ["Access-Control-Allow-Origin: *", "X-HF-Proxy-Refusal: scope", "Set-Cookie: a=b", "X-Request-Id: 7"]
        wire.hub.answer = whole(b"{}", JSON, *theirs)
        reply = wire.ask()
        assert reply.status == 200
        assert reply.headers["x-request-id"] == "7"
        assert not reply.headers.keys() & {"access-control-allow-origin", "x-hf-proxy-refusal", "set-cookie"}


class TestBrokenAnswers:
    """A half of something must not look like the whole of it."""

    def test_a_short_one_that_breaks_off_is_said_to_have(self, wire: Wire) -> None:
        wire.hub.answer = lambda: [f"HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: 100\r\n\r\n".encode(), b'{"half']
        reply = wire.ask()
        assert (reply.status, reply.refusal) == (502, "upstream")
        assert "broke off" in reply.headers["x-error-message"]

    def test_a_file_that_breaks_off_stays_short_of_its_length(self, wire: Wire) -> None:
        wire.hub.answer = lambda: [f"HTTP/1.1 200 OK\r\n{BINARY}\r\nContent-Length: 100\r\n\r\n".encode(), b"half"]
        reply = wire.ask(FILE)
        assert (reply.headers["content-length"], reply.body) == ("100", b"half")
        assert [(entry["status"], entry["bytes_down"]) for entry in wire.completed()] == [(200, 4)]

    def test_a_file_in_chunks_that_breaks_off_has_no_last_chunk(self, wire: Wire) -> None:
        head = f"HTTP/1.1 200 OK\r\n{BINARY}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        wire.hub.answer = lambda: [head, b"4\r\nhalf\r\n", b"4\r\nha"]
        reply = wire.ask(FILE)
        assert b"half" in reply.body
        assert not reply.body.endswith(b"0\r\n\r\n")

    def test_a_long_json_that_breaks_off_does_too(self, wire: Wire) -> None:
        start = b" " * 2**21
        head = f"HTTP/1.1 200 OK\r\n{JSON}\r\nContent-Length: {2**22}\r\n\r\n".encode()
        wire.hub.answer = lambda: [head, start]
        reply = wire.ask()
        assert (reply.headers["content-length"], len(reply.body)) == (str(2**22), 2**21)

    def test_what_comes_after_an_answer_is_not_the_next_one(self, wire: Wire) -> None:
        wire.hub.answer = whole(b'{"mine":1}', JSON) + whole(b'{"poison":1}', JSON)
        assert wire.ask().body == b'{"mine":1}'
        wire.hub.answer = whole(b'{"next":1}', JSON)
        assert wire.ask().body == b'{"next":1}'

    @pytest.mark.parametrize(
        "answer",
        [
            b"garbage\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
        ],
        ids=["garbage", "two lengths", "length and chunks", "endless header"],
    )
    def test_what_is_no_answer_is_refused(self, wire: Wire, answer: bytes) -> None:
        wire.hub.answer = answer
        reply = wire.ask()
        assert (reply.status, reply.refusal) == (502, "upstream")


class TestWhatPasses:
    """Or a proxy that refuses everything would pass the tests above."""

    def test_long_json_byte_for_byte(self, wire: Wire) -> None:
        body = b'{"a":"' + bytes(range(97, 123)) * 100_000 + b'"}'
        wire.hub.answer = whole(body, JSON, 'ETag: W/"x"')
        reply = wire.ask()
        assert (reply.body, reply.headers["etag"]) == (body, 'W/"x"')
        assert wire.completed()[-1]["bytes_down"] == len(body)

    def test_headers_as_long_as_those_of_a_xet_token(self, wire: Wire) -> None:
        wire.hub.answer = whole(b"{}", JSON, "X-Xet-Access-Token: " + "x" * 64_000)
        assert len(wire.ask().headers["x-xet-access-token"]) == 64_000

    def test_a_redirect_as_it_is_and_unfollowed(self, wire: Wire) -> None:
        place = "https://cdn.example/x?Signature=a%2Fb&X=%E4"
        wire.hub.answer = whole(b"", f"Location: {place}", status="302 Found")
        reply = wire.ask(FILE)
        assert (reply.status, reply.headers["location"]) == (302, place)
        assert len(wire.hub.requests) == 1

    def test_compressed_content_that_cannot_be_rewritten(self, wire: Wire) -> None:
        wire.hub.answer = whole(b"\x1b\x01\x00", JSON, "Content-Encoding: br")
        reply = wire.ask()
        assert (reply.headers["content-encoding"], reply.body) == ("br", b"\x1b\x01\x00")

    @pytest.mark.parametrize("status", ["304 Not Modified", "204 No Content"])
    def test_answers_without_a_body(self, wire: Wire, status: str) -> None:
        wire.hub.answer = f'HTTP/1.1 {status}\r\nETag: "x"\r\n\r\n'.encode()
        reply = wire.ask()
        assert (reply.status, reply.headers["etag"], reply.body) == (int(status[:3]), '"x"', b"")

    def test_an_anonymous_error_that_is_no_json_with_our_reason_in_its_header(self, wire: Wire) -> None:
        wire.hub.answer = whole(b"nope", "Content-Type: text/plain", "X-Error-Code: RepoNotFound", status="401 X")
        reply = wire.ask("/api/models/you/a")
        assert (reply.status, reply.headers["x-error-code"], reply.body) == (401, "RepoNotFound", b"nope")
        assert "asked without your token" in reply.headers["x-error-message"]


class TestRevoked:
    """What is revoked stops where it is."""

    def test_a_download_is_cut(self, wire: Wire) -> None:
        revoked = threading.Event()

        def half() -> Iterable[bytes]:
            yield f"HTTP/1.1 200 OK\r\n{BINARY}\r\nContent-Length: 2000\r\n\r\n".encode() + b"a" * 1000
            revoked.wait(60)
            yield b"b" * 1000

        wire.hub.answer = half
        with wire.connect(f"GET {FILE}") as client, client.makefile("rb") as answer:
            client.sendall(b"\r\n")
            head = lines_until(answer, b"\r\n")
            assert head is not None
            assert answer.read(1000) == b"a" * 1000
            wire.daemon.must("revoke", wire.id)
            revoked.set()
            assert answer.read() == b""
        assert b"Content-Length: 2000" in head
        assert [(entry["status"], entry["bytes_down"]) for entry in wire.completed()] == [(200, 1000)]

    def test_an_upload_is_cut(self, wire: Wire) -> None:
        with wire.connect(f"POST {INFO}/commit/main") as client:
            client.sendall(b"Content-Length: 2000\r\n\r\n" + b"a" * 1000)
            assert wire.hub.asked.wait(20)
            wire.daemon.must("revoke", wire.id)
            assert client.recv(100) == b""
        assert wire.hub.body_cut.wait(20)
        assert [(entry["status"], entry["bytes_up"]) for entry in wire.completed()] == [(0, 1000)]
