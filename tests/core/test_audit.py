"""The journal's chain: whatever is done to it is found."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core import audit
from hfproxy.core.audit import Head, Kind
from hfproxy.errors import JournalError

EVENTS: list[dict[str, object]] = [
    {"at": 1, "kind": Kind.LOGIN, "account": "default"},
    {"at": 2, "kind": Kind.MINTED, "grant": "a", "scopes": ["read"], "program": "pythön"},
    {"at": 3, "kind": Kind.DECIDED, "grant": "a", "target": "/x", "decision": "allow", "status": None},
]


def written(events: list[dict[str, object]]) -> tuple[list[bytes], Head]:
    head, lines = Head(), []
    for event in events:
        line, head = audit.seal(event, head)
        assert line.endswith(b"\n")
        lines.append(line[:-1])
    return lines, head


LINES, END = written(EVENTS)


def is_found(lines: list[bytes]) -> bool:
    """Whether the check objects, or ends elsewhere than where the journal was left."""
    try:
        return audit.check(lines) != END
    except JournalError:
        return True


def test_the_first_line_is_known_to_the_byte() -> None:
    body = b'{"seq":1,"at":1,"kind":"login","account":"default","prev":"' + b"0" * 64 + b'"'
    assert LINES[0] == body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


def test_anyone_can_check_it_with_json_and_sha256() -> None:
    previous = "0" * 64
    for number, line in enumerate(LINES, start=1):
        event = json.loads(line)
        assert event["seq"] == number
        assert event["prev"] == previous
        previous = hashlib.sha256(line[: line.rindex(b',"hash":"')]).hexdigest()
        assert event["hash"] == previous
    assert Head(3, previous) == END


members = st.dictionaries(
    st.sampled_from(["at", "kind", "grant", "why", "é"]),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2),
)


@given(st.lists(members, max_size=4))
@law(300)
def test_what_is_sealed_is_one_ascii_line_and_reads_back(events: list[dict[str, object]]) -> None:
    lines, end = written(events)
    assert audit.check(lines) == end
    for line, event in zip(lines, events, strict=True):
        assert b"\n" not in line
        assert line.isascii()
        read = audit.unseal(line)
        present = {key: value for key, value in event.items() if value is not None}
        assert {key: read[key] for key in read if key not in {"seq", "prev", "hash"}} == present
        assert audit.standing(line) == Head(read["seq"], read["hash"])  # type: ignore[arg-type]


def test_an_empty_journal_stands_at_its_start() -> None:
    assert audit.check([]) == Head(0, "0" * 64)


def test_a_journal_is_checked_from_any_line_on() -> None:
    for place in range(1, 4):
        assert audit.check(LINES[place:], audit.standing(LINES[place - 1])) == END


# --- every single damage, exhaustively ---------------------------------------------------------------------------


def test_every_flipped_bit_is_found() -> None:
    for number, line in enumerate(LINES):
        for place in range(len(line)):
            for bit in range(8):
                changed = line[:place] + bytes([line[place] ^ (1 << bit)]) + line[place + 1 :]
                assert is_found([*LINES[:number], changed, *LINES[number + 1 :]]), (number, place, bit)


def test_every_dropped_doubled_or_inserted_byte_is_found() -> None:
    for number, line in enumerate(LINES):
        for place in range(len(line) + 1):
            for changed in (
                line[:place] + line[place + 1 :],
                line[:place] + line[place : place + 1] + line[place:],
                line[:place] + b" " + line[place:],
                line[:place] + b"\n" + line[place:],
                line[:place],
            ):
                if changed != line:
                    assert is_found([*LINES[:number], changed, *LINES[number + 1 :]]), (number, place)


def test_every_two_swapped_bytes_are_found() -> None:
    for number, line in enumerate(LINES):
        for place in range(len(line) - 1):
            changed = line[:place] + line[place + 1 : place + 2] + line[place : place + 1] + line[place + 2 :]
            if changed != line:
                assert is_found([*LINES[:number], changed, *LINES[number + 1 :]]), (number, place)


def test_every_dropped_doubled_swapped_or_inserted_line_is_found() -> None:
    stranger, _ = audit.seal({"at": 9}, Head())
    for place in range(len(LINES)):
        assert is_found(LINES[:place] + LINES[place + 1 :])
        assert is_found(LINES[: place + 1] + LINES[place:])
        for other in range(place):
            changed = list(LINES)
            changed[place], changed[other] = changed[other], changed[place]
            assert is_found(changed)
    for place in range(len(LINES) + 1):
        for inserted in (stranger[:-1], b"", b"{}", LINES[0]):
            assert is_found([*LINES[:place], inserted, *LINES[place:]])


def test_a_line_sealed_again_after_a_change_breaks_at_the_next() -> None:
    forged, _ = audit.seal({**EVENTS[1], "grant": "b"}, audit.standing(LINES[0]))
    with pytest.raises(JournalError, match="entry 3 is wrong: it does not follow"):
        audit.check([LINES[0], forged[:-1], LINES[2]])


def test_a_cut_off_tail_is_found_by_where_the_chain_ends() -> None:
    assert audit.check(LINES[:2]) != END


@pytest.mark.parametrize("place", range(3))
def test_the_message_names_the_first_line_that_is_wrong(place: int) -> None:
    with pytest.raises(JournalError, match=f"^entry {place + 1} is wrong: its hash does not fit its content$"):
        audit.check([*LINES[:place], LINES[place].replace(b'"at"', b'"bt"'), *LINES[place + 1 :]])


# --- hostile files -------------------------------------------------------------------------------------------------


def resealed(body: bytes) -> bytes:
    """Any bytes with a hash that fits them: what somebody could write who knows the format."""
    return body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


START = b'"prev":"' + b"0" * 64 + b'"'
FORGED = [
    b"",
    b"{",
    b"[",
    b"x",
    b"\xff",
    b'{"seq":1',
    b"{" + START,
    b'{"seq":"1",' + START,
    b'{"seq":null,' + START,
    b'{"seq":2,' + START,
    b'{"seq":0,' + START,
    b'{"seq":-1,' + START,
    b'{"seq":1.5,' + START,
    b'{"seq":1,"prev":null',
    b'{"seq":1,"prev":["' + b"0" * 64 + b'"]',
    b'{"seq":true,' + START,
    b'{"seq":1.0,' + START,
    b'{"seq":' + b"1" * 10_000 + b"," + START,
    b'{"seq":1,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"," + START,
    b'{"seq":1,"a":' + b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", FORGED, ids=range(len(FORGED)))
def test_a_forged_line_is_refused_as_a_wrong_journal(body: bytes) -> None:
    with pytest.raises(JournalError, match="entry 1 is wrong") as caught:
        audit.check([resealed(body)])
    assert str(caught.value).isprintable()
    with pytest.raises(JournalError):
        audit.standing(resealed(body))
        audit.check([resealed(body)])


@given(st.lists(st.binary(max_size=80) | st.binary(max_size=80).map(resealed) | st.sampled_from(LINES), max_size=4))
@law(500)
def test_no_bytes_make_the_check_raise_anything_but_a_journal_error(lines: list[bytes]) -> None:
    try:
        end = audit.check(lines)
    except JournalError as error:
        assert str(error).isprintable()
    else:
        assert end.seq == len(lines)


def test_the_kinds_of_the_contract_are_there() -> None:
    assert {"minted", "decided", "completed", "revoked", "expired", "login", "logout", "denied_unknown"} <= set(Kind)
