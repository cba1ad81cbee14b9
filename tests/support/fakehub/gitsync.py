"""One world, seen by git: what the API committed is written into a bare repository, what was pushed is read back."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import gitobjects
from .gitstore import ABSENT, GitStore
from .repos import PR_PREFIX, Commit, Entry, Repo, git_files

if TYPE_CHECKING:
    from .world import World


@dataclass(frozen=True)
class Push:
    """One ref that a git push really moved. An id of forty zeros means that the ref was, or is now, absent."""

    kind: str
    repo: str
    ref: str
    old: str
    new: str
    who: str


def exported(world: "World", repo: Repo) -> GitStore:
    """Return the repository's bare repository, brought up to date with the world. Call it with the lock held."""
    store = opened(world, repo)
    for commit in repo.commits.values():
        if commit.id not in store.exported:
            _write(world, store, commit)
    store.point(_refs(repo))
    limits = {"max_bytes": world.settings.lfs_threshold, "uploaded": sorted(repo.uploaded)}
    (store.folder / "hub-limits.json").write_text(json.dumps(limits))
    return store


def opened(world: "World", repo: Repo) -> GitStore:
    """Return the repository's bare repository, made if it is not there yet."""
    if repo.git is None:
        # Its own name each time: a repository may be deleted and made again under the same id.
        repo.git = GitStore.create(world.at.files / f"{secrets.token_hex(8)}.git")
    return repo.git


def _write(world: "World", store: GitStore, commit: Commit) -> None:
    for entry in commit.tree.values():
        if entry.oid not in store.exported:
            store.write("blob", entry.oid, stored(world, entry))
    for payload in gitobjects.trees(git_files(commit.tree)).values():
        store.write("tree", gitobjects.object_id("tree", payload), payload)
    store.write("commit", commit.id, commit.text)


def stored(world: "World", entry: Entry) -> bytes:
    """Return what git stores for a file: its content, or the pointer of a large one."""
    return gitobjects.pointer(entry.sha256, entry.size) if entry.lfs else world.contents[entry.sha256]


def _refs(repo: Repo) -> dict[str, str]:
    wanted = {f"refs/heads/{name}": oid for name, oid in repo.branches.items()}
    wanted |= {f"refs/tags/{name}": oid for name, oid in repo.tags.items()}
    return wanted | {f"{PR_PREFIX}{number}": oid for number, oid in repo.pulls.items()}


def absorb(world: "World", repo: Repo, store: GitStore, who: str) -> None:
    """Bring what a push changed into the world, and note it. Call it with the lock still held."""
    for ref, old, new in store.landed():
        world.pushes.append(Push(repo.kind, repo.id, ref, old, new, who))
        if new == ABSENT:
            _forget(repo, ref)
        else:
            tip = store.peeled(new)
            _read(world, repo, store, tip)
            _move(repo, ref, tip)


def _forget(repo: Repo, ref: str) -> None:
    repo.branches.pop(ref.removeprefix("refs/heads/"), None)
    repo.tags.pop(ref.removeprefix("refs/tags/"), None)


def _move(repo: Repo, ref: str, commit: str) -> None:
    if ref.startswith(PR_PREFIX):
        repo.pulls[int(ref.removeprefix(PR_PREFIX))] = commit
    elif ref.startswith("refs/tags/"):
        repo.tags[ref.removeprefix("refs/tags/")] = commit
    else:
        repo.branches[ref.removeprefix("refs/heads/")] = commit


def _read(world: "World", repo: Repo, store: GitStore, tip: str) -> None:
    new = [oid for oid in store.history(tip) if oid not in repo.commits]
    files = {oid: store.files(oid) for oid in new}
    entries = {entry.oid: entry for commit in repo.commits.values() for entry in commit.tree.values()}
    entries |= _entries(
        world, repo, store, {oid for tree in files.values() for _, oid in tree.values()} - entries.keys()
    )
    for oid in new:
        tree = {path: replace(entries[blob], mode=mode) for path, (mode, blob) in files[oid].items()}
        repo.commits[oid] = parsed(oid, store.commit_text(oid), tree)
        store.exported.add(oid)


def _entries(world: "World", repo: Repo, store: GitStore, oids: Iterable[str]) -> dict[str, Entry]:
    found = {}
    for oid, data in store.blobs(oids):
        large = gitobjects.pointed_at(data)
        if large in repo.uploaded and large is not None:
            # A pointer may be spelled in other ways than ours: its own id stays.
            found[oid] = replace(world.large_entry(large), oid=oid)
        else:
            found[oid] = world.keep(data, lfs=False)
        store.exported.add(oid)
    return found


def parsed(oid: str, text: bytes, tree: dict[str, Entry]) -> Commit:
    """Return a commit object as the world has it."""
    head, _, message = text.decode(errors="replace").partition("\n\n")
    lines = head.splitlines()
    parents = tuple(line.removeprefix("parent ") for line in lines if line.startswith("parent "))
    who, _, when = next(line for line in lines if line.startswith("author ")).removeprefix("author ").partition(" <")
    at = datetime.fromtimestamp(int(when.rpartition("> ")[2].split()[0]), UTC)
    title, _, rest = message.strip("\n").partition("\n")
    return Commit(oid, parents, tree, title, rest.strip("\n"), who, at, text)
