"""The unit files of hf-proxy: the shipped texts with this installation's places put in.

The texts are in `systemd/`, in the sources beside the package, in a wheel within it. A file that was written from them
says so in its first line, with a digest of the rest; by that it is known what was changed since, or is not ours.
"""

import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from pathlib import Path

from hfproxy import paths
from hfproxy.errors import ServiceError

HERE = Path(str(resources.files("hfproxy")))
SHIPPED = next(place for place in (HERE / "systemd", HERE.parent / "systemd") if place.is_dir())
MARK = "# Written by hf-proxy service install. Changes go into drop-ins (systemctl edit); the digest of the rest:"
# What systemd takes in no way in the name of a program (string_is_safe in its sources), and what ends a line.
UNFIT = re.compile(r"""["'\\\x00-\x1f\x7f\ud800-\udfff]""")

CONTROL, DATA, DAEMON = UNITS = ("hf-proxy.socket", "hf-proxy-data.socket", "hf-proxy.service")

SYSTEM_DIRECTORY = Path("/etc/systemd/system")
SYSUSERS = Path("/etc/sysusers.d/hf-proxy.conf")
TMPFILES = Path("/etc/tmpfiles.d/hf-proxy.conf")


class UnitState(Enum):
    """What stands at a place where a unit file of ours belongs."""

    ABSENT = "not there"
    OURS = "as installed"
    FOREIGN = "changed since, or not ours"


@dataclass(frozen=True)
class InstallPaths:
    """Where this installation has what the units name."""

    python: str
    config: str
    state: str
    runtime: str

    @classmethod
    def of_user(cls) -> "InstallPaths":
        """As the commands of this user find them, whatever variables say so; raises `ConfigError` as `paths`."""
        return cls(os.path.abspath(sys.executable), paths.config_dir(), paths.state_dir(), paths.runtime_dir())

    @classmethod
    def of_system(cls) -> "InstallPaths":
        """Of the daemon under a user of its own."""
        return cls(os.path.abspath(sys.executable), "/etc/hf-proxy", "/var/lib/hf-proxy", "/run/hf-proxy")

    def environment(self) -> str:
        """The value of `Environment=` that makes the daemon find them too (systemd.exec(5): quoted words)."""
        named = {
            "HFPROXY_CONFIG_DIR": self.config,
            "HFPROXY_STATE_DIR": self.state,
            "HFPROXY_RUNTIME_DIR": self.runtime,
        }
        return " ".join(f'"{name}={quote_unit_value(place)}"' for name, place in named.items())


def quote_unit_value(path: str) -> str:
    """A path as a unit file has it: `%` would begin a specifier (systemd.unit(5)).

    Raises:
        ServiceError: systemd has no way to write it.
    """
    if UNFIT.search(path):
        raise ServiceError(
            f"systemd takes no quotes, backslashes or control characters in {path!a};"
            " put it where there are none, then: hf-proxy service install"
        )
    return path.replace("%", "%%")


def texts(directory: Path, places: InstallPaths, address: str) -> Iterator[tuple[Path, str]]:
    """The unit files, by where they go: `directory`, and what system units need beside them.

    `address`: of the data socket, `127.0.0.1:4880`. Raises `ServiceError` as `fit`.
    """
    values = {
        "PYTHON": f'"{quote_unit_value(places.python)}"',
        "ENVIRONMENT": places.environment(),
        "RUNTIME": quote_unit_value(places.runtime),
        "STATE": quote_unit_value(places.state),
        "DATA": address,
    }
    for source, target in _sources(directory):
        body = re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], source.read_text("utf-8"))
        yield target, f"{MARK} {_digest(body)}\n{body}"


def _sources(directory: Path) -> Iterator[tuple[Path, Path]]:
    system = directory == SYSTEM_DIRECTORY
    for name in UNITS:
        yield (SHIPPED / "system" if system else SHIPPED) / name, directory / name
    if system:
        yield SHIPPED / "system" / "hf-proxy.sysusers", SYSUSERS
        yield SHIPPED / "system" / "hf-proxy.tmpfiles", TMPFILES


def user_directory() -> Path:
    """Where a user's own units are (systemd.unit(5))."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(config) if os.path.isabs(config) else Path.home() / ".config") / "systemd" / "user"


def targets(directory: Path) -> list[Path]:
    """Every file that an installation consists of."""
    return [target for _, target in _sources(directory)]


def written(target: Path) -> str | None:
    """What an installation wrote there; None: nothing is there, or something else."""
    try:
        text = None if target.is_symlink() else target.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if text is None:
        return None
    head, _, body = text.partition("\n")
    return text if head == f"{MARK} {_digest(body)}" else None


def state(target: Path) -> UnitState:
    """Who wrote what stands there."""
    if written(target) is not None:
        return UnitState.OURS
    return UnitState.FOREIGN if os.path.lexists(target) else UnitState.ABSENT


def address_in(text: str) -> tuple[str, int] | None:
    """The address that an installed data socket has."""
    match = re.search(r"^ListenStream=([0-9.]+):([0-9]+)$", text, re.MULTILINE)
    return (match[1], int(match[2])) if match else None


def check_only_root_changes(*programs: Path) -> None:
    """For a daemon of a user of its own: whoever can change its program has its tokens, and into homes it cannot see.

    Raises:
        ServiceError: names the place that others may change, or the home.
    """
    for program in {place for named in programs for place in (named, named.resolve())}:
        for place in (program, *program.parents):
            found = place.lstat()
            open_to_others = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
            if not stat.S_ISLNK(found.st_mode) and (found.st_uid != 0 or open_to_others):
                raise ServiceError(f"{place} can be changed by others than root; install hf-proxy into /opt as root")
        if program.is_relative_to("/home") or program.is_relative_to("/root"):
            raise ServiceError(f"{program} is in a home, which the service does not see; install hf-proxy into /opt")


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()[:32]
