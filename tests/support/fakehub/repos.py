"""Repositories: content-addressed files, commits, branches, tags and pull request refs. No HTTP here."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from . import gitobjects
from .errors import Refusal, entry_not_found, revision_not_found
from .gitstore import GitStore

PR_PREFIX = "refs/pr/"


@dataclass(frozen=True)
class Entry:
    """One file of a tree. *sha256* is the key of its bytes in the world's contents."""

    oid: str
    size: int
    sha256: str
    lfs: bool
    xet: str | None = None
    mode: str = gitobjects.FILE_MODE

    @property
    def etag(self) -> str:
        """The Hub's ETag: SHA-256 of a large file, git id of a regular one, in quotes."""
        return f'"{self.sha256 if self.lfs else self.oid}"'


def entry_for(data: bytes, *, lfs: bool, xet: str | None = None) -> Entry:
    """Describe *data* as a file of a tree."""
    sha256 = hashlib.sha256(data).hexdigest()
    oid = gitobjects.blob_id(gitobjects.pointer(sha256, len(data)) if lfs else data)
    return Entry(oid, len(data), sha256, lfs, xet)


def git_files(tree: Mapping[str, Entry]) -> dict[str, tuple[str, str]]:
    """Return path → mode and blob id, which is what git's trees are made of."""
    return {path: (entry.mode, entry.oid) for path, entry in tree.items()}


@dataclass(frozen=True)
class Commit:
    """A snapshot of all files. *text* is the git object whose SHA-1 is *id*."""

    id: str
    parents: tuple[str, ...]
    tree: dict[str, Entry]
    title: str
    message: str
    author: str
    at: datetime
    text: bytes


@dataclass
class Space:
    """What a Space has beyond its files. *polls_left*: runtime calls until BUILDING becomes RUNNING."""

    sdk: str = "gradio"
    stage: str = "BUILDING"
    hardware: str | None = None
    requested: str | None = "cpu-basic"
    sleep_seconds: int | None = None
    dev_mode: bool = False
    storage: str | None = None
    polls_left: int = 2
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    volumes: list[dict[str, object]] = field(default_factory=list)
    build_log: list[str] = field(default_factory=lambda: ["===== Build Queued =====\n", "--> FROM python:3.11\n"])
    run_log: list[str] = field(default_factory=lambda: ["===== Application Startup =====\n", "Running on :7860\n"])


@dataclass
class Repo:
    """A model, dataset or Space. *uploaded*: SHA-256 of the large files that reached storage for it."""

    kind: str
    id: str
    author: str
    private: bool = False
    gated: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, str] = field(default_factory=dict)
    discussions: dict[int, dict[str, Any]] = field(default_factory=dict)
    uploaded: set[str] = field(default_factory=set)
    granted: set[str] = field(default_factory=set)
    requests: dict[str, dict[str, str]] = field(default_factory=dict)
    likers: set[str] = field(default_factory=set)
    space: Space | None = None
    git: GitStore | None = None

    @property
    def namespace(self) -> str:
        """The owner's name; empty for a legacy one-segment id."""
        return self.id.rpartition("/")[0]

    @property
    def key(self) -> tuple[str, str]:
        """The key in the world's table of repositories."""
        return self.kind, self.id

    def find(self, rev: str) -> Commit:
        """Return the commit a branch, tag, `refs/…` or commit id stands for, or refuse as the Hub does."""
        target = self._ref(rev)
        if target is None or target not in self.commits:
            raise revision_not_found(rev)
        return self.commits[target]

    def _ref(self, rev: str) -> str | None:
        if rev.startswith(PR_PREFIX):
            number = rev.removeprefix(PR_PREFIX)
            return self.pulls.get(int(number)) if number.isdigit() else None
        if rev == "HEAD":  # what @huggingface/hub asks for when it is not told a revision
            return self.branches.get("main")
        name = rev.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if found := self.branches.get(name) or self.tags.get(name):
            return found
        matches = [sha for sha in self.commits if sha.startswith(rev)] if len(rev) >= 7 else []
        return matches[0] if len(matches) == 1 else None

    def entry(self, commit: Commit, path: str) -> Entry:
        """Return the file at *path*, or refuse as the Hub does."""
        if path not in commit.tree:
            raise entry_not_found()
        return commit.tree[path]

    def history(self, commit: Commit) -> list[Commit]:
        """Return the commits from *commit* back to the first."""
        line = [commit]
        while line[-1].parents:
            line.append(self.commits[line[-1].parents[0]])
        return line

    def add_commit(
        self,
        tree: dict[str, Entry],
        title: str,
        *,
        message: str = "",
        author: str,
        parents: tuple[str, ...] = (),
    ) -> Commit:
        """Store a commit without moving any ref."""
        root = gitobjects.tree_ids(git_files(tree))[""]
        at = datetime.now(UTC)
        full = f"{title}\n\n{message}" if message else title
        text = gitobjects.commit_text(root, list(parents), author, int(at.timestamp()), full)
        commit = Commit(gitobjects.object_id("commit", text), parents, tree, title, message, author, at, text)
        self.commits[commit.id] = commit
        return commit

    def advance(self, rev: str, commit: Commit) -> None:
        """Move a branch or a pull request ref to *commit*."""
        if rev.startswith(PR_PREFIX):
            self.pulls[int(rev.removeprefix(PR_PREFIX))] = commit.id
        elif rev.removeprefix("refs/heads/") in self.branches:
            self.branches[rev.removeprefix("refs/heads/")] = commit.id
        else:
            raise Refusal(400, "Cannot commit to something that is not a branch or a pull request")

    def next_number(self) -> int:
        """Return the number of the next discussion or pull request: they share one sequence."""
        return max([0, *self.pulls, *self.discussions]) + 1

    def squash(self, branch: str, title: str, author: str) -> Commit:
        """Replace a branch's history by one commit of the same tree."""
        commit = self.add_commit(self.find(branch).tree, title, author=author)
        self.branches[branch] = commit.id
        return commit


def renamed(repo: Repo, new_id: str) -> Repo:
    """Return the same repository under another id."""
    return replace(repo, id=new_id)
