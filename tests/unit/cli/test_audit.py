"""`audit` as the daemon tells it, and `audit verify`, which believes nobody."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from outcome import HfProxy, done, failed
from scripted_daemon import ScriptedDaemon

from hfproxy.core.audit.chain import FIRST_PREV, ChainHead, mac_matches, key_id, append_link

ENTRIES = [
    {"seq": 1, "at": 1_790_000_000, "kind": "minted", "grant": "g1", "scopes": ["read"], "program": "sh"},
    {
        "seq": 2,
        "at": 1_790_000_001,
        "kind": "decided",
        "grant": "g1",
        "method": "GET",
        "target": "/a/b/resolve/main/x\x1b[31m",
        "decision": "deny",
        "refusal": "scope",
    },
]


def test_the_request_says_what_was_typed(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = [{}]
    assert done(hf_proxy("audit")) == ""
    words = ("--since", "2d", "--grant", "g1", "--repo", "models/a/b", "--denied", "--json")
    assert done(hf_proxy("audit", *words)) == ""
    assert daemon.requests == [
        {"do": "audit"},
        {"do": "audit", "since": "2d", "grant": "g1", "repo": "models/a/b", "denied": True},
    ]


def test_json_is_one_object_a_line(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = [*ENTRIES, {}]
    assert [json.loads(line) for line in done(hf_proxy("audit", "--json")).splitlines()] == ENTRIES


def test_lines_for_a_person_cannot_drive_the_terminal(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = [*ENTRIES, {}]
    assert done(hf_proxy("audit", extra={"TZ": "UTC"})) == (
        "2026-09-21T14:13:20+0000 minted g1 sh read\n"
        "2026-09-21T14:13:21+0000 decided g1 deny GET /a/b/resolve/main/x\\x1b[31m scope\n"
    )


def test_following_shows_each_entry_as_it_comes(environment: dict[str, str], daemon: ScriptedDaemon) -> None:
    daemon.answers["audit"] = lambda _request: json.dumps(ENTRIES[0]).encode() + b"\n"
    words = [sys.executable, "-m", "hfproxy", "audit", "-f", "--json"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert json.loads(program.stdout.readline()) == ENTRIES[0]
        assert program.wait(10) == 1
        assert program.stderr is not None
        assert b"hung up" in program.stderr.read()
    assert daemon.requests == [{"do": "audit", "follow": True}]


def test_the_anchor_is_the_hash_alone(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    daemon.answers["anchor"] = {"seq": 3, "hash": "ab" * 32}
    assert done(hf_proxy("audit", "anchor")) == "ab" * 32 + "\n"


@pytest.fixture
def journal(environment: dict[str, str]) -> list[Path]:
    """Seven entries in two files."""
    directory = Path(environment["HFPROXY_STATE_DIR"]) / "journal"
    directory.mkdir()
    files = [directory / "00000001.jsonl", directory / "00000002.jsonl"]
    head = ChainHead()
    for number in range(7):
        line, head = append_link({"at": number, "kind": "minted", "grant": f"g{number}"}, head)
        with files[number // 5].open("ab") as file:
            file.write(line)
    return files


def hashes(files: list[Path]) -> list[str]:
    return [json.loads(line)["hash"] for file in files for line in file.read_bytes().splitlines()]


def test_a_whole_journal_verifies_without_a_daemon(hf_proxy: HfProxy, journal: list[Path]) -> None:
    assert done(hf_proxy("audit", "verify")).splitlines() == [
        "entries: 7",
        f"head: {hashes(journal)[-1]}",
        "compared with the daemon: no",
        "authenticity: not checked",
    ]


def test_one_file_verifies_by_itself_if_it_is_the_first(hf_proxy: HfProxy, journal: list[Path]) -> None:
    assert "entries: 5" in done(hf_proxy("audit", "verify", str(journal[0])))
    assert "begins with entry 6" in failed(hf_proxy("audit", "verify", str(journal[1])), 1)


def test_every_entry_is_an_anchor_and_nothing_else(hf_proxy: HfProxy, journal: list[Path]) -> None:
    for anchor in (hashes(journal)[0], hashes(journal)[6].upper(), FIRST_PREV):
        done(hf_proxy("audit", "verify", "--anchor", anchor))
    assert "no entry has the hash" in failed(hf_proxy("audit", "verify", "--anchor", "ab" * 32), 1)
    anchored = hf_proxy("audit", "verify", str(journal[0]), "--anchor", hashes(journal)[6])
    assert "no entry has the hash" in failed(anchored, 1)


def test_the_daemons_head_finds_a_cut_off_tail(hf_proxy: HfProxy, journal: list[Path], daemon: ScriptedDaemon) -> None:
    daemon.answers["anchor"] = {"seq": 7, "hash": hashes(journal)[6]}
    assert "compared with the daemon: yes" in done(hf_proxy("audit", "verify"))
    whole = journal[1].read_bytes()
    journal[1].write_bytes(whole + b'{"seq":8,"at":')  # being written right now
    assert "entries: 7" in done(hf_proxy("audit", "verify"))
    journal[1].write_bytes(whole[: whole.index(b"\n") + 1])
    assert "its end was cut off" in failed(hf_proxy("audit", "verify"), 1)
    journal[1].unlink()
    assert "its end was cut off" in failed(hf_proxy("audit", "verify"), 1)


def test_a_torn_last_line_is_found(hf_proxy: HfProxy, journal: list[Path]) -> None:
    journal[1].write_bytes(journal[1].read_bytes()[:-1])
    assert "entry 7 is wrong: it has no end" in failed(hf_proxy("audit", "verify"), 1)


def test_a_fork_of_the_files_names_both(hf_proxy: HfProxy, journal: list[Path]) -> None:
    (journal[1].parent / "00000003.jsonl").write_bytes(journal[1].read_bytes())
    said = failed(hf_proxy("audit", "verify"), 1)
    assert f"00000003.jsonl: entry 8 is wrong: a fork: it and {journal[1]} both follow entry 5" in said


def test_an_older_file_with_a_torn_end_is_wrong_even_while_the_daemon_writes(
    hf_proxy: HfProxy, journal: list[Path], daemon: ScriptedDaemon
) -> None:
    daemon.answers["anchor"] = {"seq": 3, "hash": hashes(journal)[2]}
    journal[0].write_bytes(journal[0].read_bytes() + b'{"seq"')
    assert f"{journal[0]}: entry 6 is wrong: it has no end" in failed(hf_proxy("audit", "verify"), 1)


def test_a_missing_file_is_found(hf_proxy: HfProxy, journal: list[Path]) -> None:
    journal[0].unlink()
    assert "it begins with entry 6: the files before it are missing" in failed(hf_proxy("audit", "verify"), 1)


def test_a_clock_that_was_set_back_is_said_and_is_no_failure(hf_proxy: HfProxy, tmp_path: Path) -> None:
    """The order of entries is the chain's; `at` only says what the machine's clock said. A forger would take care of it."""
    head = ChainHead()
    with (tmp_path / "copy").open("wb") as file:
        for at in (1000, 1001, 900, 901):
            line, head = append_link({"at": at, "kind": "expired"}, head)
            file.write(line)
    assert "clock: went back at entry 3 by 101 seconds\n" in done(hf_proxy("audit", "verify", str(tmp_path / "copy")))


@pytest.mark.parametrize("change", ["edit", "drop", "swap", "blank", "repeat", "long", "first", "zeros"])
def test_a_change_is_named_with_its_file_and_entry(hf_proxy: HfProxy, journal: list[Path], change: str) -> None:
    first, second, third, fourth, fifth = journal[0].read_bytes().splitlines(keepends=True)
    lines, number = {
        "edit": ([first, second.replace(b"g1", b"g9"), third, fourth, fifth], 2),
        "drop": ([first, third, fourth, fifth], 2),
        "swap": ([first, third, second, fourth, fifth], 2),
        "blank": ([first, second, b"\n", third, fourth, fifth], 3),
        "repeat": ([first, second, second, third, fourth, fifth], 3),
        "long": ([first, second, b"x" * 3_000_000 + b"\n", third], 3),
        "first": ([second, third, fourth, fifth], None),
        "zeros": ([first, b"\0" * len(second) + b"\n", third, fourth, fifth], 2),
    }[change]
    journal[0].write_bytes(b"".join(lines))
    said = failed(hf_proxy("audit", "verify"), 1)
    assert str(journal[0]) in said
    assert (f"entry {number} is wrong" if number else "it begins with entry 2") in said


def test_no_journal_and_no_file_are_said(hf_proxy: HfProxy) -> None:
    assert "there is no journal in" in failed(hf_proxy("audit", "verify"), 1)
    assert "cannot be read" in failed(hf_proxy("audit", "verify", "/no/such/file"), 1)


def test_an_empty_journal_is_whole(hf_proxy: HfProxy, tmp_path: Path, daemon: ScriptedDaemon) -> None:
    (tmp_path / "state" / "journal").mkdir()
    (tmp_path / "state" / "journal" / "00000001.jsonl").touch()
    daemon.answers["anchor"] = {"seq": 0, "hash": FIRST_PREV}
    assert f"entries: 0\nhead: {FIRST_PREV}\n" in done(hf_proxy("audit", "verify"))


# --- who wrote it --------------------------------------------------------------------------------------------------

KEY = b"the journal's key"


def kinds(*said: str) -> list[tuple[str, bytes | None]]:
    """`minted` is an entry with a MAC, `minted?` one without, `minted!` one with that of another key."""
    keys = {"?": None, "!": b"another key"}
    return [(word.rstrip("?!"), keys.get(word[-1], KEY)) for word in said]


@pytest.fixture
def write(environment: dict[str, str]) -> Callable[..., list[bytes]]:
    def write(*said: str) -> list[bytes]:
        directory = Path(environment["HFPROXY_STATE_DIR"]) / "journal"
        directory.mkdir(exist_ok=True)
        head, lines = ChainHead(), []
        for number, (kind, key) in enumerate(kinds(*said)):
            line, head = append_link({"at": number, "kind": kind}, head, key)
            lines.append(line)
        (directory / "00000001.jsonl").write_bytes(b"".join(lines))
        return lines

    return write


@pytest.fixture
def vouching(daemon: ScriptedDaemon) -> ScriptedDaemon:
    """A daemon that has the key."""
    daemon.answers["vouch"] = lambda asked: {
        "key": key_id(KEY),
        "fit": [mac_matches(*pair, KEY) for pair in asked["macs"]],
    }
    return daemon


def told(output: str) -> list[str]:
    return output.splitlines()[3:]


def test_entries_are_vouched_for_by_the_daemon(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], vouching: ScriptedDaemon
) -> None:
    write("login?", "minted", "decided", "started?", "expired?", "minted", "minted!")
    assert told(done(hf_proxy("audit", "verify"))) == [
        "authenticity: 3 of 7 entries",
        "without a MAC: 3 (entries 1, 4-5)",
        "with the MAC of another key: 1 (entries 7)",
    ]


def test_without_the_key_it_is_said_that_authenticity_was_not_checked(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], daemon: ScriptedDaemon
) -> None:
    write("login?", "minted")
    daemon.answers["vouch"] = {"error": "the vault is not open", "code": 1}
    assert told(done(hf_proxy("audit", "verify"))) == ["authenticity: not checked", "without a MAC: 1 (entries 1)"]


def test_a_daemon_that_hangs_up_on_the_way_leaves_it_unchecked(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], vouching: ScriptedDaemon
) -> None:
    write("minted")
    vouching.answers["vouch"] = lambda asked: b"" if asked["macs"] else {"key": key_id(KEY), "fit": []}
    assert told(done(hf_proxy("audit", "verify"))) == ["authenticity: not checked"]


@pytest.mark.parametrize("count", [3, 1001, 2500])
def test_the_first_entry_whose_mac_does_not_fit_is_named(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], vouching: ScriptedDaemon, count: int
) -> None:
    """Somebody without the key changed an entry and made the chain anew from there, with the MACs that there were."""
    lines = write(*["minted"] * count)
    head, forged = ChainHead(), []
    for number, line in enumerate(lines, start=1):
        event = json.loads(line)
        mac, _, _ = (event.pop(name) for name in ("mac", "prev", "hash"))
        if number == count - 1:
            event["grant"] = "somebody else's"
        body = json.dumps({**event, "prev": head.hash, "mac": mac}, separators=(",", ":"))[:-1].encode()
        head = ChainHead(number, hashlib.sha256(body).hexdigest())
        forged.append(body + f',"hash":"{head.hash}"}}\n'.encode())
    assert forged[: count - 2] == lines[: count - 2]
    (vouching.directory.parent / "state/journal/00000001.jsonl").write_bytes(b"".join(forged))
    said = failed(hf_proxy("audit", "verify"), 1)
    assert f"entry {count - 1} is wrong: its MAC is false" in said


def test_a_wrong_mac_is_named_before_a_chain_that_breaks_later(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], vouching: ScriptedDaemon, tmp_path: Path
) -> None:
    first, second = write("minted", "minted")
    body = first.partition(b',"mac":')[0] + f',"mac":"{key_id(KEY)}:{"0" * 64}"'.encode()
    forged = body + f',"hash":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()
    (tmp_path / "copy").write_bytes(forged + second)
    assert "entry 1 is wrong: its MAC" in failed(hf_proxy("audit", "verify", str(tmp_path / "copy")), 1)


@pytest.mark.parametrize(
    "said",
    [
        "login? minted decided",
        "minted started? denied_unknown? minted",
        "minted started minted",
        "minted lock denied_unknown? expired? unlock minted",
        "minted lock completed completed decided? started?",  # what was under way when the lock came
        "minted lockdown revoked revoked? denied_unknown?",
        "minted lock unlock minted started? started? minted",
        "login? lock? login? minted",
        "minted! minted lock minted! started? minted!",  # another vault, and back
    ],
)
def test_a_mac_may_be_lacking_where_there_was_no_key(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], said: str
) -> None:
    write(*said.split())
    done(hf_proxy("audit", "verify"))


@pytest.mark.parametrize(
    ("said", "entry"),
    [
        ("login? minted decided?", 3),
        ("minted decided? minted", 2),
        ("minted lock?", 2),
        ("minted lockdown? revoked?", 2),
        ("minted unlock?", 2),
        ("minted started? expired? minted expired?", 5),
        ("minted lock expired? minted expired?", 5),
        ("minted lock unlock expired?", 4),
        ("minted! decided?", 2),
    ],
)
def test_a_mac_that_was_taken_off_is_found_without_the_key(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], said: str, entry: int
) -> None:
    write(*said.split())
    assert f"entry {entry} is wrong: its MAC is missing" in failed(hf_proxy("audit", "verify"), 1)


def test_many_gaps_are_shown_shortly(
    hf_proxy: HfProxy, write: Callable[..., list[bytes]], vouching: ScriptedDaemon
) -> None:
    write(*["started?", "minted"] * 7)
    assert told(done(hf_proxy("audit", "verify")))[1] == "without a MAC: 7 (entries 1, 3, 5, 7, 9, ...)"
