"""`service`: have systemd keep the sockets and run the daemon, and undo that."""

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
    ("--system", "", "as a service of the machine, under a user of its own; needs root"),
    rest="install|uninstall|status",
    max_positional=1,
)

SOCKETS = (CONTROL, DATA)
# As `vault.os_keyring` names it.
ITEM_REMOVAL = "secret-tool clear service hf-proxy username accounts"


@dataclass(frozen=True)
class Installation:
    """The service of a user, or that of the machine."""

    system: bool
    manager: Manager
    places: InstallPaths
    directory: Path

    @property
    def command(self) -> str:
        """How to ask for it, but for the verb."""
        return "sudo hf-proxy service --system" if self.system else "hf-proxy service"

    @property
    def files(self) -> list[Path]:
        """Every file it consists of."""
        return units.targets(self.directory)


def run(words: list[str]) -> int:
    """Raises as `service_manager.Manager`, and `ServiceError` for what stands in the way."""
    arguments = SYNTAX.read(words)
    verbs = {"install": install, "uninstall": uninstall, "status": status}
    if not arguments.rest or arguments.rest[0] not in verbs:
        raise SYNTAX.usage_error("it takes one of: install, uninstall, status")
    return verbs[arguments.rest[0]](_target(system=arguments.switch("--system")))


def _target(*, system: bool) -> Installation:
    if sys.platform != "linux":
        raise ServiceError("services are made for systemd only; elsewhere, run by hand: hf-proxy daemon &")
    if not system:
        return Installation(system, Manager(system=False), InstallPaths.of_user(), units.user_directory())
    # Whom the commands below have to find, whatever the caller's own daemon is.
    os.environ["HFPROXY_RUNTIME_DIR"] = InstallPaths.of_system().runtime
    return Installation(system, Manager(system=True), InstallPaths.of_system(), units.SYSTEM_DIRECTORY)


# --- install ----------------------------------------------------------------------------------------------------------


def install(target: Installation) -> int:
    """Write, verify, enable and start; on any failure all is as it was before."""
    if target.system:
        _check_root(target)
        units.check_only_root_changes(Path(target.places.python), units.HERE)
    target.manager.check_available("start the daemon by hand: hf-proxy daemon &")
    _check_nothing_of_others(target)
    before = {file: units.written(file) for file in target.files}
    _check_no_daemon_by_hand(target)
    address = _address(target, before[target.directory / DATA])
    files = dict(units.texts(target.directory, target.places, address))
    target.manager.verify(files)
    try:
        _put_in_place(target, before, files)
        pid = request({"do": "status"}).get("pid")
    except BaseException:
        _roll_back(target, before)
        raise
    show(f"hf-proxy runs as a service (process {pid}) at http://{address}, and starts when it is asked for")
    show(f"units: {target.directory}; to undo: {target.command} uninstall")
    return 0


def _put_in_place(target: Installation, before: dict[Path, str | None], files: dict[Path, str]) -> None:
    manager = target.manager
    changed = {file.name for file, text in files.items() if before[file] != text}
    if changed.intersection(SOCKETS):  # which are not changed while they are in use
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
    """As well as it goes: what failed already is told, not what fails now."""
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
    """Where the data socket is to listen: as the config says; port 0: where it does already, or anywhere, for good."""
    wanted = config.load(Path(target.places.config)).listen.host_port
    held = units.address_in(installed) if installed else None
    if held is not None and wanted[1] in {0, held[1]}:
        return f"{held[0]}:{held[1]}"
    with data_socket(None, wanted, Path(target.places.state) / "port") as free:
        return f"{wanted[0]}:{free.getsockname()[1]}"


def _check_root(target: Installation) -> None:
    if os.geteuid() != 0:
        raise ServiceError(f"only root may do that; run: {target.command} install")


def _check_nothing_of_others(target: Installation) -> None:
    for file in target.files:
        if units.state(file) is UnitState.FOREIGN:
            raise ServiceError(
                f"{file} was changed, or is not from hf-proxy, and is left as it is;"
                f" move it away (mv {file} {file}.old), then: {target.command} install"
            )


def _check_no_daemon_by_hand(target: Installation) -> None:
    if target.manager.property(CONTROL, "ActiveState") == "active":
        return
    running = _answering()
    if running is not None:
        pid = running.get("pid")
        raise ServiceError(
            f"a daemon runs already, started by hand; stop it: kill {pid}, then: {target.command} install"
        )


def _answering() -> Message | None:
    try:
        return request({"do": "status"})
    except HFProxyError:
        return None


# --- the others -------------------------------------------------------------------------------------------------------


def uninstall(target: Installation) -> int:
    """Stop it and take away every file and link; what it knows stays."""
    if target.system:
        _check_root(target)
    if all(units.state(file) is UnitState.ABSENT for file in target.files):
        show("hf-proxy is not installed as a service")
        return 0
    _check_nothing_of_others(target)
    target.manager.check_available("to remove it by hand: rm " + " ".join(map(str, target.files)))
    _stop(target)
    left = [str(file) for file in target.files if os.path.lexists(file)]
    if left:
        raise ServiceError(f"{left[0]} is still there; remove it: rm {left[0]}")
    _forget_directory(Path(target.places.runtime))
    show("the service is gone: its units, sockets and links")
    backend = _backend(target)
    whose = "; the user hf-proxy, whose files these are" if target.system else ""
    show(f"kept: the journal, {target.places.state}/journal; the vault, {_vault(target, backend)}{whose}")
    show(f"to remove all: {_removal(target, backend)}")
    return 0


def _forget_directory(runtime: Path) -> None:
    try:
        runtime.rmdir()
    except OSError:
        return  # not there, or somebody has put something into it


def _backend(target: Installation) -> str | None:
    """What keeps the tokens; None: that is not to be read."""
    try:
        return config.load(Path(target.places.config)).vault.backend
    except ConfigError:
        return None


def _vault(target: Installation, backend: str | None) -> str:
    """Where the tokens are."""
    if backend is None:
        return "where it was: config.toml cannot be read"
    elsewhere = {"keyring": "in the keyring", "memory": "which ended with the daemon"}
    return elsewhere.get(backend, f"in {target.places.state}")


def _removal(target: Installation, backend: str | None) -> str:
    """The command that takes away what is kept, the config too."""
    there = [place for place in (target.places.state, target.places.config) if os.path.isdir(place)]
    commands = _users_removal() if target.system else []
    commands += [shlex.join(["rm", "-r", *there])] if there else []
    if backend in {"keyring", None}:
        commands.append(ITEM_REMOVAL)
    return "; ".join(commands)


def _users_removal() -> list[str]:
    """userdel takes the group with it, but not one that has members (userdel(8))."""
    try:
        members = grp.getgrnam("hf-proxy").gr_mem
    except KeyError:
        members = []
    return ["userdel hf-proxy", "groupdel hf-proxy"] if members else ["userdel hf-proxy"]


def status(target: Installation) -> int:
    """How each unit is; the exit code is 0 if all of them are in place and the daemon answers."""
    target.manager.check_available("is a daemon up at all? hf-proxy status")
    for unit in UNITS:
        stands = units.state(target.directory / unit).value
        active, enabled = (target.manager.property(unit, name) for name in ("ActiveState", "UnitFileState"))
        show(f"{unit:<21} {stands}, {active}{', enabled' if enabled == 'enabled' else ''}")
    if not all(units.state(file) is UnitState.OURS for file in target.files):
        raise RefusedError(f"the service is not installed; run: {target.command} install")
    pid = target.manager.property(DAEMON, "MainPID")
    if target.manager.property(CONTROL, "ActiveState") != "active" or _answering() is None:
        raise DaemonError(f"the service does not answer (process {pid}); see: {target.manager.journal}")
    show(f"the daemon answers (process {target.manager.property(DAEMON, 'MainPID')})")
    return 0
