"""Real git repositories for the tests of what a push brings."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MADE = {"NAME": "me", "EMAIL": "me@example.org", "DATE": "1700000000 +0000"}


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., bytes]:
    """Runs git in a directory under `tmp_path`, without anybody's configuration and always at the same moment."""
    alone = {
        "HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **{f"GIT_{who}_{what}": of for who in ("AUTHOR", "COMMITTER") for what, of in MADE.items()},
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | alone

    def run(*arguments: str | Path, at: str = ".", given: bytes = b"", rc: int | None = 0) -> bytes:
        command = ["git", "-C", str(tmp_path / at), *map(str, arguments)]
        ran = subprocess.run(command, input=given, capture_output=True, env=environment, check=False)
        assert rc is None or ran.returncode == rc, ran.stderr.decode()
        return ran.stderr if rc else ran.stdout

    run("init", "--quiet", "--bare", "--initial-branch=main", "hub")
    run("init", "--quiet", "--initial-branch=main", "work")
    return run
