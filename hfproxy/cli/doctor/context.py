"""The input of the checks: the config, the daemon's replies, and its process."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from hfproxy import config, paths
from hfproxy.cli.doctor.report import Mode
from hfproxy.config import Config
from hfproxy.control_client import request
from hfproxy.daemon.runtime.procfs import real_uid
from hfproxy.errors import ConfigError, HFProxyError
from hfproxy.wire import Message

# The directories of the dedicated user's daemon, which does not report them.
DEDICATED_CONFIG = "/etc/hf-proxy"
DEDICATED_STATE = "/var/lib/hf-proxy"


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that the checks use.

    Attributes:
        settings: the config; None if it is not valid (`settings_error`).
        status: the reply to `status`; None if the daemon does not answer (`status_error`).
        examined: the reply to `doctor`; None if there is none (`examined_error`, which is None without a daemon).
        environ: the environment of the command.
    """

    settings: Config | None
    settings_error: HFProxyError | None
    status: Message | None
    status_error: HFProxyError | None
    daemon_checks: Message | None
    daemon_checks_error: HFProxyError | None
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def pid(self) -> int | None:
        """The daemon's process id; None without a daemon."""
        pid = (self.status or {}).get("pid")
        return pid if isinstance(pid, int) else None

    @property
    def daemon_uid(self) -> int | None:
        """The uid of the daemon's process; None if it is not visible."""
        return None if self.pid is None else real_uid(self.pid)

    @property
    def vault(self) -> str:
        """The vault's name from `status`; without a daemon, the kind named by the config."""
        name = (self.status or {}).get("vault")
        return name if isinstance(name, str) else self.settings.vault.backend if self.settings else "keyring"

    @property
    def mode(self) -> Mode:
        """The mode of this deployment (docs/threat-model.md#modes)."""
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
    """Load the config, and ask the daemon."""
    settings, settings_error = _settings()
    status, status_error = _request("status")
    examined, examined_error = _request("doctor") if status is not None else (None, None)
    return Facts(settings, settings_error, status, status_error, examined, examined_error)


def _settings() -> tuple[Config | None, HFProxyError | None]:
    try:
        return config.load(Path(paths.config_dir())), None
    except ConfigError as error:
        return None, error


def _request(word: str) -> tuple[Message | None, HFProxyError | None]:
    try:
        return request({"do": word}), None
    except HFProxyError as error:
        return None, error
