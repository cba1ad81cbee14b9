"""Control of systemd through its own programs: the system's manager, or that of a user."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hfproxy.cli.service.units import UNITS
from hfproxy.errors import ServiceError

# Longer than systemd's own limit for starting a unit (90 s), so that systemd reports the timeout.
TIMEOUT_S = 120


class Manager:
    """A systemd manager, controlled through `systemctl`."""

    def __init__(self, *, system: bool) -> None:
        self.scope = "--system" if system else "--user"

    @property
    def journal(self) -> str:
        """The command that shows the daemon's log."""
        return "journalctl -u hf-proxy.service" if self.scope == "--system" else "journalctl --user -u hf-proxy.service"

    def check_available(self, instead: str, *, changes: bool = True) -> None:
        """Check that this systemd is running.

        Args:
            instead: the command to run if it is not, for the message.
            changes: whether the caller would change something; the message then says that nothing was changed.

        Raises:
            ServiceError: it is not running.
        """
        note = ", nothing was changed" if changes else ""
        missing = next((name for name in ("systemctl", "systemd-analyze") if shutil.which(name) is None), None)
        if missing:
            raise ServiceError(f"there is no systemd here ({missing} is not found){note}; run: {instead}")
        if self.ask("show", "--property=Version").returncode != 0:
            reason = "systemd does not run here" if self.scope == "--system" else "there is no systemd for your user"
            raise ServiceError(f"{reason} (systemctl {self.scope} has no answer){note}; run: {instead}")

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run systemctl, and return the result even if it failed."""
        return _run("systemctl", self.scope, "--no-pager", *words)

    def run_checked(self, *words: str) -> None:
        """Run systemctl.

        Raises:
            ServiceError: it failed; the message has the first line of its error output.
        """
        result = self.ask(*words)
        if result.returncode != 0:
            reason = next(iter(result.stderr.strip().splitlines()), f"exit code {result.returncode}")
            raise ServiceError(f"systemctl {self.scope} {' '.join(words)}: {reason}; see: {self.journal}")

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit; "" if the unit does not have it."""
        return self.ask("show", f"--property={name}", "--value", "--", unit).stdout.strip()

    def verify(self, files: Mapping[Path, str]) -> None:
        """Have systemd verify the units before they are installed.

        Raises:
            ServiceError: systemd reports a problem.
        """
        with tempfile.TemporaryDirectory() as directory:
            names = [target.name for target in files if target.name in UNITS]
            for target, text in files.items():
                (Path(directory) / target.name).write_text(text, "utf-8")
            result = _run("systemd-analyze", self.scope, "verify", *(os.path.join(directory, name) for name in names))
        # The output covers other units as well, and the meaning of the exit code differs between versions.
        problems = [line for line in result.stderr.splitlines() if "hf-proxy" in line]
        if problems or result.returncode != 0:
            reason = next(iter(problems or result.stderr.splitlines()), f"exit code {result.returncode}")
            raise ServiceError(
                f"systemd does not accept the units, nothing was changed: {reason}; see: systemctl --version"
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
    """Run a program that must succeed.

    Raises:
        ServiceError: it failed; the message has the first line of its error output.
    """
    result = _run(*command)
    if result.returncode != 0:
        reason = next(iter(result.stderr.strip().splitlines()), f"exit code {result.returncode}")
        raise ServiceError(f"{command[0]}: {reason}; see: {command[0]} --help")
