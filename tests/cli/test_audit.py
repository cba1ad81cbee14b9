"""`audit` as the daemon tells it, and `audit verify`, which believes nobody."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from outcome import HfProxy, done, failed
from scripted_daemon import ScriptedDaemon

from hfproxy.core.audit import START, Head, seal

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
    head = Head()
    for number in range(7):
        line, head = seal({"at": number, "kind": "minted", "grant": f"g{number}"}, head)
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
    for anchor in (hashes(journal)[0], hashes(journal)[6].upper(), START):
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
    daemon.answers["anchor"] = {"seq": 0, "hash": START}
    assert f"entries: 0\nhead: {START}\n" in done(hf_proxy("audit", "verify"))
