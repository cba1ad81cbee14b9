"""The real git and git-lfs in a home of their own, with a credential helper that hands out one token."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

CONFIG = """
[user]
    name = Me
    email = me@example.com
[init]
    defaultBranch = main
[credential]
    helper = "!f() {{ test \\"$1\\" = get && printf 'username=any\\npassword={token}\\n'; }}; f"
[filter "lfs"]
    clean = git-lfs clean -- %f
    smudge = git-lfs smudge -- %f
    process = git-lfs filter-process
    required = true
[advice]
    detachedHead = false
"""


class Git:
    """One person's git. Without a token it has no credential to offer."""

    def __init__(self, home: Path, hub: Any, token: str | None) -> None:
        home.mkdir(parents=True)
        config = CONFIG if token else CONFIG.replace("[credential]", "[nobody]")
        (home / ".gitconfig").write_text(config.format(token=token))
        self.home = home
        self.env = {
            "PATH": f"{Path(shutil.which('git-lfs') or '').parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "GIT_SSL_CAINFO": str(hub.ca_path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "NO_PROXY": "127.0.0.1,127.0.0.2,localhost",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run git; it may fail."""
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=cwd or self.home, env=self.env | env, capture_output=True, text=True, timeout=60, check=False
        )

    def must(self, *arguments: str, cwd: Path | None = None, **env: str) -> str:
        """Run git, which has to succeed; returns what it printed."""
        done = self.run(*arguments, cwd=cwd, **env)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def clone(self, url: str, name: str = "clone", *options: str) -> Path:
        """Clone and return the working tree."""
        self.must("clone", *options, url, name)
        return self.home / name

    def commit(self, tree: Path, files: dict[str, bytes], title: str = "a change") -> str:
        """Write files and commit them; returns the commit's id."""
        for path, data in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        self.must("add", "--all", cwd=tree)
        self.must("commit", "--quiet", "--message", title, cwd=tree)
        return self.must("rev-parse", "HEAD", cwd=tree)
