"""The dedicated user's mode as it is lived in: the attacker is a member of the group, as the user is."""

import subprocess
from pathlib import Path
from typing import Any

from deployment_modes import ATTACKS, CARELESS, PASSPHRASE, PIPES, DeploymentMode, brought
from fakehub import FakeHub
from daemon_fixture import PYTHON
from machine import CONFIG, MEMBERS, RUNTIME, STATE, Machine
from real_client import CANARY
from system_users import SystemUsers


class DedicatedMode(DeploymentMode):
    """A machine of its own, on which the daemon is another user's."""

    mode, vault = "dedicated", "sealed-file"

    def __init__(self, system_users: SystemUsers, hub: FakeHub) -> None:
        self.machine = Machine(hub.url, hub.ca_path.read_bytes())
        self.machine.configure(hub.url, self.vault)
        self.member = MEMBERS[0]
        home = f"/run/home/{self.member}"
        self.script, self.place, self.loot = "/run/attacks.py", Path(home, ".local/bin"), Path(home, "loot")
        self.socket, self.state = Path(RUNTIME, "control.sock"), Path(STATE)
        self.machine.file(self.script).write_bytes(ATTACKS.read_bytes())
        self.machine.file(self.script).chmod(0o644)
        self.env = {"PATH": f"{self.place}:/usr/bin:/bin", "HFPROXY_STATE_DIR": STATE}
        self.begin()
        self.must("login", "--token-stdin", stdin=CANARY)

    @property
    def config(self) -> Path:
        """As root sees it, who puts it back; the attacker is told its own name."""
        return self.machine.file(CONFIG)

    @property
    def process(self) -> "subprocess.Popen[Any]":
        assert self.machine.process is not None
        return self.machine.process

    def begin(self, **popen: Any) -> None:
        """root unlocks it, as the machine's administrator."""
        self.machine.start()
        self.machine.must("root", "unlock", "--passphrase-fd", "0", stdin=PASSPHRASE)

    def again(self, **popen: Any) -> None:
        self.machine.stop()
        self.begin()

    def close(self) -> None:
        self.machine.close()

    def cli(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return self.machine.cli(self.member, *words, stdin=stdin, env={"PATH": self.env["PATH"]})

    def types(self, *words: str, stdin: str = "") -> None:
        self.machine.run(self.member, "hf-proxy", *words, stdin=stdin, env=self.env)

    def attack(self, name: str, *arguments: object) -> bytes:
        told = [str(one).removeprefix(str(self.machine.file("/")).rstrip("/")) for one in arguments]
        command = self.machine.command(self.member, [PYTHON, "-I", self.script, name, *told])
        return brought(subprocess.run(command, env={**self.env, "HOME": str(self.loot.parent)}, capture_output=True))

    def kept(self) -> bytes:
        file = self.machine.file(str(self.loot))
        return file.read_bytes() if file.exists() else b""

    def careless(self) -> "subprocess.Popen[bytes]":
        at_home = ["sh", "-c", 'cd "$HOME" && exec "$@"', "sh"]  # where a core file can be written
        command = self.machine.command(self.member, [*at_home, PYTHON, "-I", "-c", CARELESS])
        return subprocess.Popen(command, env={"HF_TOKEN": CANARY, "HOME": str(self.loot.parent)}, **PIPES)

    def replaced(self, text: str) -> None:
        (self.config / "config.toml").write_text(text)
