"""A daemon in directories of its own, its process, and its command line.

Everything runs as a user would run it: separate processes, real sockets. The interpreter is the one in
`HFPROXY_PYTHON` (a wheel's environment in CI) or this one; it is started isolated, so that only what is installed there is used.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import control_socket
from readiness import ReadySocket, wait_for_answer

# Within which an entry follows its effect.
ENTRY_SECONDS = 30
PYTHON = os.environ.get("HFPROXY_PYTHON", sys.executable)
HFPROXY = (PYTHON, "-I", "-m", "hfproxy")
PASSPHRASE = b"a passphrase of the drill"
# What a developer's own shell may hold and a test must not.
FOREIGN = ("HF_", "HUGGING", "HFPROXY_", "XDG_", "NETRC", "SSL", "LISTEN_", "NOTIFY_", "DBUS_")


class DaemonFixture:
    """The directories and the process of one daemon. `built` are all of them, to be stopped whatever happens."""

    built: ClassVar[list["DaemonFixture"]] = []

    def __init__(self, root: Path, hub: str, ca_file: Path | None = None, vault: str = "memory") -> None:
        self.root = root
        self.hub, self.ca_file, self.vault = hub, ca_file, vault
        self.config, self.state, self.runtime = root / "config", root / "state", root / "run"
        self.log = root / "daemon.log"
        self.home = root / "home"
        self.first_seq = 0
        """Journal entries before this one are not shown by `audit`."""
        self.hfproxy = HFPROXY
        self.process: subprocess.Popen[bytes] | None = None
        self.config.mkdir(mode=0o700, parents=True)
        self.built.append(self)
        self.configure()

    def configure(self, more: str = "", port: int = 0) -> None:
        """Write the config file."""
        ca = f'ca_file = "{self.ca_file}"\n' if self.ca_file else ""
        (self.config / "config.toml").write_text(
            f'[listen]\naddress = "127.0.0.1:{port}"\n[upstream]\nhub = "{self.hub}"\n{ca}'
            f'[vault]\nbackend = "{self.vault}"\n{more}'
        )

    @property
    def socket(self) -> Path:
        """The daemon's control socket."""
        return self.runtime / "control.sock"

    @property
    def env(self) -> dict[str, str]:
        """The environment of the daemon and of commands: the user's, without what could interfere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return kept | {
            "HFPROXY_CONFIG_DIR": str(self.config),
            "HFPROXY_STATE_DIR": str(self.state),
            "HFPROXY_RUNTIME_DIR": str(self.runtime),
            "HOME": str(self.home),
        }

    def start(self, *options: str, env: dict[str, str] | None = None, before: Sequence[str] = (), **popen: Any) -> None:
        """Start the daemon, under the command `before` if there is one, and wait until it is ready."""
        self.home.mkdir(exist_ok=True)
        with ReadySocket() as ready, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, *self.hfproxy, "daemon", *options],
                env=self.env | ready.env | (env or {}),
                stderr=log,
                stdin=subprocess.DEVNULL,
                **popen,
            )
            theirs = "NOTIFY_SOCKET" in (env or {})
            started = wait_for_answer(self.socket, self.process) if theirs else ready.wait(self.process)
        if not started:
            self.stop()
            raise AssertionError(f"the daemon did not start:\n{self.log.read_text()}")

    def stop(self) -> int | None:
        """Stop it as a service manager would; returns its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        code = self.process.wait(30)
        self.process = None
        return code

    def cli(
        self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of hf-proxy."""
        return subprocess.run(
            [*HFPROXY, *arguments], env=self.env | (env or {}), input=stdin, capture_output=True, text=True, timeout=120
        )

    def must(self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> str:
        """Run a command that has to succeed; returns what it printed."""
        done = self.cli(*arguments, stdin=stdin, env=env)
        assert done.returncode == 0, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log.read_text()}"
        )
        return done.stdout

    def login(self, token: str, *options: str) -> None:
        """Log an account in."""
        _, account = options or ("--account", "default")
        self.request({"do": "login", "account": account, "token": token})

    def mint(self, *options: str) -> dict[str, Any]:
        """A credential and its endpoint."""
        return self.request(control_socket.mint_request(options))

    def status(self) -> dict[str, Any]:
        """The daemon's own account of itself."""
        return self.request({"do": "status"})

    def audit(self, *options: str) -> list[dict[str, Any]]:
        """The journal's entries."""
        entries = control_socket.stream(self.socket, control_socket.audit_request(options))
        return [entry for entry in entries if entry["seq"] > self.first_seq]

    def audit_with(self, kind: str) -> list[dict[str, Any]]:
        """The journal's entries, once one of them is of a kind.

        A grant is over before that is on disk, so the entry may come a moment after its effect.
        """
        deadline = time.monotonic() + ENTRY_SECONDS
        while True:
            entries = self.audit()
            if any(entry["kind"] == kind for entry in entries):
                return entries
            assert time.monotonic() < deadline, entries
            time.sleep(0.01)

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request on the control socket and return its answer."""
        return control_socket.request(self.socket, message)


class PersistentDaemon(DaemonFixture):
    """A daemon whose accounts outlive it: its vault is a sealed file, opened at every start."""

    def begin(self, before: Sequence[str] = ()) -> None:
        reading, writing = os.pipe()
        os.write(writing, PASSPHRASE)
        os.close(writing)
        self.start("--passphrase-fd", str(reading), before=before, pass_fds=(reading,))
        os.close(reading)

    def kill(self) -> None:
        """As a crash, or the kernel, does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None
