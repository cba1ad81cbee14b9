"""The pre-receive hook of FakeHub's repositories: what the Hub refuses to have pushed.

Runs by itself in the bare repository (no import of this package). `hub-limits.json` there says what counts as too
large and which LFS objects reached storage. Every line it prints comes to the user after `remote:`.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ABSENT = "0" * 40
POINTER_MAX_BYTES = 1024
POINTER_START = b"version https://git-lfs.github.com/spec/v1\n"


def git(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run git and return what it prints."""
    return subprocess.run(["git", *arguments], input=stdin, capture_output=True, check=True).stdout


def new_blobs(tips: list[str]) -> Iterator[tuple[str, int]]:
    """Yield id and size of the blobs that come with this push."""
    listed = git("rev-list", "--objects", "--no-object-names", *tips, "--not", "--all")
    for line in git("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=listed).splitlines():
        oid, kind, size = line.decode().split()
        if kind == "blob":
            yield oid, int(size)


def problems(updates: list[list[str]], limits: dict[str, object]) -> Iterator[str]:
    """Yield one line for everything the Hub would not take."""
    for old, _, ref in updates:
        if not ref.startswith(("refs/heads/", "refs/tags/")) and not (ref.startswith("refs/pr/") and old != ABSENT):
            yield f"{ref}: only branches, tags and existing pull requests can be pushed to."
    tips = [new for _, new, _ in updates if new != ABSENT]
    if not tips:
        return
    for oid, size in new_blobs(tips):
        if size > int(str(limits["max_bytes"])):
            yield f"Your push was rejected because it contains files larger than {limits['max_bytes']} bytes."
            yield "Please use https://git-lfs.github.com/ to store large files."
        elif size <= POINTER_MAX_BYTES and (missing := missing_object(oid, limits["uploaded"])):
            yield f"LFS pointer pointed to a file that does not exist: {missing}"


def missing_object(oid: str, uploaded: object) -> str | None:
    """Return the SHA-256 a pointer names, if its object never reached storage."""
    data = git("cat-file", "blob", oid)
    if not data.startswith(POINTER_START):
        return None
    sha256 = data.decode().partition("oid sha256:")[2].partition("\n")[0]
    return sha256 if isinstance(uploaded, list) and sha256 not in uploaded else None


def main() -> None:
    """Refuse the push with a reason, or stay silent."""
    updates = [line.split() for line in sys.stdin]
    found = list(problems(updates, json.loads(Path("hub-limits.json").read_text())))
    for line in found:
        print(line, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
