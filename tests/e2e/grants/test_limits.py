"""Limits of a grant hold within one request, and over many at once (docs/threat-model.md#t29)."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY
from wire_client import Reply, ask, bearer, send

pytestmark = pytest.mark.shared_daemon

SIZE = 300_000
FILE = "/me/files/raw/main/part.txt"
COMMIT = "/api/models/me/files/commit/main"


@pytest.fixture
def hub(hub: FakeHub) -> FakeHub:
    """A Hub whose files of some size come from itself, and not from storage."""
    hub.world.settings.lfs_threshold, hub.world.settings.gzip = 10**8, False
    hub.add_repo("model", "me/files", private=True, files={"part.txt": b"x" * SIZE})
    return hub


def fetched(daemon: DaemonFixture, minted: dict[str, str], target: str = FILE) -> Reply:
    return ask(minted["endpoint"], "GET", target, bearer(minted["credential"]))


def at_once(count: int, daemon: DaemonFixture, minted: dict[str, str]) -> list[Reply]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: fetched(daemon, minted), range(count)))


def ndjson(content: bytes) -> bytes:
    lines = [
        {"key": "header", "value": {"summary": "x"}},
        {"key": "file", "value": {"path": "new", "content": content.hex(), "encoding": "utf-8"}},
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_what_would_be_over_the_limit_is_refused_before_its_first_byte(daemon: DaemonFixture) -> None:
    reply = fetched(daemon, daemon.mint("--max-down", "100k"))
    assert (reply.status, reply.refusal) == (403, "limit")
    assert b"102400 bytes down" in reply.body


def test_what_fits_passes_until_the_limit_is_used_up(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--max-down", str(2 * SIZE + 1))
    assert [fetched(daemon, minted).status for _ in range(3)] == [200, 200, 403]


def test_many_at_once_pass_no_more_than_one_after_the_other(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--max-down", str(3 * SIZE))
    received = sum(len(reply.body) for reply in at_once(8, daemon, minted) if reply.status == 200)
    assert received <= 3 * SIZE


def test_a_body_of_unknown_length_is_cut_at_the_limit(daemon: DaemonFixture, hub: FakeHub) -> None:
    minted = daemon.mint("--max-up", "64k")
    body = ndjson(b"y" * 100_000)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:50_000], body[50_000:])) + b"0\r\n\r\n"
    head = (
        f"POST {COMMIT} HTTP/1.1\r\nHost: {minted['endpoint'][7:]}\r\nConnection: close\r\n"
        f"Authorization: Bearer {daemon.mint('--scope', 'write:me/files', '--max-up', '64k')['credential']}\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    reply = send(minted["endpoint"], head.encode() + chunks)
    assert (reply.status, reply.refusal) == (403, "limit")
    assert "new" not in hub.files("me/files")


def test_uploads_count_and_downloads_go_on(daemon: DaemonFixture, hub: FakeHub) -> None:
    minted = daemon.mint("--scope", "write:me/files", "--max-up", "1k")
    headers = {**bearer(minted["credential"]), "Content-Type": "application/x-ndjson"}
    assert ask(minted["endpoint"], "POST", COMMIT, headers, ndjson(b"z" * 200)).status == 200
    assert ask(minted["endpoint"], "POST", COMMIT, headers, ndjson(b"z" * 400)).refusal == "limit"
    assert fetched(daemon, minted).status == 200


def test_a_minute_has_so_many_requests_and_then_a_client_is_told_to_wait(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--max-rate", "3")
    replies = at_once(8, daemon, minted)
    assert sorted(reply.status for reply in replies) == [200] * 3 + [429] * 5
    late = next(reply for reply in replies if reply.status == 429)
    assert (late.refusal, late.headers["retry-after"]) == ("limit", "60")


def test_uses_hold_when_all_come_at_once(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--max-uses", "3")
    assert sorted(reply.status for reply in at_once(8, daemon, minted)) == [200] * 3 + [403] * 5


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-up", "0"), ("--max-up", "1 M"), ("--max-down", "-1"), ("--max-down", "1GB"), ("--max-rate", "0")],
)
def test_a_limit_that_is_none_is_a_usage_error(daemon: DaemonFixture, option: str, value: str) -> None:
    done = daemon.cli("mint", option, value)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.own_daemon
def test_the_journal_says_that_a_limit_ended_it(daemon: DaemonFixture, hub: FakeHub, tmp_path: Path) -> None:
    minted = daemon.mint("--max-down", "100k")
    fetched(daemon, minted)
    ended = [entry for entry in daemon.audit("--grant", minted["id"]) if entry["kind"] == "completed"]
    assert [(entry["status"], entry["refusal"]) for entry in ended] == [(403, "limit")]
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in daemon.state.rglob("*") if path.is_file())


def test_a_credential_near_its_end_says_so_on_every_answer(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--ttl", "10s")
    replies = [fetched(daemon, minted, "/api/models/me/files")]
    while replies[-1].status == 200:
        time.sleep(0.1)
        replies.append(fetched(daemon, minted, "/api/models/me/files"))
    warned = ["x-hf-warning" in reply.headers for reply in replies[:-1]]
    assert warned == sorted(warned)
    assert (warned[0], warned[-1]) == (False, True)
    assert replies[-2].headers["x-hf-warning"].startswith("hf-proxy; this hf-proxy credential ends in ")
