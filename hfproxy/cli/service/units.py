"""The unit files of hf-proxy: templates, filled in with the paths of this installation.

The templates are in `systemd/`: in the sources beside the package, in a wheel inside of it. An installed file has a
mark in its first line with a digest of the rest, which shows whether it was changed since, or is not from hf-proxy.
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

PACKAGE = Path(str(resources.files("hfproxy")))
TEMPLATES = next(place for place in (PACKAGE / "systemd", PACKAGE.parent / "systemd") if place.is_dir())
FIRST_LINE = "# Written by hf-proxy service install. Changes go into drop-ins (systemctl edit); the digest of the rest:"
# Characters that systemd never accepts in the path of a program (string_is_safe in its sources), and line breaks.
UNSAFE_CHARACTER = re.compile(r"""["'\\\x00-\x1f\x7f\ud800-\udfff]""")

CONTROL, DATA, DAEMON = UNITS = ("hf-proxy.socket", "hf-proxy-data.socket", "hf-proxy.service")

SYSTEM_DIRECTORY = Path("/etc/systemd/system")
SYSUSERS = Path("/etc/sysusers.d/hf-proxy.conf")
TMPFILES = Path("/etc/tmpfiles.d/hf-proxy.conf")


class UnitState(Enum):
    """The state of the file at the place of a unit."""

    ABSENT = "not there"
    OURS = "as installed"
    FOREIGN = "changed since, or not ours"


@dataclass(frozen=True)
class InstallPaths:
    """The paths of an installation that its units name: the interpreter and the three directories."""

    python: str
    config: str
    state: str
    runtime: str

    @classmethod
    def of_user(cls) -> "InstallPaths":
        """Return the paths that this user's commands use, from variables or defaults.

        Raises:
            ConfigError: a variable is not an absolute path, or there is no home directory.
        """
        return cls(os.path.abspath(sys.executable), paths.config_dir(), paths.state_dir(), paths.runtime_dir())

    @classmethod
    def of_system(cls) -> "InstallPaths":
        """Return the paths of the machine's daemon."""
        return cls(os.path.abspath(sys.executable), "/etc/hf-proxy", "/var/lib/hf-proxy", "/run/hf-proxy")

    def environment(self) -> str:
        """Return the value of `Environment=` that sets the directories for the daemon (systemd.exec(5): quoted words).

        Raises:
            ServiceError: a unit file cannot hold one of the paths.
        """
        variables = {
            "HFPROXY_CONFIG_DIR": self.config,
            "HFPROXY_STATE_DIR": self.state,
            "HFPROXY_RUNTIME_DIR": self.runtime,
        }
        return " ".join(f'"{name}={quote_unit_value(place)}"' for name, place in variables.items())


def quote_unit_value(path: str) -> str:
    """Return a path escaped for a unit file, where `%` begins a specifier (systemd.unit(5)).

    Raises:
        ServiceError: a unit file cannot hold the path.
    """
    if UNSAFE_CHARACTER.search(path):
        raise ServiceError(
            f"systemd accepts no quotes, backslashes or control characters in {path!a};"
            " choose a path without them, then: hf-proxy service install"
        )
    return path.replace("%", "%%")


def render_files(directory: Path, places: InstallPaths, address: str) -> Iterator[tuple[Path, str]]:
    """Yield (path, text) of the unit files in `directory`, and of the other files of a system installation.

    Args:
        directory: the directory of the units.
        places: the paths for the units.
        address: the address of the data socket, such as `127.0.0.1:4880`.

    Raises:
        ServiceError: a unit file cannot hold one of the paths.
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
        yield target, f"{FIRST_LINE} {_digest(body)}\n{body}"


def _sources(directory: Path) -> Iterator[tuple[Path, Path]]:
    system = directory == SYSTEM_DIRECTORY
    for name in UNITS:
        yield (TEMPLATES / "system" if system else TEMPLATES) / name, directory / name
    if system:
        yield TEMPLATES / "system" / "hf-proxy.sysusers", SYSUSERS
        yield TEMPLATES / "system" / "hf-proxy.tmpfiles", TMPFILES


def user_directory() -> Path:
    """Return the directory of the user's units (systemd.unit(5))."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(config) if os.path.isabs(config) else Path.home() / ".config") / "systemd" / "user"


def installed_paths(directory: Path) -> list[Path]:
    """Return the paths of all files of an installation."""
    return [target for _, target in _sources(directory)]


def read_unchanged(target: Path) -> str | None:
    """Return the text of an unchanged installed file; None if the file is missing, changed or not from hf-proxy."""
    try:
        text = None if target.is_symlink() else target.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if text is None:
        return None
    head, _, body = text.partition("\n")
    return text if head == f"{FIRST_LINE} {_digest(body)}" else None


def unit_state(target: Path) -> UnitState:
    """Return the state of the file at the place of a unit."""
    if read_unchanged(target) is not None:
        return UnitState.OURS
    return UnitState.FOREIGN if os.path.lexists(target) else UnitState.ABSENT


def address_in(text: str) -> tuple[str, int] | None:
    """Return the (host, port) in the text of an installed data socket."""
    match = re.search(r"^ListenStream=([0-9.]+):([0-9]+)$", text, re.MULTILINE)
    return (match[1], int(match[2])) if match else None


def check_only_root_changes(*programs: Path) -> None:
    """Check that only root can change the programs, and that the machine's daemon can see them.

    A user who can change the daemon's program gets its tokens; and the service cannot see home directories.

    Raises:
        ServiceError: the message names the path that others may change, or that is in a home.
    """
    for program in {path for named in programs for path in (named, named.resolve())}:
        for path in (program, *program.parents):
            status = path.lstat()
            open_to_others = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            if not stat.S_ISLNK(status.st_mode) and (status.st_uid != 0 or open_to_others):
                raise ServiceError(
                    f"{path} can be changed by users other than root; install hf-proxy into /opt as root"
                )
        if program.is_relative_to("/home") or program.is_relative_to("/root"):
            raise ServiceError(f"{program} is in a home, which the service cannot see; install hf-proxy into /opt")


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()[:32]
