"""Large and odd traffic: the same bytes as straight from the Hub, and no more memory for it."""

import hashlib
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from budgets import BULK_MIB
from bulk_hub import BulkHub, serving
from fakehub import FakeHub
from fakehub.bulk import MadeUp
from daemon_fixture import DaemonFixture
from real_client import CANARY
from wire_client import Reply, send

pytestmark = pytest.mark.shared_daemon

MIB = 1 << 20
SIZE = BULK_MIB * MIB
GROWTH = 16 * MIB
COMMIT = "/api/models/me/a/commit/main"
# What one connection has to itself, and what no two answers have in common.
OF_ONE_ANSWER = {"date", "connection", "keep-alive", "transfer-encoding", "x-request-id", "set-cookie", "server"}


# --- large ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bulk(tmp_path: Path) -> Iterator[BulkHub]:
    with serving(BulkHub(tmp_path, SIZE)) as hub:
        yield hub


@pytest.fixture
def bulk_daemon(bulk: BulkHub, tmp_path: Path) -> Iterator[DaemonFixture]:
    daemon = DaemonFixture(tmp_path / "daemon", bulk.url, bulk.ca_path)
    daemon.start()
    daemon.login(CANARY)
    yield daemon
    daemon.stop()


def memory(daemon: DaemonFixture, line: str) -> int:
    """Bytes: VmRSS now, VmHWM at the most so far."""
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    found = re.search(rf"^{line}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def connection(endpoint: str) -> socket.socket:
    place = urlsplit(endpoint)
    return socket.create_connection((place.hostname, place.port), timeout=60)


def head(endpoint: str, method: str, target: str, credential: str, **more: str) -> bytes:
    fields = {"Host": urlsplit(endpoint).netloc, "Authorization": f"Bearer {credential}", "Connection": "close", **more}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


def received(endpoint: str, request: bytes) -> tuple[int, str]:
    """The length and SHA-256 of an answer's body."""
    digest, length, start = hashlib.sha256(), 0, b""
    with connection(endpoint) as client:
        client.sendall(request)
        while b"\r\n\r\n" not in start:
            start += client.recv(65536)
        part = start.partition(b"\r\n\r\n")[2] or client.recv(MIB)
        while part:
            digest.update(part)
            length += len(part)
            part = client.recv(MIB)
    return length, digest.hexdigest()


def digest_of(bulk: BulkHub) -> str:
    digest = hashlib.sha256()
    for start in range(0, SIZE, MIB):
        digest.update(bulk.content[start : start + MIB])
    return digest.hexdigest()


@pytest.mark.timeout(600)
def test_a_large_body_takes_no_memory_down_or_up(bulk: BulkHub, bulk_daemon: DaemonFixture) -> None:
    minted = bulk_daemon.mint("--scope", "write:me/a")
    endpoint, credential = minted["endpoint"], minted["credential"]
    send(endpoint, head(endpoint, "POST", COMMIT, credential, **{"Content-Length": "2"}) + b"{}")
    before = memory(bulk_daemon, "VmRSS")
    length, digest = received(endpoint, head(endpoint, "GET", "/me/a/raw/main/big", credential))
    assert (length, digest) == (SIZE, digest_of(bulk))
    with connection(endpoint) as client:
        client.sendall(head(endpoint, "POST", COMMIT, credential, **{"Content-Length": str(SIZE)}))
        for start in range(0, SIZE, MIB):
            client.sendall(bulk.content[start : start + MIB])
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert bulk.taken[-1] == (SIZE, digest)
    assert memory(bulk_daemon, "VmHWM") - before < GROWTH


def test_a_commit_of_200_megabytes_without_a_length_passes(bulk: BulkHub, bulk_daemon: DaemonFixture) -> None:
    minted = bulk_daemon.mint("--scope", "write:me/a")
    endpoint = minted["endpoint"]
    digest, content = hashlib.sha256(), MadeUp(200 * MIB)
    with connection(endpoint) as client:
        client.sendall(head(endpoint, "POST", COMMIT, minted["credential"], **{"Transfer-Encoding": "chunked"}))
        for start in range(0, 200 * MIB, MIB):
            piece = content[start : start + MIB]
            digest.update(piece)
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.sendall(b"0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert bulk.taken == [(200 * MIB, digest.hexdigest())]


# --- odd ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(hub: FakeHub) -> FakeHub:
    """A Hub that compresses, lists a repository on one page, and makes xet tokens of the greatest length."""
    hub.world.settings.xet_token_padding, hub.world.settings.page_size = 40_000, 1000
    hub.add_repo("model", "me/odd", private=True, files={"text.txt": b"line\n" * 2000, "odd %23/ö.txt": b"odd\n"})
    return hub


def straight(hub: FakeHub, request: bytes) -> Reply:
    """What the Hub itself answers."""
    place = urlsplit(hub.url)
    context = ssl.create_default_context(cafile=str(hub.ca_path))
    answer = b""
    with (
        socket.create_connection((place.hostname, place.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=place.hostname) as client,
    ):
        client.sendall(request)
        while part := client.recv(65536):
            answer += part
    return Reply(answer)


def payload(reply: Reply) -> bytes:
    """The body without its chunks."""
    if "transfer-encoding" not in reply.headers:
        return reply.body
    rest, body = reply.body, b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


def compared(reply: Reply, here: str) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in reply.headers.items() if name not in OF_ONE_ANSWER}
    return reply.status, headers, payload(reply)


RAW = "/me/odd/raw/main/text.txt"
RESOLVE = "/me/odd/resolve/main/text.txt"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "target", "headers", "body"),
    [
        ("GET", RAW, {}, b""),
        ("GET", RAW, {"Range": "bytes=10-19"}, b""),
        ("GET", RAW, {"Range": "bytes=-5"}, b""),
        ("GET", RAW, {"Range": "bytes=9990-"}, b""),
        ("GET", RAW, {"Range": "bytes=99999-"}, b""),
        ("GET", RAW, {"Accept-Encoding": "gzip"}, b""),
        ("GET", RAW, {"Accept-Encoding": "identity"}, b""),
        ("HEAD", RAW, {}, b""),
        ("HEAD", RAW, {"Accept-Encoding": "identity"}, b""),
        ("HEAD", RESOLVE, {"Accept-Encoding": "identity"}, b""),
        ("GET", "/me/odd/raw/main/odd%20%2523/%C3%B6.txt", {}, b""),
        ("GET", "/me/odd/raw/main/missing", {}, b""),
        ("GET", "/api/models/me/odd/tree/main?recursive=true", {"Accept-Encoding": "gzip, deflate"}, b""),
        ("POST", "/api/models/me/odd/paths-info/main", FORM, b"paths=text.txt&expand=true"),
        ("POST", "/api/models/me/odd/paths-info/main", {**FORM, "Expect": "100-continue"}, b"paths=text.txt"),
        ("GET", "/api/models/me/odd/revision/refs%2Fpr%2F1", {}, b""),
    ],
)
def test_an_answer_is_the_hubs_own_byte_for_byte(
    hub: FakeHub, daemon: DaemonFixture, method: str, target: str, headers: dict[str, str], body: bytes
) -> None:
    minted = daemon.mint("--scope", "read:me/odd")
    sized = {**headers, **({"Content-Length": str(len(body))} if body else {})}
    direct = straight(hub, head(hub.url, method, target, CANARY, **sized) + body)
    proxied = send(minted["endpoint"], head(minted["endpoint"], method, target, minted["credential"], **sized) + body)
    if "Expect" in headers:
        direct, proxied = (Reply(reply.raw.partition(b"100 Continue\r\n\r\n")[2]) for reply in (direct, proxied))
    assert compared(proxied, minted["endpoint"]) == compared(direct, hub.url)


def test_not_modified_has_no_body_and_keeps_its_etag(hub: FakeHub, daemon: DaemonFixture) -> None:
    minted = daemon.mint("--scope", "read:me/odd")
    endpoint, credential = minted["endpoint"], minted["credential"]
    etag = send(endpoint, head(endpoint, "GET", RAW, credential)).headers["etag"]
    again = send(endpoint, head(endpoint, "GET", RAW, credential, **{"If-None-Match": etag}))
    assert (again.status, again.headers["etag"], again.body) == (304, etag, b"")


def test_a_header_of_forty_kilobytes_passes(hub: FakeHub, daemon: DaemonFixture) -> None:
    minted = daemon.mint("--scope", "read:me/odd")
    reply = send(
        minted["endpoint"],
        head(minted["endpoint"], "GET", "/api/models/me/odd/xet-read-token/main", minted["credential"]),
    )
    token = reply.headers["x-xet-access-token"]
    assert len(token) > 40_000
    assert json.loads(payload(reply))["accessToken"] == token


def test_a_request_with_a_header_of_forty_kilobytes_passes(hub: FakeHub, daemon: DaemonFixture) -> None:
    minted = daemon.mint("--scope", "read:me/odd")
    long = {"X-Long": "x" * 40_000}
    assert send(minted["endpoint"], head(minted["endpoint"], "GET", RAW, minted["credential"], **long)).status == 200


def test_events_come_as_they_happen(hub: FakeHub, daemon: DaemonFixture) -> None:
    """The stream is silent until the Hub says something, and what it says is there at once."""
    hub.world.settings.idle_seconds = 60
    hub.add_space("me/demo")
    minted = daemon.mint("--scope", "read:spaces/me/demo")
    with connection(minted["endpoint"]) as client:
        client.sendall(head(minted["endpoint"], "GET", "/api/spaces/me/demo/events", minted["credential"]))
        first = client.recv(65536)
        assert first.startswith(b"HTTP/1.1 200")
        hub.wake()
        said, deadline = b"", time.monotonic() + 20
        while b"awake" not in said and time.monotonic() < deadline:
            said += client.recv(65536)
    assert b"awake" in said


def test_a_client_that_goes_away_ends_the_request_at_the_hub(hub: FakeHub, daemon: DaemonFixture) -> None:
    hub.world.settings.idle_seconds = 600
    hub.add_space("me/demo")
    minted = daemon.mint("--scope", "read:spaces/me/demo")
    with connection(minted["endpoint"]) as client:
        client.sendall(head(minted["endpoint"], "GET", "/api/spaces/me/demo/events", minted["credential"]))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 20
    while not [e for e in daemon.audit("--grant", minted["id"]) if e["kind"] == "completed"]:
        assert time.monotonic() < deadline
