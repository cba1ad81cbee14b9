"""Object ids as git computes them, so that a client which recomputes one gets the same answer.

`huggingface_hub` compares a blob's git id with its own (`_commit_api._prepare_commit_payload` skips files
that have not changed), and a git client checks every id it receives.
"""

import hashlib
import re
from collections.abc import Mapping

FILE_MODE = "100644"
POINTER_MAX_BYTES = 1024  # git-lfs looks no further either
LFS_SPEC = "version https://git-lfs.github.com/spec/v1"


def object_id(kind: str, payload: bytes) -> str:
    """Return the SHA-1 git gives an object of *kind* (`blob`, `tree`, `commit`)."""
    return hashlib.sha1(f"{kind} {len(payload)}\0".encode() + payload).hexdigest()


def blob_id(data: bytes) -> str:
    """Return the git id of a file's content."""
    return object_id("blob", data)


def pointer(sha256: str, size: int) -> bytes:
    """Return the text git stores in place of a large file (git-lfs/docs/spec.md)."""
    return f"{LFS_SPEC}\noid sha256:{sha256}\nsize {size}\n".encode()


_POINTER = re.compile(rf"{re.escape(LFS_SPEC)}\n(?:.*\n)*?oid sha256:([0-9a-f]{{64}})\nsize (\d+)\n?".encode())


def pointed_at(data: bytes) -> str | None:
    """Return the SHA-256 a pointer names, None if *data* is no pointer."""
    match = _POINTER.fullmatch(data) if len(data) <= POINTER_MAX_BYTES else None
    return match[1].decode() if match else None


def trees(files: Mapping[str, tuple[str, str]]) -> dict[str, bytes]:
    """Return directory → tree object for a tree given as path → mode and blob id; the root is `""`."""
    children: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for path, (mode, oid) in files.items():
        _add(children, path, mode, oid)
    payloads: dict[str, bytes] = {}
    # Deepest first: a tree's id is made of its children's.
    for directory in sorted(children, key=lambda name: -_depth(name)):
        payloads[directory] = _tree_payload(children[directory])
        if directory:
            parent, _, name = directory.rpartition("/")
            children[parent][name] = (_TREE_MODE, object_id("tree", payloads[directory]))
    return payloads


def tree_ids(files: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return directory → tree id, for the same."""
    return {directory: object_id("tree", payload) for directory, payload in trees(files).items()}


_TREE_MODE = "40000"


def _add(children: dict[str, dict[str, tuple[str, str]]], path: str, mode: str, oid: str) -> None:
    parent, _, name = path.rpartition("/")
    while parent not in children:
        children[parent] = {}
        parent = parent.rpartition("/")[0]
    children[path.rpartition("/")[0]][name] = (mode, oid)


def _depth(directory: str) -> int:
    return directory.count("/") + 1 if directory else 0


def _tree_payload(entries: Mapping[str, tuple[str, str]]) -> bytes:
    # git sorts as if a directory's name ended in a slash.
    ordered = sorted(entries.items(), key=lambda item: item[0] + "/" * (item[1][0] == _TREE_MODE))
    return b"".join(
        f"{mode} {name}\0".encode(errors="surrogateescape") + bytes.fromhex(oid) for name, (mode, oid) in ordered
    )


def commit_text(tree: str, parents: list[str], author: str, at: int, message: str) -> bytes:
    """Return a commit object's payload; *at* is in seconds since 1970, UTC."""
    who = f"{author} <{author}@users.noreply.huggingface.co> {at} +0000"
    head = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}"]
    return ("\n".join(head) + f"\n\n{message}\n").encode()
