"""Commits read out of packs that the real git made, and out of packs that no git would make."""

import hashlib
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.git import packfile
from hfproxy.core.git.packfile import PackReader, is_ancestor

Git = Callable[..., bytes]
Parents = dict[str, tuple[str, ...]]
COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
names = count()
TREE_ID = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # of nothing


def found(body: bytes, *cuts: int) -> Parents:
    """The commits of a pack, fed in pieces."""
    reader = PackReader()
    for start, end in pairwise([0, *sorted(cut for cut in cuts if 0 < cut < len(body)), len(body)]):
        reader.feed(body[start:end])
    return reader.parents


def in_pieces(body: bytes, size: int) -> Parents:
    return found(body, *range(0, len(body), size))


# --- packs of the real git ----------------------------------------------------------------------------------------------


def history(git: Git, place: Path, shape: Iterable[tuple[int, ...]], *, words: int = 1) -> list[str]:
    """Commits in `hub`, each with the parents that its shape names by number. Long messages make git store them as deltas."""
    stream, branch = b"", f"refs/x/{next(names)}"
    for number, parents in enumerate(shape):
        message = f"{number} " + " ".join(hashlib.sha256(b"%d" % word).hexdigest() for word in range(words))
        stream += (
            f"commit {branch}/{number}\nmark :{number + 1}\ncommitter me <me@x.org> {1700000000 + number} +0000\n"
            f"data {len(message)}\n{message}\n"
        ).encode()
        for way, parent in zip(("from", *["merge"] * len(parents)), parents, strict=False):
            stream += f"{way} :{parent + 1}\n".encode()
        stream += f"M 100644 inline file\ndata {len(message)}\n{message}\n".encode()
    marks = place / "marks"
    git("fast-import", "--quiet", f"--export-marks={marks}", at="hub", given=stream)
    made = dict(line.split() for line in marks.read_text().splitlines())
    return [made[f":{number + 1}"] for number in range(len(made))]


def packed(git: Git, *revisions: str, options: tuple[str, ...] = (), at: str = "hub") -> bytes:
    """The pack that git would push for these revisions."""
    wanted = "".join(f"{revision}\n" for revision in revisions).encode()
    return git("pack-objects", "--revs", "--stdout", "--quiet", "--no-reuse-delta", *options, at=at, given=wanted)


def parents_of(git: Git, *revisions: str, at: str = "hub") -> Parents:
    """The same commits, as git itself lists them."""
    lines = git("rev-list", "--parents", *revisions, at=at).decode().splitlines()
    return {commit: tuple(parents) for commit, *parents in map(str.split, lines)}


LINE = [(), *[(number,) for number in range(60)]]
KINDS = {
    "offset deltas": ("--delta-base-offset",),
    "deltas by name": (),
    "thin": ("--thin", "--delta-base-offset"),
    "whole": ("--window=0",),
    "as git pushes": ("--thin", "--delta-base-offset", "--all-progress-implied"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 13, 4096, 1 << 20])
def test_every_commit_is_found_however_git_stored_it(git: Git, tmp_path: Path, kind: str, size: int) -> None:
    made = history(git, tmp_path, LINE, words=30)
    body = packed(git, made[-1], f"^{made[5]}", options=KINDS[kind])
    commits = in_pieces(body, size)
    assert commits == parents_of(git, made[-1], f"^{made[5]}")
    assert is_ancestor(commits, made[-1], made[5])
    assert not is_ancestor(commits, made[-1], made[4])


def test_git_did_store_commits_as_deltas_of_both_kinds(git: Git, tmp_path: Path) -> None:
    made = history(git, tmp_path, LINE, words=30)
    for options, kind in ((("--delta-base-offset",), OFS_DELTA), ((), REF_DELTA)):
        body = packed(git, made[-1], options=options)
        index = tmp_path / "one.pack"
        index.write_bytes(body)
        git("index-pack", index)
        listed = [line.split() for line in git("verify-pack", "--verbose", index).decode().splitlines()]
        deltas = [line for line in listed if line[1:2] == ["commit"] and len(line) == 7]
        assert len(deltas) > 30
        assert all(body[int(line[4])] >> 4 & 7 == kind for line in deltas)


def test_merges_of_any_number_of_parents_are_found_with_all_of_them(git: Git, tmp_path: Path) -> None:
    made = history(git, tmp_path, [(), (0,), (0,), (), (1, 2), (4, 3, 2, 1, 0), ()])
    commits = found(packed(git, made[5], made[6]))
    assert commits == parents_of(git, made[5], made[6])
    assert commits[made[5]] == tuple(made[at] for at in (4, 3, 2, 1, 0))
    assert all(is_ancestor(commits, made[5], made[at]) for at in range(5))
    assert not is_ancestor(commits, made[6], made[0])


def test_what_was_signed_or_has_other_lines_in_its_head_is_found(git: Git, tmp_path: Path) -> None:
    old = history(git, tmp_path, [()])[0]
    tree = git("rev-parse", f"{old}^{{tree}}", at="hub").decode().strip()
    commit = (
        f"tree {tree}\nparent {old}\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\nencoding latin-1\n"
        f"gpgsig -----BEGIN-----\n \n parent {'c' * 40}\n -----END-----\n\nparent {'d' * 40}\n"
    ).encode()
    new = git("hash-object", "-t", "commit", "-w", "--stdin", at="hub", given=commit).decode().strip()
    commits = found(packed(git, new, f"^{old}"))
    assert commits == parents_of(git, new, f"^{old}") == {new: (old,)}


@pytest.mark.parametrize("late", ["parent {}\n", "x y\nparent {}\n", "parent {} \n", "parent\t{}\n", "Parent {}\n"])
def test_a_parent_that_git_does_not_see_is_none(git: Git, tmp_path: Path, late: str) -> None:
    old = history(git, tmp_path, [()])[0]
    body = f"tree {TREE_ID}\nauthor a <b> 1 +0000\ncommitter a <b> 1 +0000\n{late.format(old)}\nsaid\n".encode()
    git("hash-object", "-t", "tree", "-w", "--stdin", at="hub")
    new = git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", at="hub", given=body).decode().strip()
    assert found(packed(git, new)) == parents_of(git, new) == {new: ()}


def test_an_empty_pack_proves_nothing(git: Git) -> None:
    body = packed(git)
    assert body[8:12] == bytes(4)
    assert found(body) == {}


def test_a_pack_of_a_shallow_clone_is_read_as_far_as_it_goes(git: Git, tmp_path: Path) -> None:
    made = history(git, tmp_path, LINE[:10])
    git("update-ref", "refs/heads/main", made[-1], at="hub")
    git("clone", "--quiet", "--depth=2", "--branch=main", f"file://{tmp_path}/hub", "shallow")
    git("commit", "--quiet", "--allow-empty", "--message", "more", at="shallow")
    new = git("rev-parse", "HEAD", at="shallow").decode().strip()
    commits = found(packed(git, new, f"^{made[-1]}", at="shallow"))
    assert commits == {new: (made[-1],)}
    assert is_ancestor(commits, new, made[-1])


def test_many_commits_and_tags_are_found(git: Git, tmp_path: Path) -> None:
    made = history(git, tmp_path, [(), *[(number,) for number in range(4000)]])
    git("tag", "--annotate", "--message", "x", "v1", made[-1], at="hub")
    commits = in_pieces(packed(git, "v1", options=("--delta-base-offset",)), 10_000)
    assert len(commits) == 4001
    assert is_ancestor(commits, made[-1], made[0])
    tag = git("rev-parse", "v1", at="hub").decode().strip()
    assert not is_ancestor(commits, tag, made[0])


def test_a_large_file_between_commits_takes_no_memory(git: Git, tmp_path: Path) -> None:
    (tmp_path / "work/zeros").write_bytes(bytes(48 << 20))
    (tmp_path / "work/noise").write_bytes(b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(80_000)))
    git("add", ".", at="work")
    git("commit", "--quiet", "--message", "big", at="work")
    git("commit", "--quiet", "--message", "next", "--allow-empty", at="work")
    body = packed(git, "main", at="work")
    assert len(body) > 5_000_000
    reader = PackReader()
    tracemalloc.start()
    try:
        for start in range(0, len(body), 1 << 16):
            reader.feed(body[start : start + (1 << 16)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.parents == parents_of(git, "main", at="work")
    assert peak < 4 << 20


def test_what_is_proven_is_what_git_calls_an_ancestor(git: Git, tmp_path: Path) -> None:
    shapes = st.lists(st.lists(st.integers(0, 9), max_size=3, unique=True), min_size=2, max_size=10).map(
        lambda all_of: [tuple(at for at in some if at < number) for number, some in enumerate(all_of)]
    )

    @given(shapes, st.data(), st.booleans())
    @law(60)
    def holds(shape: list[tuple[int, ...]], data: st.DataObject, long: bool) -> None:
        made = history(git, tmp_path, shape, words=20 if long else 1)
        old, new = data.draw(st.lists(st.sampled_from(made), min_size=2, max_size=2, unique=True))
        expected = git("merge-base", old, new, at="hub", rc=None).decode().split()[:1] == [old]
        body = packed(git, new, f"^{old}", options=data.draw(st.sampled_from(sorted(KINDS.values()))))
        commits = found(body, *data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
        assert commits == parents_of(git, new, f"^{old}")
        assert is_ancestor(commits, new, old) is expected
        # Where the pack lacks what the other side has, less is proven, and never too much.
        other = data.draw(st.sampled_from(made))
        fewer = found(packed(git, new, f"^{old}", f"^{other}"))
        assert fewer.items() <= commits.items()
        assert expected or not is_ancestor(fewer, new, old)

    holds()


# --- walking ------------------------------------------------------------------------------------------------------------

graphs = st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefg"), max_size=3).map(tuple))


@given(graphs, st.sampled_from("abcdefg"), st.sampled_from("abcdefg"))
@law(400)
def test_walking_ends_and_finds_what_can_be_reached(graph: Parents, new: str, old: str) -> None:
    reached: set[str] = set()
    for _ in range(8):
        reached |= {parent for one in reached | {new} for parent in graph.get(one, ())}
    assert is_ancestor(graph, new, old) is (old in reached)


def test_a_ladder_of_merges_is_walked_once() -> None:
    # Two ways at every step: a walk that went all of them would not end.
    ladder = {f"{at}": (f"{at - 1}", f"{at - 1}") for at in range(1, 5000)}
    assert is_ancestor(ladder, "4999", "0")
    assert not is_ancestor(ladder, "4999", "elsewhere")


# --- packs that no git would make ---------------------------------------------------------------------------------------


def commit(*parents: str, said: bytes = b"") -> bytes:
    head = "".join(f"parent {parent}\n" for parent in parents)
    return f"tree {TREE_ID}\n{head}author a <b> 1 +0000\ncommitter a <b> 1 +0000\n\n".encode() + said


def name(content: bytes) -> str:
    return hashlib.sha1(b"commit %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def head(kind: int, size: int) -> bytes:
    """An object's header: its type and size, in seven bits at a time after the first four."""
    made, byte, size = bytearray(), kind << 4 | size & 15, size >> 4
    while size:
        made.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    made.append(byte)
    return bytes(made)


def entry(kind: int, content: bytes, *, size: int | None = None, base: bytes = b"") -> bytes:
    return head(kind, len(content) if size is None else size) + base + zlib.compress(content)


def made(*entries: bytes, objects: int | None = None, version: int = 2) -> bytes:
    number = len(entries) if objects is None else objects
    body = b"PACK" + version.to_bytes(4) + number.to_bytes(4) + b"".join(entries)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low]) if number < 0x80 else bytes([low | 0x80]) + varint(number >> 7)


def back(far: int) -> bytes:
    """How far before a change its base begins: seven bits at a time, and one less each time but the last."""
    made = bytes([far & 0x7F])
    while far := far >> 7:
        far -= 1
        made = bytes([far & 0x7F | 0x80]) + made
    return made


def delta(base: bytes, result: bytes, *instructions: bytes) -> bytes:
    return varint(len(base)) + varint(len(result)) + b"".join(instructions)


def copy(offset: int, size: int) -> bytes:
    number, flags, given = size << 32 | offset, 0, b""
    for bit in range(7):
        if byte := number >> 8 * bit & 0xFF:
            flags, given = flags | 1 << bit, given + bytes([byte])
    return bytes([0x80 | flags]) + given


def insert(data: bytes) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in (data[at : at + 127] for at in range(0, len(data), 127)))


ROOT_COMMIT = commit(said=b"root")
OLD = name(ROOT_COMMIT)
CHILD = commit(OLD, said=b"child " * 50)
NEW = name(CHILD)
BOTH = {OLD: (), NEW: (OLD,)}


def test_the_pack_made_here_is_one_that_git_takes(git: Git, tmp_path: Path) -> None:
    tree = head(TREE, 0) + zlib.compress(b"")
    change = delta(ROOT_COMMIT, CHILD, copy(0, 20), insert(CHILD[20:]))
    for kind, base in ((REF_DELTA, bytes.fromhex(OLD)), (OFS_DELTA, back(len(entry(COMMIT, ROOT_COMMIT))))):
        body = made(tree, entry(COMMIT, ROOT_COMMIT), entry(kind, change, base=base))
        (tmp_path / "pack").write_bytes(body)
        git("index-pack", "--stdin", at="hub", given=body)
        assert in_pieces(body, 1) == parents_of(git, NEW) == BOTH


def test_a_pack_of_version_three_is_read_and_another_is_not() -> None:
    body = [entry(COMMIT, ROOT_COMMIT), entry(COMMIT, CHILD)]
    assert found(made(*body, version=3)) == found(made(*body)) == BOTH
    assert found(made(*body, version=4)) == found(b"pack" + made(*body)[4:]) == found(b"\0" + made(*body)) == {}


def test_a_pack_cut_short_still_proves_what_it_holds() -> None:
    body = made(entry(BLOB, b"x" * 300), entry(COMMIT, ROOT_COMMIT), entry(COMMIT, CHILD))
    sizes = [len(found(body[:end])) for end in range(len(body) + 1)]
    assert sizes == sorted(sizes)
    assert set(sizes) == {0, 1, 2}


def test_no_flipped_bit_makes_a_commit_have_other_parents() -> None:
    change = delta(ROOT_COMMIT, CHILD, copy(0, 20), insert(CHILD[20:]))
    body = made(
        entry(COMMIT, ROOT_COMMIT), entry(REF_DELTA, change, base=bytes.fromhex(OLD)), entry(COMMIT, commit(NEW))
    )
    top = name(commit(NEW))
    lost = 0
    for at in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[at // 8] ^= 1 << at % 8
        commits = found(bytes(flipped))
        assert all(commits.get(one, parents) == parents for one, parents in {**BOTH, top: (NEW,)}.items())
        lost += len(commits) < 3
    assert lost > len(body)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
@law(400)
def test_no_bytes_make_the_reader_raise(body: bytes, cuts: list[int]) -> None:
    for raw in (body, b"PACK\0\0\0\2\0\0\0\3" + body, made(entry(COMMIT, ROOT_COMMIT), body)):
        found(raw, *cuts)
    change = zlib.compress(body)
    for base in (bytes.fromhex(OLD), bytes(20)):
        found(made(entry(COMMIT, ROOT_COMMIT), head(REF_DELTA, len(body)) + base + change), *cuts)


def test_what_follows_damage_is_not_looked_at_and_what_came_before_holds() -> None:
    first, last = entry(COMMIT, ROOT_COMMIT), entry(COMMIT, CHILD)
    damages = [
        head(BLOB, 3) + b"no zlib at all",
        head(BLOB, 3) + zlib.compress(b"abc")[:-4] + b"\0\0\0\0",  # another checksum
        head(0, 3) + zlib.compress(b"abc"),
        head(5, 3) + zlib.compress(b"abc"),
        b"\x9f" + b"\xff" * 12,  # a size that never ends
        b"\xe3" + b"\x01" + b"\xff" * 14,  # a way back that never ends
    ]
    for damage in damages:
        assert in_pieces(made(first, damage, last), 3) == {OLD: ()}, damage


@pytest.mark.parametrize(
    "change",
    [
        b"",
        b"\x80",
        varint(len(ROOT_COMMIT)),
        delta(ROOT_COMMIT, CHILD, b"\0"),
        delta(ROOT_COMMIT, CHILD, copy(len(ROOT_COMMIT), 1)),
        delta(ROOT_COMMIT, CHILD, copy(0, len(ROOT_COMMIT) + 1)),
        delta(ROOT_COMMIT, CHILD, copy(1 << 31, 1)),
        delta(ROOT_COMMIT, CHILD, b"\xff"),
        delta(ROOT_COMMIT, CHILD, b"\x05abc"),
        delta(ROOT_COMMIT, CHILD, b"\x80"),  # 65,536 bytes, which the base has not
    ],
)
def test_a_change_that_does_not_fit_its_base_is_damage(change: bytes) -> None:
    entries = [entry(COMMIT, ROOT_COMMIT), entry(REF_DELTA, change, base=bytes.fromhex(OLD)), entry(COMMIT, CHILD)]
    assert found(made(*entries)) == {OLD: ()}


def test_a_change_of_what_is_not_in_the_pack_or_is_no_commit_is_passed_over() -> None:
    change = delta(ROOT_COMMIT, CHILD, copy(0, 20), insert(CHILD[20:]))
    blob, last = entry(BLOB, ROOT_COMMIT), entry(COMMIT, CHILD)
    for base in (bytes(20), hashlib.sha1(ROOT_COMMIT, usedforsecurity=False).digest()):
        assert found(made(blob, entry(REF_DELTA, change, base=base), last)) == {NEW: (OLD,)}
    for far in (len(blob), 1, 5):
        assert found(made(blob, entry(OFS_DELTA, change, base=back(far)), last)) == {NEW: (OLD,)}


def test_a_change_may_come_before_its_base_and_then_proves_nothing() -> None:
    change = delta(ROOT_COMMIT, CHILD, copy(0, 20), insert(CHILD[20:]))
    body = made(entry(REF_DELTA, change, base=bytes.fromhex(OLD)), entry(COMMIT, ROOT_COMMIT))
    assert found(body) == {OLD: ()}


@pytest.mark.parametrize("size", [0, 1, 15, 16, 5000])
def test_a_size_that_is_not_true_changes_no_commit(size: int) -> None:
    # git refuses such a pack. What a commit is called and whose child it is does not hang on it.
    body = made(entry(COMMIT, ROOT_COMMIT), entry(COMMIT, CHILD, size=size))
    assert found(body) == BOTH


def test_a_number_of_objects_that_is_not_true_hides_commits_and_makes_none() -> None:
    entries = [entry(COMMIT, ROOT_COMMIT), entry(COMMIT, CHILD)]
    assert found(made(*entries, objects=0)) == {}
    assert found(made(*entries, objects=1)) == {OLD: ()}
    assert found(made(*entries, objects=3)) == BOTH
    assert found(made(*entries, objects=0xFFFFFFFF)) == BOTH


def test_a_file_that_looks_like_a_commit_is_none() -> None:
    for kind in (TREE, BLOB, TAG):
        assert found(made(entry(kind, CHILD), entry(COMMIT, ROOT_COMMIT))) == {OLD: ()}


def test_a_commit_may_be_a_mebibyte_long_and_no_longer() -> None:
    room = packfile.MAX_COMMIT_BYTES - len(commit(OLD))
    fitting, longer = commit(OLD, said=b"x" * room), commit(OLD, said=b"x" * (room + 1))
    for size in (None, 10):  # however long it claims to be
        assert found(made(entry(COMMIT, fitting, size=size), entry(COMMIT, CHILD))) == {
            name(fitting): (OLD,),
            NEW: (OLD,),
        }
        assert found(made(entry(COMMIT, longer, size=size), entry(COMMIT, CHILD))) == {NEW: (OLD,)}


def test_a_change_that_makes_a_commit_too_long_is_damage() -> None:
    base = commit(said=b"x" * 0x10000)
    change = delta(base, b"", *[copy(0, 0x10000)] * 16, copy(0, 1))
    entries = [entry(COMMIT, base), entry(REF_DELTA, change, base=bytes.fromhex(name(base))), entry(COMMIT, CHILD)]
    assert set(found(made(*entries))) == {name(base)}


def test_commits_beyond_a_number_of_bytes_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [commit(said=b"0")]
    for number in range(1, 10):
        chain.append(commit(name(chain[-1]), said=b"%d" % number))
    body = made(*[entry(COMMIT, one) for one in chain])
    assert is_ancestor(found(body), name(chain[9]), name(chain[0]))
    monkeypatch.setattr(packfile, "MAX_COMMITS_BYTES", 4 * len(chain[1]))
    commits = found(body)
    assert set(commits) == {name(one) for one in chain[:5]}
    assert not is_ancestor(commits, name(chain[9]), name(chain[0]))


@pytest.mark.parametrize("size", [1, 7, 8192, 1 << 22])
@pytest.mark.parametrize(
    "length", [packfile.PIECE_BYTES + way for way in (-1, 0, 1)] + [3 * packfile.PIECE_BYTES, 1 << 22]
)
def test_what_follows_a_long_object_is_found(length: int, size: int) -> None:
    noise = b"".join(hashlib.sha512(b"%d" % number).digest() for number in range(length // 64 + 1))
    for content in (bytes(length), noise[:length]):
        if size > 7 or len(zlib.compress(content)) < 100_000:
            body = made(entry(COMMIT, ROOT_COMMIT), entry(BLOB, content), entry(COMMIT, CHILD))
            assert in_pieces(body, size) == BOTH


def test_a_bomb_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry(COMMIT, ROOT_COMMIT), entry(BLOB, bytes(3 << 20)), entry(COMMIT, CHILD)]
    assert found(made(*entries)) == BOTH
    monkeypatch.setattr(packfile, "MAX_INFLATED_BYTES", 2 << 20)
    assert found(made(*entries)) == {OLD: ()}
