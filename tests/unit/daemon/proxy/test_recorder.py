"""The journal lines of requests, in a real journal."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hfproxy.core.policy.access import Action, Need, RepoType, Target
from hfproxy.core.policy.decision import Allow, AllowAnonymous, Deny, Refusal
from hfproxy.daemon.journal.reader import JournalQuery, query
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.proxy.recorder import MAX_NEEDS, RequestFacts, RequestRecorder, needs_fields

READ = (Need(Action.READ, Target(RepoType.MODELS, "me", "a")),)
WRITE = (Need(Action.WRITE, Target(RepoType.MODELS, "me", "a", "refs/heads/main")),)
FACTS = RequestFacts(1, "0123456789abcdef", "work", "GET", "/api/models/me/a", READ, changes=False)
CHANGE = replace(FACTS, method="POST", needs=WRITE, changes=True)
SAID = {
    "uid": 1,
    "grant": "0123456789abcdef",
    "account": "work",
    "method": "GET",
    "target": "/api/models/me/a",
    "action": "read",
    "repo": "models/me/a",
}
OF_THE_CHAIN = ("seq", "prev", "hash", "at")


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[JournalWriter]:
    journal = JournalWriter(tmp_path / "journal")
    yield journal
    journal.close()


async def lines(journal: JournalWriter) -> list[dict[str, Any]]:
    entries = [dict(entry) async for entry in query(journal, JournalQuery()) if entry]
    return [{name: value for name, value in entry.items() if name not in OF_THE_CHAIN} for entry in entries]


async def test_what_is_allowed_and_how_it_ended(journal: JournalWriter) -> None:
    recorder = RequestRecorder(journal)
    recorded = await recorder.decided(FACTS, Allow(), time.monotonic() - 2)
    recorder.completed(recorded, 206, 3, 4, None)
    recorder.completed(recorded, 502, 0, 0, Refusal.UPSTREAM)
    decided, completed, broken = await lines(journal)
    assert decided == SAID | {"kind": "decided", "decision": "allow"}
    assert 2000 <= completed.pop("ms") < 20_000
    assert completed == SAID | {"kind": "completed", "status": 206, "bytes_up": 3, "bytes_down": 4}
    assert (broken["status"], broken["refusal"]) == (502, "upstream")
    assert recorder.counts.requests == {("allow", "read"): 1}
    assert (recorder.counts.bytes_up, recorder.counts.bytes_down, recorder.counts.upstream_errors) == (3, 4, 1)


async def test_what_goes_without_the_token_and_what_is_refused(journal: JournalWriter) -> None:
    recorder = RequestRecorder(journal)
    await recorder.decided(FACTS, AllowAnonymous(()), 0.0)
    recorder.denied(CHANGE, Deny(Refusal.SCOPE, "no"))
    recorder.denied(replace(FACTS, needs=()), Deny(Refusal.LOCKED, "no"))
    anonymous, denied, unknown = await lines(journal)
    assert anonymous == SAID | {"kind": "decided", "decision": "anonymous"}
    changed = {"method": "POST", "action": "write", "ref": "refs/heads/main"}
    assert denied == SAID | changed | {"kind": "decided", "decision": "deny", "refusal": "scope"}
    assert (unknown["refusal"], unknown.get("action"), unknown.get("repo")) == ("locked", None, None)
    assert recorder.counts.requests == {("anonymous", "read"): 1, ("deny", "write"): 1, ("deny", "none"): 1}


async def test_a_change_is_on_disk_before_it_goes_on_and_a_read_is_not_waited_for(journal: JournalWriter) -> None:
    recorder = RequestRecorder(journal)
    file = journal.files()[-1]
    await recorder.decided(FACTS, Allow(), 0.0)
    assert b"decided" not in file.read_bytes()
    await recorder.decided(CHANGE, Allow(), 0.0)
    assert file.read_bytes().count(b'"decided"') == 2


async def test_strangers_are_counted_by_reason_and_user_in_one_line_each(journal: JournalWriter) -> None:
    recorder = RequestRecorder(journal)
    for uid, refusal in ((7, Refusal.PEER), (7, Refusal.PEER), (8, Refusal.PEER), (None, Refusal.HOST)):
        recorder.count_unidentified(Deny(refusal, "no"), uid)
    recorder.flush_counts()
    recorder.flush_counts()
    counted = [(line.get("uid"), line["refusal"], line["count"]) for line in await lines(journal)]
    assert counted == [(7, "peer", 2), (8, "peer", 1), (None, "host", 1)]


async def test_the_same_facts_are_encoded_once(journal: JournalWriter) -> None:
    recorder = RequestRecorder(journal)
    for _ in range(3):
        await recorder.decided(FACTS, Allow(), 0.0)
    await recorder.decided(replace(FACTS, path="/other"), Allow(), 0.0)
    assert recorder._encoded.cache_info().misses == 2
    assert [line["target"] for line in await lines(journal)] == ["/api/models/me/a"] * 3 + ["/other"]


async def test_a_line_stays_a_line_whatever_is_needed(journal: JournalWriter) -> None:
    many = tuple(Need(Action.READ, Target(RepoType.MODELS, "me", f"m{number}")) for number in range(MAX_NEEDS + 5))
    await RequestRecorder(journal).decided(replace(FACTS, needs=many), Allow(), 0.0)
    [line] = await lines(journal)
    assert (len(line["needs"]), line["more_needs"]) == (MAX_NEEDS, 5)


@pytest.mark.parametrize(
    ("needs", "fields"),
    [
        ((), {"action": None, "repo": None, "ref": None}),
        (READ, {"action": "read", "repo": "models/me/a", "ref": None}),
        (WRITE, {"action": "write", "repo": "models/me/a", "ref": "refs/heads/main"}),
        (
            (Need(Action.JOBS, Target(None, "acme")),),
            {"action": "jobs", "repo": None, "ref": None, "needs": ["jobs:acme"], "more_needs": None},
        ),
        ((Need(Action.WEBHOOKS, Target(None, "")),), {"action": "webhooks", "repo": None, "ref": None}),
        (
            (Need(Action.JOBS, Target(None, "acme")), *READ),
            {
                "action": "jobs",
                "repo": "models/me/a",
                "ref": None,
                "needs": ["jobs:acme", "read:models/me/a"],
                "more_needs": None,
            },
        ),
        (
            (*WRITE, *READ, *READ),
            {
                "action": "write",
                "repo": "models/me/a",
                "ref": "refs/heads/main",
                "needs": ["write:models/me/a", "read:models/me/a"],
                "more_needs": None,
            },
        ),
        (
            (*WRITE, Need(Action.DELETE, WRITE[0].target.at("refs/heads/dev"))),
            {
                "action": "write",
                "repo": "models/me/a",
                "ref": None,
                "needs": ["write:models/me/a", "delete:models/me/a"],
                "more_needs": None,
            },
        ),
    ],
)
def test_a_line_tells_all_needs_that_action_and_repo_do_not(needs: tuple[Need, ...], fields: dict[str, object]) -> None:
    assert needs_fields(needs) == fields
