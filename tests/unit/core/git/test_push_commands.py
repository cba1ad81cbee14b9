"""The head of a push: its commands read as they come, what they need, and a no that git understands."""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import vectors
from hypothesis import given
from hypothesis import strategies as st
from strategies import law
from vectors import command_list, packet

from hfproxy.core.git import push_commands
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.access import RepoType, Target
from hfproxy.core.git.push_commands import MAX_LIST_BYTES, RefUpdate, RefUpdateReader, RefUpdates
from hfproxy.core.policy.scope import parse

A, B, NONE = "a" * 40, "b" * 40, "0" * 40
REPO = Target(RepoType.MODELS, "me", "a")
ROOT = Path(__file__).parents[4]
Git = Callable[..., bytes]


def read(body: bytes, *cuts: int) -> tuple[RefUpdates | Deny | None, bytes]:
    """What the body says, fed in pieces, and what is left of it for the pack."""
    reader = RefUpdateReader()
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(body)), len(body)]
    for start, end in pairwise(places):
        found = reader.feed(body[start:end])
        if found is not None:
            return found, reader.rest + body[end:]
    return None, b""


def commands(*lines: str) -> RefUpdates:
    found, _ = read(command_list(list(lines)))
    assert isinstance(found, RefUpdates)
    return found


def needs(found: RefUpdates, *proven: RefUpdate) -> list[str]:
    return [vectors.spell(need) for need in found.needs(REPO, frozenset(proven))]


# --- reading --------------------------------------------------------------------------------------------------------

lines = st.lists(
    st.builds(
        "{} {} refs/{}".format,
        st.sampled_from("0ab"),
        st.sampled_from("0ab"),
        st.sampled_from(["heads/main", "heads/x/y", "tags/v1", "pr/3", "heads/é", "notes/x"]),
    ),
    max_size=5,
)


@given(lines, st.binary(max_size=30), st.lists(st.integers(0, 400), max_size=6), st.integers(0, 2))
@law(300)
def test_the_commands_are_the_same_in_pieces_of_any_size(
    sent: list[str], pack: bytes, cuts: list[int], shallow: int
) -> None:
    body = packet(f"shallow {A}".encode()) * shallow + command_list(sent) + pack
    whole, rest = read(body)
    assert isinstance(whole, RefUpdates)
    assert rest == pack
    expected = [RefUpdate(old * 40, new * 40, ref) for old, new, ref in (line.split(" ", 2) for line in sent)]
    assert list(whole.all) == expected
    assert whole.capabilities == ({"report-status", "side-band-64k"} if sent else set())
    assert read(body, *cuts) == (whole, pack)
    assert read(body, *range(len(body))) == (whole, pack)


def test_a_list_that_has_not_ended_says_nothing_yet() -> None:
    body = command_list(["a b refs/heads/main", "0 b refs/heads/x"])
    for end in range(len(body)):
        assert read(body[:end]) == (None, b"")


def test_no_commands_are_a_probe() -> None:
    assert commands() == RefUpdates((), frozenset())
    assert needs(commands()) == ["lfs models/me/a"]


def test_a_line_feed_at_the_end_of_a_line_is_no_part_of_it() -> None:
    body = packet(f"{A} {B} refs/heads/main\n".encode()) + packet(f"{NONE} {B} refs/heads/x\n".encode()) + b"0000"
    found, _ = read(body)
    assert isinstance(found, RefUpdates)
    assert [command.ref for command in found.all] == ["refs/heads/main", "refs/heads/x"]


@pytest.mark.parametrize(
    "body",
    [
        b"0001",
        b"0002",
        b"0003",
        b"0004",
        b"000g",
        b"-001",
        b" 0a0",
        b"0x10",
        b"+010",
        b"1_00",
        b"PACK",
        b"\x00\x00\x00\x00",
        packet(b"x") + b"0000",
        packet(b"\0report-status") + b"0000",
        packet(f"{A} {B} ".encode()) + b"0000",
        packet(f"{A} {B}".encode()) + b"0000",
        packet(f"{A} {B} refs/heads/a b".encode()) + b"0000",
        packet(f"{A}  {B} refs/heads/a".encode()) + b"0000",
        packet(f" {A} {B} refs/heads/a".encode()) + b"0000",
        packet(f"{A.upper()} {B} refs/heads/a".encode()) + b"0000",
        packet(f"{A[:39]} {B} refs/heads/a".encode()) + b"0000",
        packet(f"{'a' * 64} {'b' * 64} refs/heads/a".encode()) + b"0000",
        packet(f"{A} {B} refs/heads/a\n\n".encode()) + b"0000",
        packet(f"{A} {B} refs/heads/a\x7f".encode()) + b"0000",
        packet(f"{A} {B} refs/heads/a\r".encode()) + b"0000",
        packet(b"push-cert\0report-status") + packet(b"certificate version 0.1\n") + b"0000",
        packet(f"{A} {B} refs/heads/a\0x".encode()) + packet(f"{A} {B} refs/heads/b\0y".encode()) + b"0000",
        packet(f"{A} {B} refs/heads/a\0x".encode()) + packet(f"shallow {A}".encode()) + b"0000",
        packet(b"shallow x") + packet(f"{A} {B} refs/heads/a\0x".encode()) + b"0000",
        packet(f"shallow {A}\0x".encode()) + packet(f"{A} {B} refs/heads/a".encode()) + b"0000",
    ],
)
def test_what_is_no_list_of_plain_commands_is_refused(body: bytes) -> None:
    for found, _ in (read(body), read(body, *range(len(body)))):
        assert isinstance(found, Deny)
        assert found.refusal is Refusal.BAD_BODY
        assert found.why.startswith("this push is refused: ")


def test_a_list_may_be_a_mebibyte_long_and_no_longer() -> None:
    line = packet(f"{NONE} {B} refs/heads/{'x' * 900}".encode())
    fitting = MAX_LIST_BYTES // len(line)
    found, rest = read(line * fitting + b"0000PACK")
    assert isinstance(found, RefUpdates)
    assert len(found.all) == fitting
    assert rest == b"PACK"
    # Refused as soon as it is known, not when its end comes.
    refused, _ = read(line * (fitting + 1))
    assert isinstance(refused, Deny)
    assert "push fewer at a time" in refused.why


@given(st.binary(max_size=80), st.lists(st.integers(0, 80), max_size=3))
@law(400)
def test_no_bytes_make_the_reader_raise(body: bytes, cuts: list[int]) -> None:
    for raw in (body, packet(body) + b"0000", packet(f"{A} {B} refs/".encode() + body) + b"0000"):
        found, _ = read(raw, *cuts)
        if isinstance(found, RefUpdates):
            assert found.deny is None or found.deny.refusal is Refusal.BAD_BODY


# --- what no scope allows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ref",
    [
        "HEAD",
        "main",
        "refs/heads",
        "refs/notes/commits",
        "refs/remotes/origin/main",
        "refs/convert/parquet",
        "refs/stash",
        "refs/pr/new",
        "refs/Heads/main",
        "refs//heads/main",
        "/refs/heads/main",
        "refs/heads/../tags/v1",
        "refs/heads/a..b",
        "refs/heads/a~1",
        "refs/heads/a^",
        "refs/heads/a:b",
        "refs/heads/a?",
        "refs/heads/a*",
        "refs/heads/a[b",
        "refs/heads/a\\b",
        "refs/heads/a@{1}",
        "refs/heads/a\u00a0b",
        "refs/heads/a\u2028b",
    ],
)
def test_only_branches_tags_and_pull_requests_are_pushed(ref: str) -> None:
    found = commands(f"0 b {ref}")
    assert found.deny is not None
    assert found.deny.refusal is Refusal.BAD_BODY
    assert commands("0 b refs/heads/fine").deny is None


def test_a_ref_is_pushed_once() -> None:
    assert commands("0 a refs/heads/x", "a b refs/heads/x").deny is not None
    assert commands("0 a refs/heads/x", "0 a refs/heads/X").deny is None


@pytest.mark.parametrize(("said", "fine"), [("sha1", True), ("sha256", False), ("", False), ("SHA1", False)])
def test_only_repositories_of_sha_1_are_understood(said: str, fine: bool) -> None:
    body = packet(f"{A} {B} refs/heads/x\0 report-status object-format={said} agent=git/2".encode()) + b"0000"
    found, _ = read(body)
    assert isinstance(found, RefUpdates)
    assert (found.deny is None) is fine


# --- what it needs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "unproven", "proven"),
    [
        ("0 b refs/heads/x", ["write"], ["write"]),
        ("a b refs/heads/x", ["write", "delete"], ["write"]),
        ("a 0 refs/heads/x", ["delete"], ["delete"]),
        ("0 0 refs/heads/x", ["delete"], ["delete"]),
        ("a a refs/heads/x", ["write", "delete"], ["write"]),
        ("0 b refs/tags/x", ["write"], ["write"]),
        ("a b refs/tags/x", ["write", "delete"], ["write", "delete"]),
        ("a 0 refs/tags/x", ["delete"], ["delete"]),
        ("0 b refs/pr/1", ["write"], ["write"]),
        ("a b refs/pr/1", ["write", "delete"], ["write"]),
        ("a 0 refs/pr/1", ["delete"], ["delete"]),
    ],
)
def test_each_command_needs_what_it_may_lose(line: str, unproven: list[str], proven: list[str]) -> None:
    found, ref = commands(line), line.split(" ")[2]
    assert needs(found) == [f"{action} models/me/a@{ref}" for action in unproven]
    assert needs(found, *found.all) == [f"{action} models/me/a@{ref}" for action in proven]
    assert bool(found.unproven) == (unproven != proven)


def test_only_what_was_proven_is_taken_for_harmless() -> None:
    found = commands("a b refs/heads/x", "a b refs/heads/y", "b 0 refs/heads/z")
    assert found.unproven == frozenset(found.all[:2])
    assert needs(found, found.all[0]) == [
        "write models/me/a@refs/heads/x",
        "write models/me/a@refs/heads/y",
        "delete models/me/a@refs/heads/y",
        "delete models/me/a@refs/heads/z",
    ]


@given(lines, st.sampled_from(["write:me/a", "write:me/a@main", "delete:me/a", "write:me/a@refs/tags/*"]))
@law(200)
def test_a_scope_never_allows_what_one_of_the_commands_alone_would_need(sent: list[str], scope: str) -> None:
    held, found = parse(scope), commands(*sent)
    allowed = all(held.admits(need) for need in found.needs(REPO))
    for command in found.all:
        if command.new == NONE or (command.old != NONE and command.ref.startswith("refs/tags/")):
            assert not allowed or scope.startswith("delete")
        if scope == "write:me/a@main" and command.ref != "refs/heads/main":
            assert not allowed


# --- saying no --------------------------------------------------------------------------------------------------------


def test_a_refusal_is_a_report_git_understands_to_the_byte() -> None:
    found = commands("0 b refs/heads/x", "a b refs/tags/y")
    report = b"000eunpack ok\n0028ng refs/heads/x refused by hf-proxy\n0027ng refs/tags/y refused by hf-proxy\n0000"
    assert found.refusal("no: why") == packet(b"\x02no: why\n") + packet(b"\x01" + report) + b"0000"
    plain = RefUpdates(found.all, frozenset({"report-status-v2"}))
    assert plain.refusal("no: why") == report


def test_a_client_that_takes_no_report_gets_none() -> None:
    assert commands().refusal("why") is None
    assert RefUpdates(commands("0 b refs/heads/x").all, frozenset({"side-band-64k"})).refusal("why") is None


def test_a_report_of_any_length_is_cut_into_packets_and_its_words_are_bounded() -> None:
    found = commands(*(f"0 b refs/heads/{number:05}{'é' * 30}" for number in range(3000)))
    said = found.refusal("é" * 5000)
    assert said is not None
    packets, at = [], 0
    while (length := int(said[at : at + 4], 16)) > 0:
        assert length <= 65_520
        packets.append(said[at + 4 : at + length])
        at += length
    assert said[at:] == b"0000"
    assert len(packets[0]) == 1 + push_commands.MAX_MESSAGE_BYTES + 1
    assert {part[:1] for part in packets[1:]} == {b"\x01"}
    report = b"".join(part[1:] for part in packets[1:])
    assert report.count(b"refused by hf-proxy\n") == 3000
    assert report.endswith(b"0000")


# --- the real client --------------------------------------------------------------------------------------------------

# In git's place on the other side: tells the refs, reads the commands, says no.
REFUSES = f"""#!{sys.executable} -I
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from hfproxy.core.git.push_commands import RefUpdateReader
refs = subprocess.run(["git", "receive-pack", "--advertise-refs", sys.argv[-1]], stdout=subprocess.PIPE, check=True)
sys.stdout.buffer.write(refs.stdout)
sys.stdout.buffer.flush()
reader = RefUpdateReader()
while (found := reader.feed(sys.stdin.buffer.read1())) is None:
    pass
sys.stdout.buffer.write(found.refusal("hf-proxy: 'delete:me/a' is not in the credential's scope"))
sys.stdout.buffer.flush()
while sys.stdin.buffer.read1():
    pass
"""


@pytest.fixture
def history(git: Git, tmp_path: Path) -> list[str]:
    """Three commits of `work`, one behind the other, the first of them on the branch `main` of `hub`."""
    for number in range(3):
        git("commit", "--quiet", "--allow-empty", "--message", f"{number}", at="work")
    found = git("rev-list", "--reverse", "main", at="work").decode().split()
    git("push", "--quiet", tmp_path / "hub", f"{found[0]}:refs/heads/main", at="work")
    return found


def script(place: Path, text: str) -> Path:
    place.write_text(text)
    place.chmod(0o755)
    return place


@pytest.mark.parametrize("many", [1, 1500])
def test_git_prints_why_a_push_was_refused_and_of_each_ref_that_it_was(
    git: Git, history: list[str], tmp_path: Path, many: int
) -> None:
    refusing = script(tmp_path / "refuses", REFUSES)
    refs = [f"{history[2]}:refs/heads/{'x' * 40}{number}" for number in range(many - 1)]
    said = git("push", f"--receive-pack={refusing}", tmp_path / "hub", "main", *refs, at="work", rc=1).decode()
    assert "remote: hf-proxy: 'delete:me/a' is not in the credential's scope" in said
    assert said.count("[remote rejected]") == said.count("(refused by hf-proxy)") == many
    assert git("rev-parse", "main", at="hub").decode().strip() == history[0]


def sent(git: Git, tmp_path: Path, *arguments: str, at: str = "work") -> tuple[RefUpdates, bytes]:
    """What the real client sends for a push, which the real other side then gets."""
    captured = tmp_path / "captured"
    tap = script(tmp_path / "tap", f'#!/bin/sh\ntee "{captured}" | git receive-pack "$@"\n')
    git("push", f"--receive-pack={tap}", tmp_path / "hub", *arguments, at=at)
    found, rest = read(captured.read_bytes(), *range(0, captured.stat().st_size, 100))
    assert isinstance(found, RefUpdates)
    assert found.deny is None
    return found, rest


def test_what_the_real_client_sends_is_understood(git: Git, history: list[str], tmp_path: Path) -> None:
    first, second, third = history
    found, rest = sent(git, tmp_path, f"{second}:refs/heads/main", f"{third}:refs/heads/dev")
    assert set(found.all) == {
        RefUpdate(first, second, "refs/heads/main"),
        RefUpdate(NONE, third, "refs/heads/dev"),
    }
    assert found.capabilities >= {"report-status-v2", "side-band-64k", "object-format=sha1"}
    assert rest.startswith(b"PACK")
    found, _ = sent(git, tmp_path, "--force", f"{first}:refs/heads/main", f"{third}:refs/tags/v1")
    assert set(found.all) == {RefUpdate(second, first, "refs/heads/main"), RefUpdate(NONE, third, "refs/tags/v1")}
    found, rest = sent(git, tmp_path, "--delete", "dev")
    assert found.all == (RefUpdate(third, NONE, "refs/heads/dev"),)
    assert rest == b""
    found, _ = sent(git, tmp_path, "--atomic", f"{third}:refs/heads/main", f"{third}:refs/pr/1")
    assert {command.ref for command in found.all} == {"refs/heads/main", "refs/pr/1"}


def test_a_push_from_a_shallow_clone_is_understood(git: Git, history: list[str], tmp_path: Path) -> None:
    git("push", "--quiet", tmp_path / "hub", "main", at="work")
    git("clone", "--quiet", "--depth=1", "--branch=main", f"file://{tmp_path}/hub", "shallow")
    git("commit", "--quiet", "--allow-empty", "--message", "more", at="shallow")
    new = git("rev-parse", "HEAD", at="shallow").decode().strip()
    found, rest = sent(git, tmp_path, "HEAD:refs/heads/main", at="shallow")
    assert found.all == (RefUpdate(history[2], new, "refs/heads/main"),)
    assert "side-band-64k" in found.capabilities
    assert rest.startswith(b"PACK")
