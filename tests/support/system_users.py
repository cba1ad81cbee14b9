"""Users of this machine, real accounts of the system made for one run, and hf-proxy installed for all of them.

Root may look into everything, so whoever is tried has to be somebody else. The program is put where everybody can
read it and only root can write it, as an administrator would.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from daemon_fixture import DaemonFixture
from readiness import ReadySocket

import hfproxy


class User:
    """An account of the system, with a home."""

    def __init__(self, name: str, home: Path, groups: Sequence[str] = ()) -> None:
        joined = ["--groups", ",".join(groups)] if groups else []
        subprocess.run(
            ["useradd", "--create-home", "--home-dir", home, "--user-group", *joined, "--shell", "/bin/sh", name],
            check=True, capture_output=True,
        )  # fmt: skip
        self.name, self.home = name, home
        self.uid, self.gid = pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid

    @property
    def identity(self) -> dict[str, Any]:
        """For `subprocess`: who the process is."""
        return {"user": self.uid, "group": self.gid, "extra_groups": os.getgrouplist(self.name, self.gid)}

    def owns(self, path: Path) -> Path:
        """Give it a file, or a directory with all that is in it."""
        for one in (path, *path.rglob("*")):
            os.chown(one, self.uid, self.gid)
        return path

    def run(self, *command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a program as this user."""
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 120, "cwd": self.home}
        return subprocess.run(command, **{**settings, **self.identity, **more})

    def leave(self) -> None:
        """The account goes."""
        subprocess.run(["userdel", "--force", self.name], check=True, capture_output=True)


class SystemUsers:
    """Where they live."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="hfproxy-users-", dir="/tmp"))
        self.root.chmod(0o755)
        self.python = self._install()
        self.users: list[User] = []

    def user(self, role: str, groups: Sequence[str] = ()) -> User:
        """A new one; its name is told from those of other runs."""
        which = f"{role}-{len(self.users)}"
        user = User(f"hfp-{which}-{os.getpid()}", self.root / which, groups)
        self.users.append(user)
        return user

    def close(self) -> None:
        while self.users:
            self.users.pop().leave()
        shutil.rmtree(self.root)

    def _install(self) -> Path:
        """An environment of this Python's version, with what ours has."""
        base = next(filter(_for_everybody, _interpreters()), None)
        if base is None:
            pytest.skip("needs a Python of this version outside of private homes; on Debian: apt install python3-venv")
        subprocess.run([base, "-m", "venv", "--without-pip", self.root / "venv"], check=True)
        python = self.root / "venv" / "bin" / "python"
        (site,) = self.root.glob("venv/lib/python*/site-packages")
        theirs, left_out = sysconfig.get_path("purelib"), shutil.ignore_patterns("*.pth", "pip*")
        shutil.copytree(theirs, site, ignore=left_out, dirs_exist_ok=True)
        package = Path(hfproxy.__file__).parent
        shutil.copytree(package, site / "hfproxy", dirs_exist_ok=True)
        return python


class UserDaemon(DaemonFixture):
    """A daemon of such a user, below their home. The test that built it stops it."""

    def __init__(self, system_users: SystemUsers, user: User, hub: str, ca_file: Path, vault: str) -> None:
        shared = system_users.root / "ca.pem"
        shutil.copy(ca_file, shared)
        shared.chmod(0o644)
        self.user, self.more_env = user, dict[str, str]()
        super().__init__(user.home / "daemon", hub, shared, vault)
        self.built.remove(self)
        self.hfproxy = (str(system_users.python), "-I", "-m", "hfproxy")
        user.owns(self.root)

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "HOME": str(self.user.home), "PATH": "/usr/bin:/bin", **self.more_env}

    def start(self, *options: str, env: dict[str, str] | None = None, before: Sequence[str] = (), **popen: Any) -> None:
        """Start the daemon as the user, and wait until it answers."""
        with ReadySocket() as ready, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, *self.hfproxy, "daemon", *options],
                env=self.env | ready.env | (env or {}), stderr=log, stdin=subprocess.DEVNULL,
                **{"cwd": self.root, **self.user.identity, **popen},
            )  # fmt: skip
            assert ready.wait(self.process), self.log.read_text()

    def cli(
        self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.user.run(*self.hfproxy, *arguments, env=self.env | (env or {}), input=stdin)

    # By commands: the control socket answers the user alone.

    def login(self, token: str, *options: str) -> None:
        self.must("login", "--token-stdin", *options, stdin=token)

    def mint(self, *options: str) -> dict[str, Any]:
        minted: dict[str, Any] = json.loads(self.must("mint", "--json", *options))
        return minted

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.must("status", "--json"))
        return status

    def audit(self, *options: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.must("audit", "--json", *options).splitlines()]

    def doctor(self) -> dict[str, Any]:
        """Its report."""
        report: dict[str, Any] = json.loads(self.cli("doctor", "--json").stdout)
        return report


def _interpreters() -> list[Path]:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [Path(sys.executable).resolve(), *(Path(folder) / name for folder in ("/usr/bin", "/usr/local/bin"))]


def _for_everybody(program: Path) -> bool:
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        done = subprocess.run([program, "-I", "-c", "import venv, ssl, sqlite3"], capture_output=True, **nobody)
    except OSError:
        return False
    return done.returncode == 0


def needs_root() -> None:
    """Only root can make users."""
    if os.getuid() != 0:
        pytest.skip("needs root, to make users")
