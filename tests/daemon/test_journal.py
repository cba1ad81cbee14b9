"""The journal: what it records is there, in order, sealed, and after a failure nothing more is accepted."""

import asyncio
import json
import resource
import signal
from pathlib import Path

import pytest

from hfproxy.core import audit
from hfproxy.core.audit import Head
from hfproxy.daemon.journal import FIRST, Journal
from hfproxy.errors import JournalError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def event(number: int) -> dict[str, object]:
    return {"at": 1_800_000_000 + number, "kind": "decided", "target": f"/api/models/me/{number}"}


def lines(directory: Path) -> list[bytes]:
    return (directory / FIRST).read_bytes().splitlines()


async def test_what_was_recorded_is_in_the_file_when_record_returns(directory: Path) -> None:
    journal = Journal(directory)
    await journal.record(event(1))
    assert json.loads(lines(directory)[0])["target"] == "/api/models/me/1"
    journal.close()


async def test_many_at_once_keep_their_order_and_their_chain(directory: Path) -> None:
    journal = Journal(directory)
    await asyncio.gather(*(journal.record(event(number)) for number in range(300)))
    head = await journal.flush()
    written = lines(directory)
    assert [json.loads(line)["at"] for line in written] == [event(number)["at"] for number in range(300)]
    assert audit.check(written) == head == journal.head
    journal.close()


async def test_a_reopened_journal_goes_on_where_it_stood(directory: Path) -> None:
    first = Journal(directory)
    await first.record(event(1))
    first.close()
    second = Journal(directory)
    second.note(event(2))
    second.close()
    assert audit.check(lines(directory)) == Head(2, second.head.hash)


async def test_a_line_torn_by_a_crash_is_cut_off_and_the_rest_kept(directory: Path) -> None:
    journal = Journal(directory)
    await journal.record(event(1))
    journal.close()
    with (directory / FIRST).open("ab") as file:
        file.write(b'{"seq":2,"at":18000')
    again = Journal(directory)
    await again.record(event(2))
    again.close()
    assert audit.check(lines(directory)).seq == 2


async def test_a_journal_that_is_one_torn_line_starts_anew(directory: Path) -> None:
    directory.mkdir()
    (directory / FIRST).write_bytes(b'{"seq":1')
    journal = Journal(directory)
    await journal.record(event(1))
    journal.close()
    assert audit.check(lines(directory)).seq == 1


@pytest.mark.parametrize("last", [b"not a line\n", b'{"seq":1}\n', b"\n", b'{"seq":1,"hash":"' + b"0" * 64 + b'"}\n'])
def test_nothing_is_appended_to_a_damaged_journal(directory: Path, last: bytes) -> None:
    directory.mkdir()
    (directory / FIRST).write_bytes(last)
    with pytest.raises(JournalError, match="damaged"):
        Journal(directory)
    assert (directory / FIRST).read_bytes() == last


def test_a_link_in_place_of_the_journal_is_not_followed(directory: Path, tmp_path: Path) -> None:
    directory.mkdir()
    (directory / FIRST).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(directory)


async def test_after_a_failed_write_every_further_event_is_refused(directory: Path) -> None:
    journal = Journal(directory)
    await journal.record(event(1))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((directory / FIRST).stat().st_size + 10, before[1]))
    try:
        with pytest.raises(JournalError, match="cannot be written"):
            await journal.record(event(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(JournalError, match="cannot be written"):
        journal.note(event(3))
    journal.close()
    # The next daemon cuts the torn line off and goes on.
    again = Journal(directory)
    await again.record(event(4))
    again.close()
    assert audit.check(lines(directory)).seq == 2
