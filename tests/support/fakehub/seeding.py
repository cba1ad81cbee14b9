"""What a test says to a hub: put this there, and what came in. No listener is needed for any of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from .auth import Token, User
from .buckets import Bucket, BucketFile
from .bulk import MadeUp
from .faults import Fault
from .gitsync import Push
from .record import Record, Recorder
from .repos import Repo, Space
from .world import Settings, World


class SeededHub:
    """The world and the record of a hub, with the calls a test makes on them."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self.world = World(Settings(**settings))
        self.recorder = Recorder()

    def reset(self) -> None:
        """Forget accounts, repositories, planted answers and the record; addresses and settings are as at the start.

        Event streams that are open end.
        """
        self.wake()
        self.world = World(Settings(**self._settings), self.world.at)
        self.recorder.clear()

    # Seeding

    def add_user(
        self,
        name: str,
        token: str,
        role: str = "fineGrained",
        orgs: tuple[str, ...] = (),
        scoped: list[dict[str, object]] | None = None,
    ) -> Token:
        """Add an account, or one more token for it."""
        user = self.world.users.setdefault(name, User(name, tuple(orgs)))
        self.world.tokens[token] = Token(token, user, role, scoped)
        return self.world.tokens[token]

    def revoke_token(self, token: str) -> None:
        """Make a token invalid from now on."""
        self.world.tokens[token].live = False

    def add_repo(
        self,
        kind: str,
        repo_id: str,
        *,
        private: bool = False,
        gated: bool = False,
        files: Mapping[str, bytes] | None = None,
        granted: tuple[str, ...] = (),
        xet: bool = False,
    ) -> Repo:
        """Add a repository with one commit of *files*; the large ones are served from storage, with *xet* from the CAS too."""
        repo = self.world.create(kind, repo_id, repo_id.partition("/")[0], private=private)
        repo.gated, repo.granted = gated, set(granted)
        if files:
            self.commit(repo_id, files, kind, xet=xet)
        return repo

    def add_space(self, repo_id: str, *, sdk: str = "gradio", private: bool = False) -> Repo:
        """Add a Space."""
        return self.world.create("space", repo_id, repo_id.partition("/")[0], private=private, sdk=sdk)

    def commit(
        self,
        repo_id: str,
        files: Mapping[str, bytes],
        kind: str = "model",
        *,
        title: str = "seed",
        rev: str = "main",
        xet: bool = False,
    ) -> str:
        """Commit *files* on top of a branch and return the commit id."""
        repo = self.repo(repo_id, kind)
        parent = repo.find(rev)
        added = {path: self.world.keep(data, lfs=self.world.is_large(path, len(data))) for path, data in files.items()}
        if xet:
            for path in [path for path, entry in added.items() if entry.lfs]:
                added[path] = replace(added[path], xet=self.world.xet.seed(files[path], repo.key))
        repo.uploaded |= {entry.sha256 for entry in added.values() if entry.lfs}
        new = repo.add_commit({**parent.tree, **added}, title, author=repo.author, parents=(parent.id,))
        repo.advance(rev, new)
        return new.id

    def add_made_up(self, repo_id: str, path: str, size: int, kind: str = "model") -> str:
        """Commit a large file of *size* bytes that exist only while they are sent; return the commit id."""
        repo, content = self.repo(repo_id, kind), MadeUp(size)
        self.world.contents[content.name] = content
        repo.uploaded.add(content.name)
        head = repo.find("main")
        tree = {**head.tree, path: self.world.large_entry(content.name)}
        repo.advance("main", repo.add_commit(tree, "seed", author=repo.author, parents=(head.id,)))
        return repo.find("main").id

    def add_bucket(self, bucket_id: str, *, private: bool = False, files: Mapping[str, bytes] | None = None) -> Bucket:
        """Add a bucket with *files*."""
        bucket = self.world.buckets[bucket_id] = Bucket(bucket_id, private)
        for path, data in (files or {}).items():
            sha256 = self.world.keep(data, lfs=True).sha256
            xet = self.world.xet.seed(self.world.contents[sha256], bucket.key)
            bucket.files[path] = BucketFile(xet, len(data), 0, datetime.now(UTC))
        return bucket

    def wake(self) -> None:
        """Let every silent event stream say one more thing and end."""
        self.world.wakes += 1

    def rename_repo(self, old: str, new: str, kind: str = "model") -> Repo:
        """Rename a repository; the old id redirects."""
        return self.world.rename(self.repo(old, kind), new)

    def inject(
        self,
        method: str,
        path: str,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        times: int = 1,
    ) -> None:
        """Answer the next *times* requests whose raw path starts with *path* with this instead."""
        self.world.faults.add(Fault(method, path, status, dict(headers or {}), body, times))

    # Inspection

    def repo(self, repo_id: str, kind: str = "model") -> Repo:
        """Return a repository by its present id."""
        return self.world.repos[kind, repo_id]

    def space(self, repo_id: str) -> Space:
        """Return a Space's state beyond its files, secrets with their values."""
        space = self.repo(repo_id, "space").space
        assert space is not None
        return space

    def files(self, repo_id: str, kind: str = "model", rev: str = "main") -> dict[str, bytes]:
        """Return path → content at a revision."""
        tree = self.repo(repo_id, kind).find(rev).tree
        return {path: self.world.contents[entry.sha256] for path, entry in tree.items()}

    def bucket_files(self, bucket_id: str) -> dict[str, bytes]:
        """Return path → content of a bucket."""
        xet = self.world.xet
        return {path: xet.content(xet.files[file.xet]) for path, file in self.world.buckets[bucket_id].files.items()}

    @property
    def requests(self) -> list[Record]:
        """Every request so far, in order of arrival."""
        return self.recorder.requests

    @property
    def pushes(self) -> list[Push]:
        """Every ref that a git push really moved, in order."""
        return self.world.pushes

    @property
    def unknown(self) -> list[str]:
        """`METHOD target` of every request no route took."""
        return self.recorder.unknown

    @property
    def crashes(self) -> list[str]:
        """Tracebacks of handlers that failed: bugs of the fake, or requests it does not understand."""
        return self.recorder.crashes

    def saw(self, needle: bytes, host: str | None = None) -> bool:
        """Say whether any byte string received (by *host*, if given) holds *needle*."""
        return self.recorder.saw(needle, host)
