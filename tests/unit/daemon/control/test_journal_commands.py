"""The commands about the journal: what a caller is shown, the anchor, and the check of MACs."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hfproxy.core.audit import chain
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.journal_commands import JournalCommands
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.secret import Secret

ME, OTHER = os.getuid(), 4242
KEY = "ab" * 32
ENCLOSING = Grant("g", b"", GrantTerms("default", (), 60, uid=OTHER), (), 0, 60)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[JournalWriter]:
    journal = JournalWriter(tmp_path / "journal", lambda: Secret(KEY))
    at = now()
    for entry in (
        {"at": at - 7200, "kind": "minted", "uid": OTHER, "grant": "g"},
        {"at": at - 10, "kind": "decided", "uid": OTHER, "grant": "g", "action": "read", "repo": "models/a/b"},
        {"at": at - 10, "kind": "decided", "uid": OTHER, "grant": "h", "action": "write", "decision": "deny"},
        {"at": at - 10, "kind": "decided", "uid": OTHER + 1, "grant": "i", "action": "read", "repo": "models/a/b"},
    ):
        journal.append(entry)
    yield journal
    journal.close()


@pytest.mark.parametrize(
    ("request_", "caller", "shown"),
    [
        (requests.AuditRequest(), Caller(1, OTHER, None), [1, 2, 3]),
        (requests.AuditRequest(), Caller(1, OTHER + 1, None), [4]),
        (requests.AuditRequest(), Caller(1, OTHER + 2, None), []),
        (requests.AuditRequest(), Caller(1, OTHER, ENCLOSING), [1, 2]),
        (requests.AuditRequest(since="1h"), Caller(1, OTHER, None), [2, 3]),
        (requests.AuditRequest(grant="g"), Caller(1, OTHER, None), [1, 2]),
        (requests.AuditRequest(grant="i"), Caller(1, OTHER, None), []),
        (requests.AuditRequest(repo="a/b"), Caller(1, OTHER, None), [2]),
        (requests.AuditRequest(action="write"), Caller(1, OTHER, None), [3]),
        (requests.AuditRequest(denied=True), Caller(1, OTHER, None), [3]),
    ],
)
async def test_a_caller_is_shown_what_it_may_see_and_asked_for(
    journal: JournalWriter, request_: requests.AuditRequest, caller: Caller, shown: list[int]
) -> None:
    replies = [reply async for reply in JournalCommands(journal).audit(request_, caller)]
    assert replies.pop() == {}
    assert [reply["seq"] for reply in replies] == shown


async def test_the_anchor_is_the_last_line_on_disk(journal: JournalWriter) -> None:
    anchor = await JournalCommands(journal).anchor(requests.AnchorRequest(), Caller(1, ME, None))
    last = journal.files()[0].read_bytes().splitlines()[-1]
    assert anchor == chain.head_after(last)._asdict()
    assert anchor["seq"] == 4


async def test_macs_are_checked_and_never_made(journal: JournalWriter) -> None:
    await journal.flush()
    line = journal.files()[0].read_bytes().splitlines()[0]
    content, _, rest = line.partition(b',"mac":"')
    digest, mac = hashlib.sha256(content).hexdigest(), rest.partition(b'"')[0].decode()
    other = hashlib.sha256(b"x").hexdigest()
    request = requests.CheckMacsRequest(((digest, mac), (other, mac)))
    reply = await JournalCommands(journal).check_macs(request, Caller(1, ME, None))
    assert reply == {"key": mac.partition(":")[0], "fit": [True, False]}
