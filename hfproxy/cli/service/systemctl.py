"""systemd, as its own programs give it: the manager of the system, or that of a user."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hfproxy.cli.service.units import UNITS
from hfproxy.errors import ServiceError

# Longer than systemd itself gives a unit to start (90 s), so that it is systemd who says no.
TIMEOUT_S = 120


class Manager:
    """One systemd, asked through `systemctl`."""

    def __init__(self, *, system: bool) -> None:
        self.scope = "--system" if system else "--user"

    @property
    def journal(self) -> str:
        """The command that shows what the daemon has said."""
        return "journalctl -u hf-proxy.service" if self.scope == "--system" else "journalctl --user -u hf-proxy.service"

    def check_available(self, instead: str) -> None:
        """Is it there?

        Raises:
            ServiceError: it is not; `instead` is what to do then.
        """
        missing = next((name for name in ("systemctl", "systemd-analyze") if shutil.which(name) is None), None)
        if missing:
            raise ServiceError(f"there is no systemd here ({missing} is not found), nothing was changed; {instead}")
        if self.ask("show", "--property=Version").returncode != 0:
            kind = "systemd does not run here" if self.scope == "--system" else "no systemd of your user runs here"
            raise ServiceError(f"{kind} (systemctl {self.scope} has no answer), nothing was changed; {instead}")

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run systemctl; whatever it says."""
        return _run("systemctl", self.scope, "--no-pager", *words)

    def run_checked(self, *words: str) -> None:
        """Run systemctl.

        Raises:
            ServiceError: it failed; with the first line of what it said.
        """
        done = self.ask(*words)
        if done.returncode != 0:
            said = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
            raise ServiceError(f"systemctl {self.scope} {' '.join(words)}: {said}; see: {self.journal}")

    def property(self, unit: str, name: str) -> str:
        """One property of a unit; empty where it has none."""
        return self.ask("show", f"--property={name}", "--value", "--", unit).stdout.strip()

    def verify(self, files: Mapping[Path, str]) -> None:
        """Have systemd read the units before they are where it finds them.

        Raises:
            ServiceError: it has something to say about them.
        """
        with tempfile.TemporaryDirectory() as place:
            names = [target.name for target in files if target.name in UNITS]
            for target, text in files.items():
                (Path(place) / target.name).write_text(text, "utf-8")
            done = _run("systemd-analyze", self.scope, "verify", *(os.path.join(place, name) for name in names))
        # Of other units it speaks too, and its exit code changed its meaning more than once.
        said = [line for line in done.stderr.splitlines() if "hf-proxy" in line]
        if said or done.returncode != 0:
            reason = next(iter(said or done.stderr.splitlines()), f"exit code {done.returncode}")
            raise ServiceError(
                f"systemd does not take the units, nothing was changed: {reason}; see: systemctl --version"
            )


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise ServiceError(f"{command[0]} cannot be run, or does not end; see: {command[0]} --version") from None


def run(*command: str) -> None:
    """Run a program that has to succeed.

    Raises:
        ServiceError: it failed; with the first line of what it said.
    """
    done = _run(*command)
    if done.returncode != 0:
        said = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
        raise ServiceError(f"{command[0]}: {said}; see: {command[0]} --help")
