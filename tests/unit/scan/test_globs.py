"""`--exclude` means what the same line means in a .gitignore: git itself is asked."""

import itertools
import subprocess
from pathlib import Path

import pytest

from hfproxy.scan.globs import Globs

PATTERNS = (
    "*.lock", "tests", "tests/", "/tests", "tests/data", "tests/*", "**/data", "tests/**", "a/**/b", "?.py", "[ab].py", "[!ab].py",
    "*.tar.*", "data/", "src/*.py", "*", ".env*", "a+b.txt", "(x)", "tests/data/", "**/x.py", "src/**/x.py",
)  # fmt: skip
FILES = (
    "a.py", "b.py", "cc.py", "x.lock", "tests/a.py", "tests/data/a.txt", "src/tests/x.py", "src/tests/data/a.py", "a/b", "src/x.py",
    "data/y.tar.gz", "src/data", ".env", ".env.local", "a+b.txt", "aab.txt", "(x)", "a/c/d/b", "src/deep/er/x.py", "tests.py",
)  # fmt: skip


def excluded(pattern: str, path: str) -> bool:
    """As the walk asks: directory by directory, then the file."""
    globs = Globs([pattern])
    folders = itertools.accumulate(path.split("/")[:-1], lambda one, other: f"{one}/{other}")
    return any(globs.matches(folder, directory=True) for folder in folders) or globs.matches(path, directory=False)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_git_would_ignore_the_same(pattern: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name in FILES:
        file = tmp_path / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (tmp_path / ".git/info/exclude").write_text(pattern + "\n")
    asked = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin"],
        input="\n".join(FILES), capture_output=True, text=True,
    )  # fmt: skip
    assert [name for name in FILES if excluded(pattern, name)] == asked.stdout.splitlines()
