"""The journal: what it records is there, in order, sealed, and after a failure nothing more is accepted."""

import asyncio
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from journals import follow_directory, lines

from hfproxy.cli.journal import chain
from hfproxy.core.audit.chain import ChainHead, EventKind, mac_matches, key_id
from hfproxy.daemon.journal.writer import FIRST_FILE, JournalWriter
from hfproxy.errors import JournalError, RefusedError
from hfproxy.secret import Secret


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def event(number: int) -> dict[str, object]:
    return {"at": 1_800_000_000 + number, "kind": "decided", "target": f"/api/models/me/{number}"}


async def test_what_was_recorded_is_in_the_file_when_record_returns(directory: Path) -> None:
    journal = JournalWriter(directory)
    await journal.append_durably(event(1))
    assert json.loads(lines(directory / FIRST_FILE)[0])["target"] == "/api/models/me/1"
    journal.close()


async def test_many_at_once_keep_their_order_and_their_chain(directory: Path) -> None:
    journal = JournalWriter(directory)
    await asyncio.gather(*(journal.append_durably(event(number)) for number in range(300)))
    head = await journal.flush()
    written = lines(directory / FIRST_FILE)
    assert [json.loads(line)["at"] for line in written] == [event(number)["at"] for number in range(300)]
    followed = follow_directory(directory)
    assert ChainHead(followed.seq, followed.hash) == head == journal.head
    journal.close()


async def test_a_reopened_journal_goes_on_where_it_stood(directory: Path) -> None:
    first = JournalWriter(directory)
    await first.append_durably(event(1))
    first.close()
    second = JournalWriter(directory)
    second.append(event(2))
    second.close()
    followed = follow_directory(directory)
    assert (followed.seq, followed.hash) == (2, second.head.hash)


async def test_a_line_torn_by_a_crash_is_cut_off_and_the_rest_kept(directory: Path) -> None:
    journal = JournalWriter(directory)
    await journal.append_durably(event(1))
    journal.close()
    with (directory / FIRST_FILE).open("ab") as file:
        file.write(b'{"seq":2,"at":18000')
    again = JournalWriter(directory)
    await again.append_durably(event(2))
    again.close()
    assert follow_directory(directory).seq == 2


async def test_a_journal_that_is_one_torn_line_starts_anew(directory: Path) -> None:
    directory.mkdir()
    (directory / FIRST_FILE).write_bytes(b'{"seq":1')
    journal = JournalWriter(directory)
    await journal.append_durably(event(1))
    journal.close()
    assert follow_directory(directory).seq == 1


@pytest.mark.parametrize("last", [b"not a line\n", b'{"seq":1}\n', b"\n", b'{"seq":1,"hash":"' + b"0" * 64 + b'"}\n'])
def test_nothing_is_appended_to_a_damaged_journal(directory: Path, last: bytes) -> None:
    directory.mkdir()
    (directory / FIRST_FILE).write_bytes(last)
    with pytest.raises(JournalError, match="damaged"):
        JournalWriter(directory)
    assert (directory / FIRST_FILE).read_bytes() == last


def test_a_link_in_place_of_the_journal_is_not_followed(directory: Path, tmp_path: Path) -> None:
    directory.mkdir()
    (directory / FIRST_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="cannot be opened"):
        JournalWriter(directory)


async def test_after_a_failed_write_every_further_event_is_refused(directory: Path) -> None:
    journal = JournalWriter(directory)
    await journal.append_durably(event(1))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((directory / FIRST_FILE).stat().st_size + 10, before[1]))
    try:
        with pytest.raises(JournalError, match="cannot be written"):
            await journal.append_durably(event(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(JournalError, match="cannot be written"):
        journal.append(event(3))
    journal.close()
    # The next daemon cuts the torn line off and goes on.
    again = JournalWriter(directory)
    await again.append_durably(event(4))
    again.close()
    assert follow_directory(directory).seq == 2


class TestFiles:
    """From file to file: full after every second event here."""

    FULL = 300

    def open(self, directory: Path) -> JournalWriter:
        return JournalWriter(directory, full_bytes=self.FULL)

    async def fill(self, directory: Path, count: int) -> ChainHead:
        journal = self.open(directory)
        for number in range(count):
            await journal.append_durably(event(number))
        journal.close()
        return journal.head

    async def test_a_full_file_is_followed_by_the_next_and_the_chain_runs_on(self, directory: Path) -> None:
        head = await self.fill(directory, 7)
        names = [path.name for path in sorted(directory.iterdir())]
        assert names == [f"0000000{number}.jsonl" for number in range(1, 5)]
        assert [len(lines(path)) for path in sorted(directory.iterdir())] == [2, 2, 2, 1]
        assert follow_directory(directory).hash == head.hash

    async def test_what_was_recorded_at_once_stays_in_order_across_files(self, directory: Path) -> None:
        journal = self.open(directory)
        for number in range(500):
            journal.append(event(number))
            if number % 7 == 0:
                await journal.flush()
        journal.close()
        assert follow_directory(directory).seq == 500
        assert len(journal.files()) > 50

    async def test_a_full_journal_that_is_opened_again_goes_on_in_a_new_file(self, directory: Path) -> None:
        await self.fill(directory, 2)
        await self.fill(directory, 2)
        assert [len(lines(path)) for path in sorted(directory.iterdir())] == [2, 2]
        assert follow_directory(directory).seq == 4

    @pytest.mark.parametrize("left", [b"", b"{", b'{"seq":3,"at":1800000002,"kind"', b"\0" * 5000], ids=len)
    async def test_after_a_crash_at_the_change_the_chain_goes_on_from_the_file_before(
        self, directory: Path, left: bytes
    ) -> None:
        await self.fill(directory, 2)
        (directory / "00000002.jsonl").write_bytes(left)
        await self.fill(directory, 1)
        assert [len(lines(path)) for path in sorted(directory.iterdir())] == [2, 1]
        assert follow_directory(directory).seq == 3

    async def test_a_file_that_was_complete_and_is_not_any_more_is_refused(self, directory: Path) -> None:
        await self.fill(directory, 2)
        first = directory / FIRST_FILE
        first.write_bytes(first.read_bytes()[:-1])
        (directory / "00000002.jsonl").touch()
        with pytest.raises(JournalError, match="00000001.jsonl is damaged"):
            self.open(directory)
        assert not first.read_bytes().endswith(b"\n")

    async def test_a_file_in_the_way_of_the_next_is_not_written_into(self, directory: Path) -> None:
        journal = self.open(directory)
        await journal.append_durably(event(1))
        await journal.append_durably(event(2))
        (directory / "00000002.jsonl").write_bytes(b"somebody else's")
        with pytest.raises(JournalError, match="cannot be written"):
            await journal.append_durably(event(3))
        journal.close()
        assert (directory / "00000002.jsonl").read_bytes() == b"somebody else's"

    async def test_other_files_in_the_directory_are_none_of_its_own(self, directory: Path) -> None:
        head = await self.fill(directory, 1)
        for name in ("00000009.jsonl.bak", "9-copy.jsonl", "000000009.jsonl", "x.jsonl"):
            (directory / name).write_bytes(b"something else\n")
        journal = self.open(directory)
        assert (journal.head, journal.files()) == (head, [directory / FIRST_FILE])
        journal.close()

    def test_a_kill_at_any_moment_leaves_a_journal_that_goes_on(self, directory: Path) -> None:
        """Thirty writers one after the other, each killed in the middle of changing files."""
        code = (
            "import asyncio, pathlib, sys; from hfproxy.daemon.journal.writer import JournalWriter\n"
            "async def main():\n"
            "    journal = JournalWriter(pathlib.Path(sys.argv[1]), full_bytes=300)\n"
            "    while True:\n"
            "        await journal.append_durably({'kind': 'decided'}); print(journal.head.seq, journal.head.hash, flush=True)\n"
            "asyncio.run(main())\n"
        )
        for round_ in range(30):
            command = [sys.executable, "-c", code, str(directory)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
                assert writer.stdout is not None
                said = [writer.stdout.readline() for _ in range(round_ + 1)]
                writer.kill()
                said += writer.stdout.readlines()
            seq, told = [line for line in said if line.endswith("\n")][-1].split()
            journal = self.open(directory)
            assert journal.head.seq >= int(seq)
            journal.close()
            hashes = [chain.read(line).hash for path in journal.files() for line in lines(path)]
            assert follow_directory(directory).seq == len(hashes) == journal.head.seq
            assert told in hashes


class TestKey:
    """With a key in reach every line is MACed, and without one nothing stops."""

    KEY = Secret("a key")

    async def test_lines_are_maced_while_the_key_is_to_be_had(self, directory: Path) -> None:
        keys = [None, self.KEY, None, self.KEY]
        journal = JournalWriter(directory, lambda: keys[journal.head.seq])
        for number in range(4):
            await journal.append_durably(event(number))
        journal.close()
        entries = [chain.read(line) for line in lines(directory / FIRST_FILE)]
        assert [bool(entry.mac) for entry in entries] == [False, True, False, True]
        assert all(mac_matches(entry.digest, entry.mac, b"a key") for entry in entries if entry.mac)
        assert follow_directory(directory).seq == 4

    async def test_it_is_vouched_for_what_was_written_and_for_nothing_else(self, directory: Path) -> None:
        journal = JournalWriter(directory, lambda: self.KEY)
        await journal.append_durably(event(1))
        await journal.append_durably(event(2))
        first, second = (chain.read(line) for line in lines(directory / FIRST_FILE))
        name, fit = journal.check_macs(
            [(first.digest, first.mac), (first.digest, second.mac), (second.digest, second.mac)]
        )
        assert (name, fit) == (key_id(b"a key"), [True, False, True])
        assert journal.check_macs([]) == (name, [])
        journal.close()

    async def test_without_the_key_nothing_is_vouched_for(self, directory: Path) -> None:
        journal = JournalWriter(directory)
        await journal.append_durably(event(1))
        with pytest.raises(RefusedError, match="hf-proxy unlock"):
            journal.check_macs([])
        journal.close()
        assert chain.read(lines(directory / FIRST_FILE)[0]).mac == ""


async def test_what_is_noted_waits_until_it_is_written(directory: Path) -> None:
    journal = JournalWriter(directory)
    for number in range(3):
        journal.append(event(number))
    assert (journal.unwritten_lines, lines(directory / FIRST_FILE)) == (3, [])
    await journal.flush()
    assert (journal.unwritten_lines, len(lines(directory / FIRST_FILE))) == (0, 3)
    journal.append(event(3))
    async with asyncio.timeout(10):
        while journal.unwritten_lines:
            await asyncio.sleep(0.01)
    assert len(lines(directory / FIRST_FILE)) == 4
    journal.close()


async def test_a_mark_is_vouched_for_with_the_key_of_that_moment(directory: Path) -> None:
    keys = [Secret("a key")]
    journal = JournalWriter(directory, lambda: keys[-1] if keys else None)
    journal.append(event(1))
    journal.append_best_effort(EventKind.LOCK)
    keys.clear()
    journal.append(event(2))
    await journal.flush()
    journal.close()
    assert [bool(chain.read(line).mac) for line in lines(directory / FIRST_FILE)] == [True, True, False]
