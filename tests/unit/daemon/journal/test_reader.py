"""The journal read back: which entries are wanted, and what is said of a damaged one."""

import asyncio
from pathlib import Path

import pytest

from hfproxy.daemon.journal.writer import JournalWriter

from hfproxy.daemon.journal.reader import GrantSubtree, JournalQuery, query
from hfproxy.errors import JournalError
from hfproxy.secret import Secret

ENTRIES = (
    {"at": 1_000, "kind": "decided", "decision": "allow", "grant": "a", "repo": "models/Me/One"},
    {"at": 2_000_000_000_000, "kind": "decided", "decision": "deny", "grant": "b", "repo": "spaces/me/one"},
    {"at": 2_000_000_000_000, "kind": "denied_unknown", "refusal": "peer"},
    {"kind": "of another version"},
)


@pytest.fixture
async def journal(tmp_path: Path) -> "JournalWriter":
    journal = JournalWriter(tmp_path / "journal")
    for entry in ENTRIES:
        journal.append(entry)
    yield journal
    journal.close()


async def numbers(journal: JournalWriter, **asked: object) -> list[object]:
    """The numbers of the entries that came, up to the empty one that ends them."""
    found = [entry async for entry in query(journal, JournalQuery(**asked))]  # type: ignore[arg-type]
    assert found.pop() == {}
    return [entry["seq"] for entry in found]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, [1, 2, 3, 4]),
        ({"since": 2_000_000_000_000}, [2, 3]),
        ({"grant": "a"}, [1]),
        ({"grant": "z"}, []),
        ({"repo": "me/one"}, [1, 2]),
        ({"repo": "MODELS/me/one"}, [1]),
        ({"repo": "one"}, []),
        ({"denied": True}, [2, 3]),
        ({"denied": True, "repo": "me/one"}, [2]),
    ],
)
async def test_only_what_fits_comes(journal: JournalWriter, asked: dict[str, object], wanted: list[int]) -> None:
    assert await numbers(journal, **asked) == wanted


async def test_a_user_is_shown_what_says_that_it_is_theirs(journal: JournalWriter) -> None:
    journal.append({"at": 1, "kind": "minted", "uid": 1001})
    journal.append({"at": 1, "kind": "minted", "uid": 1002})
    for uid, wanted in ((1001, [5]), (1002, [6]), (0, []), (None, [1, 2, 3, 4, 5, 6])):
        found = [entry async for entry in query(journal, JournalQuery(uid=uid))]
        assert [entry["seq"] for entry in found[:-1]] == wanted


async def test_the_chain_is_not_part_of_what_is_shown(journal: JournalWriter) -> None:
    shown = [entry async for entry in query(journal, JournalQuery())]
    assert not {"prev", "hash"} & {name for entry in shown for name in entry}
    assert {name: shown[0][name] for name in ENTRIES[0]} == ENTRIES[0]


async def test_following_gives_what_comes_later_and_nothing_twice(journal: JournalWriter) -> None:
    coming = query(journal, JournalQuery(follow=True))
    seen = [(await anext(coming))["seq"] for _ in ENTRIES]
    waiting = asyncio.ensure_future(anext(coming))
    journal.append({"kind": "later"})
    assert (await waiting)["kind"] == "later"
    assert seen == [1, 2, 3, 4]
    await coming.aclose()


class TestFromFileToFile:
    """A journal whose files are full after every second entry."""

    @pytest.fixture
    async def journal(self, tmp_path: Path) -> "JournalWriter":
        journal = JournalWriter(tmp_path / "journal", full_bytes=300)
        for number in range(1, 8):
            await journal.append_durably({"at": number, "kind": "decided", "grant": "odd" if number % 2 else "even"})
        yield journal
        journal.close()

    async def test_all_are_read_in_order(self, journal: JournalWriter) -> None:
        assert len(journal.files()) == 4
        assert await numbers(journal) == [1, 2, 3, 4, 5, 6, 7]
        assert await numbers(journal, grant="odd") == [1, 3, 5, 7]

    async def test_following_goes_on_in_the_next_file_and_gives_nothing_twice(self, journal: JournalWriter) -> None:
        coming = query(journal, JournalQuery(follow=True, grant="odd"))
        seen = [(await anext(coming))["seq"] for _ in range(4)]
        for number in range(8, 18):
            waiting = asyncio.ensure_future(anext(coming))
            journal.append({"at": number, "kind": "decided", "grant": "odd"})
            seen.append((await waiting)["seq"])
        assert seen == [1, 3, 5, 7, *range(8, 18)]
        assert len(journal.files()) == 9
        await coming.aclose()

    async def test_a_file_that_was_taken_away_is_named(self, journal: JournalWriter) -> None:
        taken = journal.files()[1]
        taken.unlink()
        taken.mkdir()
        with pytest.raises(JournalError, match=r"00000002.jsonl cannot be read \(Is a directory\)"):
            await numbers(journal)


async def test_a_line_without_its_end_is_left_for_later(journal: JournalWriter) -> None:
    await journal.flush()
    with journal.files()[0].open("ab") as file:
        file.write(b'{"seq":5,"ki')
    assert await numbers(journal) == [1, 2, 3, 4]


async def test_requests_get_their_turn_while_a_long_journal_is_read(journal: JournalWriter) -> None:
    for number in range(2000):
        journal.append({"at": number, "kind": "completed"})
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    await journal.flush()
    waiting = asyncio.create_task(others())
    before = turns
    assert await numbers(journal, denied=True) == [2, 3]
    assert turns - before >= 20
    waiting.cancel()


@pytest.mark.parametrize(
    "line",
    [b"not json\n", b"[]\n", b"\xff\n", b'{"a":"\xff"}\n', b"[" * 100_000 + b"\n", b"x" * 3_000_000],
)
async def test_a_damaged_line_is_a_failure_that_names_the_next_step(journal: JournalWriter, line: bytes) -> None:
    await journal.flush()
    with journal.files()[0].open("ab") as file:
        file.write(line)
    with pytest.raises(JournalError, match="hf-proxy audit verify"):
        await numbers(journal)


ENTRY = {
    "at": 10,
    "kind": "decided",
    "uid": 1,
    "grant": "g",
    "repo": "models/Me/One",
    "action": "write",
    "decision": "allow",
}


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ({}, True),
        ({"uid": 1}, True),
        ({"uid": 0}, False),
        ({"since": 10}, True),
        ({"since": 11}, False),
        ({"since": 0}, True),
        ({"grant": "g"}, True),
        ({"grant": "h"}, False),
        ({"repo": "me/one"}, True),
        ({"repo": "MODELS/me/one"}, True),
        ({"repo": "datasets/me/one"}, False),
        ({"repo": "me/on"}, False),
        ({"repo": ""}, False),
        ({"action": "write"}, True),
        ({"action": "read"}, False),
        ({"denied": True}, False),
        ({"uid": 1, "since": 10, "grant": "g", "repo": "me/one", "action": "write"}, True),
        ({"uid": 1, "since": 10, "grant": "g", "repo": "me/one", "action": "read"}, False),
    ],
)
def test_an_entry_fits_every_field_of_the_query(asked: dict[str, object], fits: bool) -> None:
    assert JournalQuery(**asked).matches(ENTRY) is fits  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "denied"),
    [({"decision": "deny"}, True), ({"kind": "denied_unknown"}, True), ({"decision": "anonymous"}, False)],
)
def test_refused_are_what_was_denied_and_counts_of_strangers(change: dict[str, object], denied: bool) -> None:
    assert JournalQuery(denied=True).matches({**ENTRY, **change}) is denied


def test_an_entry_without_a_field_fits_no_value_of_it() -> None:
    for asked in ({"uid": 1}, {"since": 1}, {"grant": "g"}, {"repo": "me/one"}, {"repo": ""}, {"action": "read"}):
        assert not JournalQuery(**asked).matches({"kind": "started"})  # type: ignore[arg-type]


def test_a_subtree_is_a_grant_and_what_was_minted_from_it() -> None:
    entries = [
        {"kind": "minted", "grant": "root"},
        {"kind": "minted", "grant": "child", "parent": "root"},
        {"kind": "minted", "grant": "other"},
        {"kind": "minted", "grant": "grandchild", "parent": "child"},
        {"kind": "minted", "grant": "nephew", "parent": "other"},
        {"kind": "decided", "grant": "grandchild"},
        {"kind": "decided", "grant": "nephew"},
        {"kind": "login"},
    ]

    def of(root: str | None) -> list[object]:
        subtree = GrantSubtree(root)
        return [entry.get("grant") for entry in entries if subtree.contains(entry)]

    assert of("root") == ["root", "child", "grandchild", "grandchild"]
    assert of("child") == ["child", "grandchild", "grandchild"]
    assert of("other") == ["other", "nephew", "nephew"]
    assert of(None) == [entry.get("grant") for entry in entries]


async def test_macs_are_not_shown(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "keyed", lambda: Secret("ab" * 32))
    journal.append({"at": 1, "kind": "login"})
    assert [entry async for entry in query(journal, JournalQuery())] == [{"seq": 1, "at": 1, "kind": "login"}, {}]
    assert b'"mac":"' in journal.files()[0].read_bytes()
    journal.close()
