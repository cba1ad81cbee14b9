"""Everything the fake Hub knows: accounts, repositories, stored bytes, its own addresses and its settings."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import gitobjects
from .auth import Token, User
from .buckets import Bucket
from .bulk import Content
from .errors import Moved, repo_not_found
from .faults import Faults
from .gitsync import Push
from .repos import Entry, Repo, Space, entry_for, renamed
from .xetstore import XetStore

GITATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


@dataclass
class Settings:
    """Knobs of the fake. Sizes are in bytes, times in seconds."""

    lfs_threshold: int = 10_000_000
    lfs_suffixes: tuple[str, ...] = (
        ".bin",
        ".safetensors",
        ".pt",
        ".onnx",
        ".parquet",
        ".zip",
        ".gguf",
        ".h5",
    )
    page_size: int = 1000
    xet: bool = True
    xet_grants: bool = True  # POST /v1/xorb-grants is newer than the published CAS description
    xet_shards_v2: bool = True
    xet_token_seconds: int = 900
    xet_token_padding: int = 0  # the Hub documents access tokens of up to 64 000 characters
    presign_seconds: int = 3600
    multipart_bytes: int | None = None  # part size; None: never multipart
    absolute_redirects: bool = False
    verify_echoes_auth: bool = False  # the LFS verify action holds the caller's own token, not one made for it
    lfs_locks: bool = False  # the Hub has no locking API
    gzip: bool = True
    discard_uploads: bool = False  # hash and count what comes by LFS, and throw it away; Xet needs what it got
    echo: bool = False  # the Hub only keeps the record: every request gets 200 and an empty object
    build_polls: int = 2
    log_pause_seconds: float = 0.0  # between the lines of a log stream
    idle_seconds: float = 0.0  # how long an event stream stays silent before it ends
    web_url: str = "https://huggingface.co"  # what the Hub writes into `url`, `commitUrl`, `pullRequestUrl`


@dataclass
class Addresses:
    """The origins, known once the listeners are bound, and a folder for what is too large for memory."""

    hub: str = ""
    storage: str = ""
    cas: str = ""
    files: Path = Path()


@dataclass
class World:
    """The state behind all listeners."""

    settings: Settings = field(default_factory=Settings)
    at: Addresses = field(default_factory=Addresses)
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    moved: dict[tuple[str, str], str] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    wanted: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    parts: dict[str, dict[int, Content]] = field(default_factory=dict)
    xet: XetStore = field(default_factory=XetStore)
    faults: Faults = field(default_factory=Faults)
    pushes: list[Push] = field(default_factory=list)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    collections: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    webhooks: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    wakes: int = 0  # how often the silent event streams were told to go on
    signing_key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def lookup(self, kind: str, repo_id: str) -> Repo:
        """Return a repository; raise `Moved` for an old name or another case, refuse an unknown one."""
        if repo := self.repos.get((kind, repo_id)):
            return repo
        if new := self.moved.get((kind, repo_id)):
            raise Moved(repo_id, new)
        for other_kind, other in self.repos:
            if other_kind == kind and other.lower() == repo_id.lower():
                raise Moved(repo_id, other)
        raise repo_not_found(anonymous=False)

    def keep(self, data: bytes, *, lfs: bool) -> Entry:
        """Store bytes and describe them as a file."""
        entry = entry_for(data, lfs=lfs)
        self.contents[entry.sha256] = data
        return entry

    def large_entry(self, sha256: str) -> Entry:
        """Describe a large file whose bytes are stored, with its xet hash if it came that way."""
        size = len(self.contents[sha256])
        oid = gitobjects.blob_id(gitobjects.pointer(sha256, size))
        return Entry(oid, size, sha256, lfs=True, xet=self.xet.by_sha256.get(sha256))

    def is_large(self, path: str, size: int) -> bool:
        """Say whether a file goes to large-file storage: by name as `.gitattributes` would, or by size."""
        return path.endswith(self.settings.lfs_suffixes) or size >= self.settings.lfs_threshold

    def create(self, kind: str, repo_id: str, author: str, *, private: bool = False, sdk: str | None = None) -> Repo:
        """Create a repository with the Hub's first commit, which holds `.gitattributes` only."""
        repo = Repo(kind, repo_id, author, private)
        if kind == "space":
            repo.space = Space(sdk=sdk or "gradio", polls_left=self.settings.build_polls)
        first = repo.add_commit(
            {".gitattributes": self.keep(GITATTRIBUTES, lfs=False)}, "initial commit", author=author
        )
        repo.branches["main"] = first.id
        self.repos[repo.key] = repo
        self.moved.pop(repo.key, None)
        return repo

    def rename(self, repo: Repo, new_id: str) -> Repo:
        """Move a repository; the old name redirects from now on."""
        del self.repos[repo.key]
        self.moved = {key: new_id if (key[0], target) == repo.key else target for key, target in self.moved.items()}
        self.moved[repo.key] = new_id
        new = renamed(repo, new_id)
        self.repos[new.key] = new
        return new

    def store_large(self, data: Content, sha256: str) -> None:
        """Take an uploaded large file for every repository that announced it."""
        self.contents[sha256] = data
        for key in self.wanted.pop(sha256, set()):
            if key in self.repos:
                self.repos[key].uploaded.add(sha256)
