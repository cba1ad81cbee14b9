"""Repositories and their parts in the Hub's JSON, with the keys `huggingface_hub.hf_api` reads."""

import hashlib
from datetime import datetime
from typing import Any

from . import gitobjects
from .repos import Commit, Entry, Repo

MODEL_TAGS = ["region:us"]


def stable_id(name: str) -> str:
    """Return 24 hex digits for a name, as the Hub's object ids have."""
    return hashlib.sha1(name.encode()).hexdigest()[:24]


def moment(at: datetime) -> str:
    """Write a time as the Hub does: milliseconds and `Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def summary(repo: Repo) -> dict[str, Any]:
    """Describe a repository as the lists do."""
    info = {
        "_id": stable_id(repo.id),
        "id": repo.id,
        "author": repo.namespace,
        "private": repo.private,
        "likes": len(repo.likers),
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "tags": MODEL_TAGS,
        "createdAt": moment(repo.created),
        "lastModified": moment(repo.find("main").at),
    }
    if repo.kind == "model":
        info["modelId"] = repo.id
    if repo.space is not None:
        info["sdk"] = repo.space.sdk
    return info


def details(repo: Repo, commit: Commit, *, blobs: bool) -> dict[str, Any]:
    """Describe a repository at a commit, with its file list."""
    siblings = [sibling(path, entry, blobs=blobs) for path, entry in sorted(commit.tree.items())]
    size = sum(entry.size for entry in commit.tree.values())
    info = {
        **summary(repo),
        "sha": commit.id,
        "siblings": siblings,
        "usedStorage": size,
        "cardData": {},
        "spaces": [],
    }
    if repo.space is not None:
        info |= {"runtime": runtime(repo), "host": f"https://{repo.id.replace('/', '-')}.hf.space"}
        info |= {"subdomain": repo.id.replace("/", "-")}
    return info


def sibling(path: str, entry: Entry, *, blobs: bool) -> dict[str, Any]:
    """Describe a file as repository info does."""
    line: dict[str, Any] = {"rfilename": path}
    if blobs:
        line |= {"size": entry.size, "blobId": entry.oid}
        if entry.lfs:
            line["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": pointer_size(entry)}
    return line


def pointer_size(entry: Entry) -> int:
    """Return the length of the pointer git stores."""
    return len(gitobjects.pointer(entry.sha256, entry.size))


def tree_file(path: str, entry: Entry, commit: Commit | None) -> dict[str, Any]:
    """Describe a file as the tree does; *commit* adds what `expand` asks for."""
    line: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.lfs:
        line["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": pointer_size(entry)}
    if entry.xet is not None:
        line["xetHash"] = entry.xet
    if commit is not None:
        line["securityFileStatus"] = {"status": "safe", "avScan": None, "pickleImportScan": None}
    return line | _last_commit(commit)


def tree_folder(path: str, oid: str, commit: Commit | None) -> dict[str, Any]:
    """Describe a directory as the tree does."""
    return {"type": "directory", "oid": oid, "size": 0, "path": path} | _last_commit(commit)


def _last_commit(commit: Commit | None) -> dict[str, Any]:
    if commit is None:
        return {}
    return {"lastCommit": {"id": commit.id, "title": commit.title, "date": moment(commit.at)}}


def commit_line(commit: Commit) -> dict[str, Any]:
    """Describe a commit as the history does."""
    return {
        "id": commit.id,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author}],
        "date": moment(commit.at),
        "formatted": {"title": commit.title, "message": commit.message},
    }


def runtime(repo: Repo) -> dict[str, Any]:
    """Describe a Space's runtime."""
    space = repo.space
    assert space is not None
    return {
        "stage": space.stage,
        "hardware": {"current": space.hardware, "requested": space.requested},
        "storage": space.storage,
        "gcTimeout": space.sleep_seconds,
        "devMode": space.dev_mode,
        "replicas": {"current": 1, "requested": 1},
        "volumes": space.volumes or None,
        "domains": [{"domain": f"{repo.id.replace('/', '-')}.hf.space"}],
    }
