"""How a journal line is sealed: to the byte, so that anyone can check it. What checks it is `unit/cli/test_chain.py`'s."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.audit import chain
from hfproxy.core.audit.chain import ChainHead, EventKind
from hfproxy.errors import JournalError

EVENTS: list[dict[str, object]] = [
    {"at": 1, "kind": EventKind.LOGIN, "account": "default"},
    {"at": 2, "kind": EventKind.MINTED, "grant": "a", "scopes": ["read"], "program": "pythön"},
    {"at": 3, "kind": EventKind.DECIDED, "grant": "a", "target": "/x", "decision": "allow", "status": None},
]


def written(events: list[dict[str, object]]) -> tuple[list[bytes], ChainHead]:
    head, lines = ChainHead(), []
    for event in events:
        line, head = chain.append_link(event, head)
        assert line.endswith(b"\n")
        lines.append(line[:-1])
    return lines, head


LINES, END = written(EVENTS)


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
    assert ChainHead(3, previous) == END


members = st.dictionaries(
    st.sampled_from(["at", "kind", "grant", "why", "é"]),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=2),
)


@given(st.lists(members, max_size=4))
@law(300)
def test_what_is_sealed_is_one_ascii_line_and_reads_back(events: list[dict[str, object]]) -> None:
    lines, end = written(events)
    for line, event in zip(lines, events, strict=True):
        assert b"\n" not in line
        assert line.isascii()
        read = chain.verify_link(line)
        present = {key: value for key, value in event.items() if value is not None}
        assert {key: read[key] for key in read if key not in {"seq", "prev", "hash"}} == present
        assert chain.head_after(line) == ChainHead(read["seq"], read["hash"])  # type: ignore[arg-type]
    assert not events or chain.head_after(lines[-1]) == end


KEY = b"a key"


def test_a_line_with_a_mac_is_known_to_the_byte() -> None:
    sealed, _ = chain.append_link(EVENTS[0], ChainHead(), KEY)
    says = b'{"seq":1,"at":1,"kind":"login","account":"default","prev":"' + b"0" * 64 + b'"'
    name = hmac.new(KEY, b"the key of a journal", "sha256").hexdigest()[:16]
    made = hmac.new(KEY, hashlib.sha256(says).digest(), "sha256").hexdigest()
    body = says + f',"mac":"{name}:{made}"'.encode()
    assert sealed == body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def test_a_mac_fits_one_line_and_one_key() -> None:
    digests = [hashlib.sha256(line).digest() for line in (b"one", b"another")]
    made = chain.mac(digests[0], KEY)
    assert chain.mac_matches(digests[0].hex(), made, KEY)
    assert not chain.mac_matches(digests[1].hex(), made, KEY)
    assert not chain.mac_matches(digests[0].hex(), made, b"another key")
    for place in range(len(made)):
        assert not chain.mac_matches(digests[0].hex(), made[:place] + "g" + made[place + 1 :], KEY)


def test_the_chain_goes_on_between_lines_with_a_mac_and_lines_without() -> None:
    first, head = chain.append_link(EVENTS[0], ChainHead(), KEY)
    second, head = chain.append_link(EVENTS[1], head)
    assert json.loads(second)["prev"] == json.loads(first)["hash"] == chain.head_after(first[:-1]).hash
    assert chain.head_after(second[:-1]) == head


def resealed(body: bytes) -> bytes:
    """Any bytes with a hash that fits them: what somebody could write who knows the format."""
    return body + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


NO_NUMBER = [
    b"",
    b"{",
    b"[",
    b"x",
    b"\xff",
    b'{"seq":"1"',
    b'{"seq":null',
    b'{"seq":1.5',
    b'{"seq":true',
    b'{"a":' * 100_000,
]


@pytest.mark.parametrize("body", NO_NUMBER, ids=range(len(NO_NUMBER)))
def test_nothing_follows_a_line_without_a_number(body: bytes) -> None:
    with pytest.raises(JournalError) as caught:
        chain.head_after(resealed(body))
    assert str(caught.value).isprintable()


@given(st.binary(max_size=80) | st.binary(max_size=80).map(resealed) | st.sampled_from(LINES))
@law(500)
def test_no_bytes_make_it_raise_anything_but_a_journal_error(line: bytes) -> None:
    try:
        head = chain.head_after(line)
    except JournalError as error:
        assert str(error).isprintable()
    else:
        assert line.endswith(head.hash.encode() + b'"}')


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_was_changed_or_cut_is_not_followed(line: bytes) -> None:
    for place in range(len(line)):
        for changed in (line[:place], line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]):
            with pytest.raises(JournalError):
                chain.head_after(changed)


def test_the_kinds_of_the_contract_are_there() -> None:
    assert {"minted", "decided", "completed", "revoked", "expired", "login", "logout", "denied_unknown"} <= set(
        EventKind
    )


def test_the_kinds_are_a_closed_list() -> None:
    """Lines of every version are read by every later one."""
    assert [str(kind) for kind in EventKind] == (
        "minted decided completed revoked expired renewed login logout denied_unknown lockdown rotated"
        " revoked_upstream started lock unlock allowed"
    ).split()
