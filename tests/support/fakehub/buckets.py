"""Buckets: files by path, all of them in Xet, without commits. No HTTP here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import describe


@dataclass(frozen=True)
class BucketFile:
    """One file. *xet* finds its bytes; *mtime* is the client's word, in milliseconds since 1970."""

    xet: str
    size: int
    mtime: int
    uploaded: datetime
    content_type: str | None = None


@dataclass
class Bucket:
    """A bucket. It has what `auth` asks of a repository; there is no gating."""

    id: str
    private: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    files: dict[str, BucketFile] = field(default_factory=dict)
    kind: str = "bucket"

    @property
    def namespace(self) -> str:
        """The owner's name."""
        return self.id.partition("/")[0]

    @property
    def key(self) -> tuple[str, str]:
        """What an access token of the CAS is for."""
        return self.kind, self.id

    def below(self, prefix: str, *, recursive: bool) -> list[dict[str, Any]]:
        """List what begins with *prefix*, as text: `logs` finds `logs/a` and `logs.json`. Folders stand for their files."""
        lines: dict[str, dict[str, Any]] = {}
        for path, file in sorted(self.files.items()):
            if path.startswith(prefix):
                folder = None if recursive else _folder(path, prefix)
                lines[folder or path] = _folder_line(folder, file) if folder else file_line(path, file)
        return list(lines.values())

    def described(self) -> dict[str, Any]:
        """Describe the bucket with the keys `huggingface_hub._buckets.BucketInfo` reads."""
        return {
            "id": self.id,
            "private": self.private,
            "createdAt": describe.moment(self.created),
            "size": sum(file.size for file in self.files.values()),
            "totalFiles": len(self.files),
        }


def _folder(path: str, prefix: str) -> str | None:
    start = len(prefix) + path[len(prefix) :].startswith("/")
    end = path.find("/", start)
    return path[:end] if end >= 0 else None


def _folder_line(path: str, file: BucketFile) -> dict[str, Any]:
    return {"type": "directory", "path": path, "uploadedAt": describe.moment(file.uploaded)}


def file_line(path: str, file: BucketFile) -> dict[str, Any]:
    """Describe a file as the tree does."""
    return {
        "type": "file",
        "path": path,
        "size": file.size,
        "xetHash": file.xet,
        "mtime": describe.moment(datetime.fromtimestamp(file.mtime / 1000, UTC)),
        "uploadedAt": describe.moment(file.uploaded),
    }


def paths_of(bucket: Bucket, asked: list[str]) -> Iterator[dict[str, Any]]:
    """Describe some files, leaving out those that do not exist."""
    for path in asked:
        if path in bucket.files:
            yield file_line(path, bucket.files[path])
