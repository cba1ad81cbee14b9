"""Object ids as git computes them, so that a client which recomputes one gets the same answer.

`huggingface_hub` compares a blob's git id with its own (`_commit_api._prepare_commit_payload` skips files
that have not changed), and the smart HTTP protocol, when it is added here, needs the very same ids.
"""

import hashlib
from collections.abc import Mapping

LFS_SPEC = "version https://git-lfs.github.com/spec/v1"


def object_id(kind: str, payload: bytes) -> str:
    """Return the SHA-1 git gives an object of *kind* (`blob`, `tree`, `commit`)."""
    return hashlib.sha1(f"{kind} {len(payload)}\0".encode() + payload).hexdigest()


def blob_id(data: bytes) -> str:
    """Return the git id of a file's content."""
    return object_id("blob", data)


def pointer(sha256: str, size: int) -> bytes:
    """Return the text git stores in place of a large file (git-lfs spec, `docs/spec.md`)."""
    return f"{LFS_SPEC}\noid sha256:{sha256}\nsize {size}\n".encode()


def tree_ids(blobs: Mapping[str, str]) -> dict[str, str]:
    """Return directory → tree id for a tree given as path → blob id; the root is `""`."""
    children: dict[str, dict[str, tuple[bool, str]]] = {"": {}}
    for path, oid in blobs.items():
        _add(children, path, oid)
    ids: dict[str, str] = {}
    # Deepest first: a tree's id is made of its children's.
    for directory in sorted(children, key=lambda name: -_depth(name)):
        ids[directory] = object_id("tree", _tree_payload(children[directory]))
        if directory:
            parent, _, name = directory.rpartition("/")
            children[parent][name] = (True, ids[directory])
    return ids


def _add(children: dict[str, dict[str, tuple[bool, str]]], path: str, oid: str) -> None:
    parent, _, name = path.rpartition("/")
    while parent not in children:
        children[parent] = {}
        parent = parent.rpartition("/")[0]
    children[path.rpartition("/")[0]][name] = (False, oid)


def _depth(directory: str) -> int:
    return directory.count("/") + 1 if directory else 0


def _tree_payload(entries: Mapping[str, tuple[bool, str]]) -> bytes:
    # git sorts as if a directory's name ended in a slash.
    ordered = sorted(entries.items(), key=lambda item: item[0] + "/" * item[1][0])
    return b"".join(
        (b"40000 " if is_tree else b"100644 ") + name.encode() + b"\0" + bytes.fromhex(oid)
        for name, (is_tree, oid) in ordered
    )


def commit_text(tree: str, parents: list[str], author: str, at: int, message: str) -> bytes:
    """Return a commit object's payload; *at* is in seconds since 1970, UTC."""
    who = f"{author} <{author}@users.noreply.huggingface.co> {at} +0000"
    head = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}"]
    return ("\n".join(head) + f"\n\n{message}\n").encode()
