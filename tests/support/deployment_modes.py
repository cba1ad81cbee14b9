"""The modes as they are lived in: a user with a token, a daemon that keeps it, and a program of theirs that is after it."""

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

from fakehub import FakeHub
from real_client import CANARY
from secret_service import SecretService
from system_users import UserDaemon, SystemUsers

ATTACKS = Path(__file__).with_name("attacks.py")
PASSPHRASE = "the passphrase of this test"
# A program of the user's that has the token and takes no care of it.
CARELESS = "import os, sys; held = os.environ['HF_TOKEN'] * 2; print(flush=True); sys.stdin.read()"


class DeploymentMode:
    """What the attacks need to know of a mode, and what its user does."""

    mode = ""
    vault = ""

    def __init__(self, system_users: SystemUsers, hub: FakeHub) -> None:
        self.system_users, self.user = system_users, system_users.user(self.mode)
        self.script = shutil.copy(ATTACKS, system_users.root / "attacks.py")
        os.chmod(self.script, 0o644)
        self.daemon = UserDaemon(system_users, self.user, hub.url, hub.ca_path, self.vault)
        self.place = self.user.home / ".local" / "bin"
        self.daemon.more_env["PATH"] = f"{self.place}:{system_users.python.parent}:/usr/bin:/bin"
        self.socket, self.config, self.state = (
            self.daemon.runtime / "control.sock",
            self.daemon.config,
            self.daemon.state,
        )
        self.loot = self.user.home / "loot"
        self.prepare()
        self.begin()
        self.must("login", "--token-stdin", stdin=CANARY)

    def prepare(self) -> None:
        """Before the daemon is started."""

    def begin(self, **popen: Any) -> None:
        """Start the daemon, and open its vault."""
        self.daemon.start(**popen)

    def again(self, **popen: Any) -> None:
        """The daemon is started anew, as by a new login."""
        self.daemon.stop()
        self.begin(**popen)

    def close(self) -> None:
        self.daemon.stop()

    @property
    def process(self) -> "subprocess.Popen[Any]":
        assert self.daemon.process is not None
        return self.daemon.process

    def cli(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The user runs hf-proxy, the real one."""
        return self.daemon.cli(*words, stdin=stdin)

    def must(self, *words: str, stdin: str = "") -> str:
        """... and it succeeds."""
        done = self.cli(*words, stdin=stdin)
        assert done.returncode == 0, done
        return done.stdout

    def types(self, *words: str, stdin: str = "") -> None:
        """The user types this into a shell, and means to say it to hf-proxy."""
        self.user.run("hf-proxy", *words, env=self.daemon.env, input=stdin)

    def doctor(self) -> dict[str, Any]:
        """Its report."""
        report: dict[str, Any] = json.loads(self.cli("doctor", "--json").stdout)
        return report

    def attack(self, name: str, *arguments: object) -> bytes:
        """What a process of the user's own gets hold of."""
        command = [str(self.system_users.python), "-I", str(self.script), name, *map(str, arguments)]
        return brought(self.user.run(*command, env=self.daemon.env, text=False))

    def kept(self) -> bytes:
        """What the attacker's program wrote down."""
        return self.loot.read_bytes() if self.loot.exists() else b""

    def careless(self) -> "subprocess.Popen[bytes]":
        """A program of the user's that is worth attacking."""
        command, env = [str(self.system_users.python), "-I", "-c", CARELESS], {**self.daemon.env, "HF_TOKEN": CANARY}
        return subprocess.Popen(command, env=env, cwd=self.daemon.root, **PIPES, **self.user.identity)

    def replaced(self, text: str) -> None:
        """Put the config back, as it was and whose it was."""
        file = self.config / "config.toml"
        file.write_text(text)
        os.chown(file, self.user.uid, self.user.gid)


class UserMode(DeploymentMode):
    """The default: a token in the keyring of a desktop."""

    mode, vault = "user", "keyring"

    def prepare(self) -> None:
        self.desktop = SecretService(self.user.home / "desktop", **self.user.identity)
        self.desktop.start()
        self.daemon.more_env["DBUS_SESSION_BUS_ADDRESS"] = self.desktop.address

    def close(self) -> None:
        super().close()
        self.desktop.stop()


class SealedMode(DeploymentMode):
    """Ciphertext in a file, and a passphrase that the daemon was given."""

    mode, vault = "sealed", "sealed-file"

    def begin(self, **popen: Any) -> None:
        super().begin(**popen)
        self.must("unlock", "--passphrase-fd", "0", stdin=PASSPHRASE)


class SealedKeyringMode(UserMode):
    """The item in the keyring is ciphertext, under a passphrase that the daemon was given."""

    mode = "sealed"

    def __init__(self, system_users: SystemUsers, hub: FakeHub) -> None:
        super().__init__(system_users, hub)
        self.must("vault", "seal", "--passphrase-fd", "0", stdin=PASSPHRASE)

    def again(self, **popen: Any) -> None:
        super().again(**popen)
        self.must("unlock", "--passphrase-fd", "0", stdin=PASSPHRASE)


def brought(done: "subprocess.CompletedProcess[bytes]") -> bytes:
    """The loot of an attack that did not fail by a mistake of its own."""
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.stdout


def any_size() -> None:
    """Core files may be as large as they like, as in a developer's shell."""
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "preexec_fn": any_size}
