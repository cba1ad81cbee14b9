"""What the checks start from: the config, what the daemon says of itself, and which process it is."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from hfproxy import config, paths
from hfproxy.cli.doctor.report import Mode
from hfproxy.config import Config
from hfproxy.control_client import request
from hfproxy.errors import ConfigError, HFProxyError
from hfproxy.wire import Message

# Where the dedicated user's daemon keeps its things; nothing of it can be asked for from outside.
DEDICATED_CONFIG = "/etc/hf-proxy"
DEDICATED_STATE = "/var/lib/hf-proxy"


@dataclass(frozen=True, slots=True)
class Facts:
    """`settings`, `status` and `examined` are None where they could not be had; then the error says why. Without a
    daemon nobody is asked to examine anything."""

    settings: Config | None
    settings_error: HFProxyError | None
    status: Message | None
    status_error: HFProxyError | None
    examined: Message | None
    examined_error: HFProxyError | None
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def pid(self) -> int | None:
        """The daemon's process."""
        pid = (self.status or {}).get("pid")
        return pid if isinstance(pid, int) else None

    @property
    def daemon_uid(self) -> int | None:
        """Whose process it is; None where that cannot be seen."""
        return None if self.pid is None else _uid_of(self.pid)

    @property
    def vault(self) -> str:
        """Its name as `status` has it; without a daemon, the kind that the config names."""
        named = (self.status or {}).get("vault")
        return named if isinstance(named, str) else self.settings.vault.backend if self.settings else "keyring"

    @property
    def mode(self) -> Mode:
        """Which of the three modes this is (docs/threat-model.md#modes)."""
        if self.daemon_uid not in {None, os.geteuid()}:
            return Mode.DEDICATED
        return Mode.SEALED if self.vault == "sealed-file" or self.vault.endswith("(sealed)") else Mode.USER

    @property
    def config_dir(self) -> str:
        return DEDICATED_CONFIG if self.mode is Mode.DEDICATED else paths.config_dir()

    @property
    def state_dir(self) -> str:
        return DEDICATED_STATE if self.mode is Mode.DEDICATED else paths.state_dir()


def gather() -> Facts:
    """Ask for them."""
    settings, settings_error = _settings()
    status, status_error = _answer("status")
    examined, examined_error = _answer("doctor") if status is not None else (None, None)
    return Facts(settings, settings_error, status, status_error, examined, examined_error)


def _settings() -> tuple[Config | None, HFProxyError | None]:
    try:
        return config.load(Path(paths.config_dir())), None
    except ConfigError as error:
        return None, error


def _answer(word: str) -> tuple[Message | None, HFProxyError | None]:
    try:
        return request({"do": word}), None
    except HFProxyError as error:
        return None, error


def _uid_of(pid: int) -> int | None:
    """From the `Uid:` line, which everybody may read (proc(5)): the directory's owner is root once it is undumpable."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            line = next(line for line in file if line.startswith(b"Uid:"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1])
