"""A bare git repository on disk: objects in, refs moved, what was pushed read back. It knows nothing of the Hub."""

import asyncio
import os
import shlex
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import gitobjects

ABSENT = "0" * 40
_HOOKS = {
    "pre-receive": f"exec {shlex.quote(sys.executable)} -IS {shlex.quote(str(Path(__file__).with_name('pre_receive.py')))}",
    "post-receive": "cat >> landed",
}
# Nothing of the developer's own configuration, and no repacking behind our back.
_CONFIG = {
    "gc.auto": "0",
    "receive.autogc": "false",
    "uploadpack.allowFilter": "true",
    "core.logAllRefUpdates": "false",
}


def clean_env(home: Path) -> dict[str, str]:
    """Return an environment in which git finds no configuration but the repository's."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LC_ALL": "C",
    }


@dataclass
class GitStore:
    """One bare repository. *exported*: ids of the objects known to be in it."""

    folder: Path
    exported: set[str] = field(default_factory=set)
    # Held while refs move: between a push and the world's hearing of it, nobody may write the old state back.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def create(cls, folder: Path) -> "GitStore":
        """Make an empty repository in *folder*, whose parent exists."""
        store = cls(folder)
        folder.mkdir()
        store.run("init", "--quiet", "--bare", "--initial-branch=main", "--template=", ".")
        for name, value in _CONFIG.items():
            store.run("config", name, value)
        (folder / "hooks").mkdir()
        for name, line in _HOOKS.items():
            hook = folder / "hooks" / name
            hook.write_text(f"#!/bin/sh\n{line}\n")
            hook.chmod(0o755)
        return store

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git here and return what it prints."""
        env = clean_env(self.folder)
        return subprocess.run(
            ["git", *arguments], cwd=self.folder, env=env, input=stdin, capture_output=True, check=True
        ).stdout

    def write(self, kind: str, oid: str, payload: bytes) -> None:
        """Store an object under its id."""
        path = self.folder / "objects" / oid[:2] / oid[2:]
        self.exported.add(oid)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(f"{kind} {len(payload)}\0".encode() + payload, 1))

    # Refs

    def refs(self) -> dict[str, str]:
        """Return ref → commit id, annotated tags followed."""
        lines = self.run("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)").decode().splitlines()
        return {line.split()[0]: line.split()[-1] for line in lines}

    def point(self, wanted: Mapping[str, str]) -> None:
        """Make the refs name these commits, and no other refs be there."""
        present = self.refs()
        orders = [f"update {ref} {oid}\n" for ref, oid in wanted.items() if present.get(ref) != oid]
        orders += [f"delete {ref}\n" for ref in present if ref not in wanted]
        if orders:
            self.run("update-ref", "--stdin", stdin="".join(orders).encode())

    def landed(self) -> list[tuple[str, str, str]]:
        """Return ref, old id and new id of everything pushed since the last call, as post-receive heard it."""
        log = self.folder / "landed"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [(ref, old, new) for old, new, ref in (line.split(maxsplit=2) for line in lines)]

    # Reading back

    def peeled(self, oid: str) -> str:
        """Return the commit an object is or stands for."""
        return self.run("rev-parse", "--verify", f"{oid}^{{commit}}").decode().strip()

    def history(self, commit: str) -> list[str]:
        """Return the ids of a commit and its ancestors, the oldest first."""
        return self.run("rev-list", "--topo-order", "--reverse", commit).decode().split()

    def commit_text(self, commit: str) -> bytes:
        """Return a commit object."""
        return self.run("cat-file", "commit", commit)

    def files(self, commit: str) -> dict[str, tuple[str, str]]:
        """Return path → mode and blob id. Submodules are left out: the Hub's API shows files."""
        lines = self.run("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")
        split = [line.decode(errors="surrogateescape").partition("\t") for line in lines if line]
        described = {path: head.split() for head, _, path in split}
        return {path: (mode, oid) for path, (mode, kind, oid) in described.items() if kind == "blob"}

    def blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield blob id and content, one at a time: a push may be larger than memory."""
        command, pipe = ["git", "cat-file", "--batch"], subprocess.PIPE
        env = clean_env(self.folder)
        with subprocess.Popen(command, cwd=self.folder, env=env, stdin=pipe, stdout=pipe) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for oid in oids:
                process.stdin.write(f"{oid}\n".encode())
                process.stdin.flush()
                _, _, size = process.stdout.readline().split()
                yield oid, process.stdout.read(int(size) + 1)[:-1]
