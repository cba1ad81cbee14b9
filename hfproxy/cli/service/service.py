"""`service`: have systemd hold the sockets and run the daemon: install, uninstall, status."""

import grp
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from hfproxy import atomic_file, config
from hfproxy.cli.service import systemctl, units
from hfproxy.cli.service.systemctl import Manager
from hfproxy.cli.service.units import CONTROL, DAEMON, DATA, UNITS, InstallPaths, UnitState
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request
from hfproxy.daemon.runtime.sockets import data_socket
from hfproxy.errors import ConfigError, DaemonError, HFProxyError, RefusedError, ServiceError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "service",
    "Run the daemon as a service of your user: install, uninstall, status.",
    ("--system", "", "as a service of the machine, under a dedicated user; needs root"),
    positionals="install|uninstall|status",
    max_positional=1,
)

SOCKETS = (CONTROL, DATA)
# The item of `hfproxy.vault.keyring_item`.
ITEM_REMOVAL = "secret-tool clear service hf-proxy username accounts"


@dataclass(frozen=True)
class Installation:
    """An installation of the service, for a user or for the machine.

    Attributes:
        system: whether it is the machine's.
        manager: its systemd.
        places: the paths that its units name.
        directory: the directory of its units.
    """

    system: bool
    manager: Manager
    places: InstallPaths
    directory: Path

    @property
    def command(self) -> str:
        """The command for this installation, without its verb."""
        return "sudo hf-proxy service --system" if self.system else "hf-proxy service"

    @property
    def files(self) -> list[Path]:
        """All files of the installation."""
        return units.installed_paths(self.directory)


def run(words: list[str]) -> int:
    """Install, uninstall or show the service.

    Raises:
        UsageError: the verb is unknown.
        ServiceError: systemd is missing or fails, or another file or daemon is in the way.
        RefusedError: `status`: the service is not installed.
        DaemonError: `status`: the daemon does not answer.
    """
    arguments = SYNTAX.read(words)
    verbs = {"install": install, "uninstall": uninstall, "status": status}
    if not arguments.positionals or arguments.positionals[0] not in verbs:
        raise SYNTAX.usage_error("choose install, uninstall or status")
    return verbs[arguments.positionals[0]](_target(system=arguments.switch("--system")))


def _target(*, system: bool) -> Installation:
    if sys.platform != "linux":
        raise ServiceError("services need systemd; elsewhere, run by hand: hf-proxy daemon &")
    if not system:
        return Installation(system, Manager(system=False), InstallPaths.of_user(), units.user_directory())
    # The requests below are for the machine's daemon, whatever daemon the caller uses.
    os.environ["HFPROXY_RUNTIME_DIR"] = InstallPaths.of_system().runtime
    return Installation(system, Manager(system=True), InstallPaths.of_system(), units.SYSTEM_DIRECTORY)


# --- install ----------------------------------------------------------------------------------------------------------


def install(target: Installation) -> int:
    """Write, verify, enable and start the units; on any failure restore the previous state."""
    _check_installable(target)
    before = {file: units.read_unchanged(file) for file in target.files}
    _check_no_daemon_by_hand(target)
    address = _address(target, before[target.directory / DATA])
    files = dict(units.render_files(target.directory, target.places, address))
    target.manager.verify(files)
    try:
        _activate(target, before, files)
        pid = request({"do": "status"}).get("pid")
    except BaseException:
        _roll_back(target, before)
        raise
    show(f"hf-proxy runs as a service (process {pid}) at http://{address}, and starts on demand")
    show(f"units: {target.directory}; to undo: {target.command} uninstall")
    return 0


def _check_installable(target: Installation) -> None:
    if target.system:
        _check_root(target)
        units.check_only_root_changes(Path(target.places.python), units.PACKAGE)
    target.manager.check_available("hf-proxy daemon &")
    _check_no_foreign_files(target)


def _activate(target: Installation, before: dict[Path, str | None], files: dict[Path, str]) -> None:
    """Write the changed files, and start the units; `before` holds the previous texts."""
    manager = target.manager
    changed = {file.name for file, text in files.items() if before[file] != text}
    if changed.intersection(SOCKETS):  # systemd does not change a socket that is in use
        manager.ask("stop", *UNITS)
    for file, text in files.items():
        if before[file] != text:
            _write(file, text)
    if target.system:
        systemctl.run("systemd-sysusers", str(units.SYSUSERS))
        systemctl.run("systemd-tmpfiles", "--create", str(units.TMPFILES))
    manager.run_checked("daemon-reload")
    manager.run_checked("enable", "--now", *SOCKETS)
    manager.run_checked("restart" if changed else "start", DAEMON)


def _roll_back(target: Installation, before: dict[Path, str | None]) -> None:
    """Restore the previous units as far as possible; errors are ignored, since the first one is reported."""
    _stop(target)
    for file, text in before.items():
        if text is not None:
            _write(file, text)
    target.manager.ask("daemon-reload")
    if all(before.values()):
        target.manager.ask("enable", "--now", *SOCKETS)


def _stop(target: Installation) -> None:
    target.manager.ask("disable", "--now", *SOCKETS)
    target.manager.ask("stop", *UNITS)
    for file in target.files:
        file.unlink(missing_ok=True)
    target.manager.ask("daemon-reload")
    target.manager.ask("reset-failed", *UNITS)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(file, text.encode("utf-8"))
        file.chmod(0o644)
    except OSError as error:
        raise ServiceError(
            f"{file} cannot be written ({error.strerror}), nothing was changed; run by hand: hf-proxy daemon &"
        ) from None


def _address(target: Installation, installed: str | None) -> str:
    """Return the address of the data socket: the configured one; for port 0 the installed port, or a free one."""
    host, port = config.load(Path(target.places.config)).listen.host_port
    current = units.address_in(installed) if installed else None
    if current is not None and port in {0, current[1]}:
        return f"{current[0]}:{current[1]}"
    with data_socket(None, (host, port), Path(target.places.state) / "port") as listener:
        return f"{host}:{listener.getsockname()[1]}"


def _check_root(target: Installation) -> None:
    if os.geteuid() != 0:
        raise ServiceError(f"only root may do that; run: {target.command} install")


def _check_no_foreign_files(target: Installation) -> None:
    for file in target.files:
        if units.unit_state(file) is UnitState.FOREIGN:
            raise ServiceError(
                f"{file} was changed, or is not from hf-proxy, and was left alone;"
                f" move it away (mv {file} {file}.old), then: {target.command} install"
            )


def _check_no_daemon_by_hand(target: Installation) -> None:
    if target.manager.property(CONTROL, "ActiveState") == "active":
        return
    daemon = _daemon_status()
    if daemon is not None:
        raise ServiceError(
            f"a daemon runs already, started by hand; stop it: kill {daemon.get('pid')}, then: {target.command} install"
        )


def _daemon_status() -> Message | None:
    try:
        return request({"do": "status"})
    except HFProxyError:
        return None


# --- uninstall, status ------------------------------------------------------------------------------------------------


def uninstall(target: Installation) -> int:
    """Stop the service and remove its files and links; the journal, the store and the vault stay."""
    if target.system:
        _check_root(target)
    if all(units.unit_state(file) is UnitState.ABSENT for file in target.files):
        show("hf-proxy is not installed as a service")
        return 0
    _check_no_foreign_files(target)
    target.manager.check_available("rm " + " ".join(map(str, target.files)))
    _stop(target)
    remaining = [str(file) for file in target.files if os.path.lexists(file)]
    if remaining:
        raise ServiceError(f"{remaining[0]} is still there; remove it: rm {remaining[0]}")
    _remove_if_empty(Path(target.places.runtime))
    show("the service is gone: its units, sockets and links")
    _show_kept(target)
    return 0


def _show_kept(target: Installation) -> None:
    backend = _backend(target)
    owner = "; the user hf-proxy, who owns these files" if target.system else ""
    show(f"kept: the journal, {target.places.state}/journal; the vault, {_vault(target, backend)}{owner}")
    show(f"to remove all: {_removal(target, backend)}")


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return  # missing, or another program has put files into it


def _backend(target: Installation) -> str | None:
    """Return the configured kind of vault; None if the config cannot be read."""
    try:
        return config.load(Path(target.places.config)).vault.backend
    except ConfigError:
        return None


def _vault(target: Installation, backend: str | None) -> str:
    """Describe the place of the tokens."""
    if backend is None:
        return "in its place: config.toml cannot be read"
    places = {"keyring": "in the keyring", "memory": "which ended with the daemon"}
    return places.get(backend, f"in {target.places.state}")


def _removal(target: Installation, backend: str | None) -> str:
    """Return the commands that remove everything that is kept, and the config."""
    directories = [place for place in (target.places.state, target.places.config) if os.path.isdir(place)]
    commands = _user_removal() if target.system else []
    commands += [shlex.join(["rm", "-r", *directories])] if directories else []
    if backend in {"keyring", None}:
        commands.append(ITEM_REMOVAL)
    return "; ".join(commands)


def _user_removal() -> list[str]:
    """Return the commands that remove the user; userdel removes the group only if it has no members (userdel(8))."""
    try:
        members = grp.getgrnam("hf-proxy").gr_mem
    except KeyError:
        members = []
    return ["userdel hf-proxy", "groupdel hf-proxy"] if members else ["userdel hf-proxy"]


def status(target: Installation) -> int:
    """Show the state of each unit; return 0 if all are installed and the daemon answers."""
    target.manager.check_available("hf-proxy status", changes=False)
    for unit in UNITS:
        state = units.unit_state(target.directory / unit).value
        active, enabled = (target.manager.property(unit, name) for name in ("ActiveState", "UnitFileState"))
        show(f"{unit:<21} {state}, {active}{', enabled' if enabled == 'enabled' else ''}")
    if not all(units.unit_state(file) is UnitState.OURS for file in target.files):
        raise RefusedError(f"the service is not installed; run: {target.command} install")
    pid = target.manager.property(DAEMON, "MainPID")
    if target.manager.property(CONTROL, "ActiveState") != "active" or _daemon_status() is None:
        raise DaemonError(f"the service does not answer (process {pid}); see: {target.manager.journal}")
    show(f"the daemon answers (process {target.manager.property(DAEMON, 'MainPID')})")
    return 0
