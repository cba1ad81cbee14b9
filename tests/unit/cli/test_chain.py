"""The chain as a stranger follows it: whatever is done to a journal is found, byte by byte and line by line."""

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journals import follow
from strategies import law

from hfproxy.cli.journal import chain
from hfproxy.cli.journal.chain import FIRST_PREV, CLOCK_TOLERANCE_S
from hfproxy.core.audit.chain import ChainHead, append_link, head_after, mac_matches
from hfproxy.errors import JournalError

KEY = b"a key"
EVENTS: list[dict[str, object]] = [
    {"at": 1, "kind": "login", "account": "default"},
    {"at": 2, "kind": "minted", "grant": "a", "scopes": ["read"], "program": "pythön"},
    {"at": 3, "kind": "decided", "grant": "a", "target": "/x", "decision": "allow"},
]


def written(
    events: list[dict[str, object]], head: ChainHead = ChainHead(), key: bytes | None = None
) -> tuple[list[bytes], ChainHead]:
    """Lines without their newlines; the first has no MAC, like the first login."""
    lines = []
    for number, event in enumerate(events):
        line, head = append_link(event, head, key if number else None)
        lines.append(line[:-1])
    return lines, head


LINES, END = written(EVENTS, key=KEY)


def is_found(*files: list[bytes]) -> bool:
    """Whether following them fails, or ends elsewhere than where the journal was left."""
    try:
        followed = follow(*files)
    except JournalError as error:
        assert str(error).isprintable()
        return True
    return (followed.seq, followed.hash) != (END.seq, END.hash)


def instead(number: int, changed: bytes) -> list[bytes]:
    """The journal with another line in one place; a newline in it makes two."""
    return [*LINES[:number], *changed.split(b"\n"), *LINES[number + 1 :]]


def test_what_was_written_is_followed_to_its_end() -> None:
    followed = follow(LINES)
    assert (followed.seq, followed.hash) == (END.seq, END.hash)
    assert (follow([]).seq, follow([]).hash) == (0, FIRST_PREV)


def test_where_one_file_ends_and_the_next_begins_does_not_matter() -> None:
    for place in range(len(LINES) + 1):
        assert not is_found(LINES[:place], LINES[place:])


# --- every single damage, exhaustively ---------------------------------------------------------------------------


def test_every_flipped_bit_is_found() -> None:
    for number, line in enumerate(LINES):
        for place in range(len(line)):
            for bit in range(8):
                changed = line[:place] + bytes([line[place] ^ (1 << bit)]) + line[place + 1 :]
                assert is_found(instead(number, changed)), (number, place, bit)


def test_every_byte_in_place_of_another_is_found() -> None:
    line = LINES[1]
    for place in range(len(line)):
        for byte in range(256):
            if byte != line[place]:
                assert is_found(instead(1, line[:place] + bytes([byte]) + line[place + 1 :])), (place, byte)


def test_every_dropped_doubled_or_inserted_byte_and_every_cut_is_found() -> None:
    for number, line in enumerate(LINES):
        for place in range(len(line) + 1):
            for changed in (
                line[:place] + line[place + 1 :],
                line[:place] + line[place : place + 1] + line[place:],
                line[:place] + b" " + line[place:],
                line[:place] + b"\n" + line[place:],
                line[:place] + b"\0" + line[place:],
                line[:place],
            ):
                if changed != line:
                    assert is_found(instead(number, changed)), (number, place)


def test_every_two_swapped_bytes_are_found() -> None:
    for number, line in enumerate(LINES):
        for place in range(len(line) - 1):
            changed = line[:place] + line[place + 1 : place + 2] + line[place : place + 1] + line[place + 2 :]
            if changed != line:
                assert is_found(instead(number, changed)), (number, place)


def test_every_dropped_doubled_swapped_or_inserted_line_is_found() -> None:
    stranger = append_link({"at": 9}, ChainHead())[0][:-1]
    for place in range(len(LINES)):
        assert is_found(LINES[:place] + LINES[place + 1 :])
        for again in range(len(LINES) + 1):
            assert is_found([*LINES[:again], LINES[place], *LINES[again:]])
        for other in range(place):
            changed = list(LINES)
            changed[place], changed[other] = changed[other], changed[place]
            assert is_found(changed)
    for place in range(len(LINES) + 1):
        for inserted in (stranger, b"", b"{}", append_link({"at": 9}, END)[0][:-1]):
            assert is_found([*LINES[:place], inserted, *LINES[place:]])


def test_a_cut_off_tail_is_found_by_where_the_chain_ends() -> None:
    for place in range(len(LINES)):
        assert is_found(LINES[:place])


# --- what is said of it ------------------------------------------------------------------------------------------


def why(*files: list[bytes]) -> str:
    with pytest.raises(JournalError) as caught:
        follow(*files)
    return str(caught.value)


def test_a_line_sealed_again_after_a_change_breaks_at_the_next() -> None:
    forged = append_link({**EVENTS[1], "grant": "b"}, head_after(LINES[0]))[0][:-1]
    assert "does not follow" in why([LINES[0], forged, LINES[2]])


def test_a_missing_line_a_swap_and_a_fork_are_told_apart() -> None:
    other = append_link({"at": 3}, head_after(LINES[1]))[0][:-1]
    assert "has the number 3: entries before it are missing" in why([LINES[0], LINES[2]])
    assert "has the number 3: entries before it are missing" in why([LINES[0], LINES[2], LINES[1]])
    assert "a fork, or a repeated entry" in why([*LINES, LINES[2]])
    assert "a fork, or a repeated entry" in why([*LINES, other])
    assert "has the number 1 again: a fork" in why([*LINES, LINES[0]])


def test_two_files_that_follow_the_same_are_a_fork_that_names_both() -> None:
    other, _ = written([{"at": 3}, {"at": 4}], head_after(LINES[1]))
    assert why(LINES[:2], LINES[2:], other) == "a fork: it and file 1 both follow entry 2"
    assert why(LINES, written(EVENTS)[0]) == "a fork: it and file 0 both follow entry 0"


def test_a_journal_without_its_first_file_says_so() -> None:
    assert why(LINES[1:]) == "it begins with entry 2: the files before it are missing"


@pytest.mark.parametrize(
    "body",
    [
        b'{"seq":1,"seq":1,"prev":"' + b"0" * 64 + b'"',
        b'{"seq":1,"kind":"minted","kind":"revoked","prev":"' + b"0" * 64 + b'"',
        b'{"seq":1,"more":{"a":1,"a":2},"prev":"' + b"0" * 64 + b'"',
        b'{"seq":1,"more":[{"a":1,"\\u0061":2}],"prev":"' + b"0" * 64 + b'"',
        b'{"seq":1,"hash":"' + b"0" * 64 + b'","prev":"' + b"0" * 64 + b'"',
    ],
)
def test_what_two_readers_could_read_differently_is_found(body: bytes) -> None:
    assert why([resealed(body)]) == "it has duplicate keys"


def at(*times: object) -> list[tuple[int, int]]:
    return follow(written([{"at": time} for time in times])[0]).set_back


def test_a_clock_that_went_back_is_told_and_breaks_nothing() -> None:
    back = 100 - CLOCK_TOLERANCE_S
    assert at(100, back, 100, back, 100) == []
    assert at(100, back - 1) == [(2, CLOCK_TOLERANCE_S + 1)]
    assert at(100, 40, 41, 42, 100, 101, 30) == [(2, 60), (7, 71)]
    # Creeping back in steps that are small enough each.
    assert at(*range(100, 90, -1)) == [(4, 3), (7, 3), (10, 3)]
    assert at(100, None, "1", 1.0, True, 100) == []


# --- hostile files -------------------------------------------------------------------------------------------------


def resealed(body: bytes) -> bytes:
    """Any bytes with a hash that fits them: what somebody could write who knows the format."""
    return body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


MAC = b',"mac":"' + b"0" * 16 + b":" + b"0" * 64 + b'"'
PREV = b'"prev":"' + b"0" * 64 + b'"'
FORGED = [
    b"",
    b"{",
    b"[",
    b"x",
    b"\xff",
    b'{"seq":1',
    b"{" + PREV,
    b'{"seq":"1",' + PREV,
    b'{"seq":null,' + PREV,
    b'{"seq":2,' + PREV,
    b'{"seq":0,' + PREV,
    b'{"seq":-1,' + PREV,
    b'{"seq":1.5,' + PREV,
    b'{"seq":true,' + PREV,
    b'{"seq":1.0,' + PREV,
    b'{"seq":' + b"1" * 10_000 + b"," + PREV,
    b'{"seq":1,"prev":null',
    b'{"seq":1,"prev":["' + b"0" * 64 + b'"]',
    b'{"seq":1' + MAC + b"," + PREV,
    b'{"seq":1,' + PREV + b',"mac":null',
    b'{"seq":1,' + PREV + MAC.replace(b":0", b":A"),
    b'{"seq":1,' + PREV + MAC + MAC,
    b'{"seq":1,' + PREV + MAC + b" ",
    b'{"seq":1,"\xff":1,' + PREV,
    b'{"seq":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"," + PREV,
    b'{"seq":1,"a":' + b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", FORGED, ids=range(len(FORGED)))
def test_a_forged_line_is_refused_as_a_wrong_journal(body: bytes) -> None:
    assert why([resealed(body)]).isprintable()


@given(st.lists(st.binary(max_size=80) | st.binary(max_size=80).map(resealed) | st.sampled_from(LINES), max_size=4))
@law(500)
def test_no_bytes_make_it_raise_anything_but_a_journal_error(lines: list[bytes]) -> None:
    try:
        end = follow(lines)
    except JournalError as error:
        assert str(error).isprintable()
    else:
        assert end.seq == len(lines)


members = st.dictionaries(
    st.sampled_from(["at", "kind", "grant", "why", "é"]),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2),
)


@given(st.lists(members, max_size=4), st.none() | st.binary(min_size=1, max_size=40))
@law(300)
def test_whatever_the_writer_writes_the_stranger_follows(events: list[dict[str, object]], key: bytes | None) -> None:
    lines, end = written(events, key=key)
    followed = follow(lines)
    assert (followed.seq, followed.hash) == (end.seq, end.hash)
    for entry, event in zip(map(chain.read, lines), events, strict=True):
        assert (entry.at, entry.kind) == (event.get("at"), event.get("kind"))
        assert not entry.mac or mac_matches(entry.digest, entry.mac, key or b"")


def test_it_shares_no_code_with_the_writer() -> None:
    code = "import sys, hfproxy.cli.journal.verify; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hfproxy.cli.journal.chain" in loaded
    assert not [name for name in loaded if name.startswith(("hfproxy.core", "hfproxy.daemon"))]
