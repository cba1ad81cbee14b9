"""Checks of the installation: config, versions, service, journal, free disk space, and the owner of the files."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata, util
from shlex import quote

import hfproxy
from hfproxy import paths
from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Mode, Severity, of_error

MIB = 1024 * 1024
LOW_MIB = 500
TOO_LOW_MIB = 50
CHILD_SECONDS = 60
# The oldest version that is tested; older ones may work.
OLDEST_HUB = (0, 36)


def run_checks(facts: Facts) -> list[CheckResult]:
    """Return the results of all checks of the installation."""
    results = [_config(facts), _daemon(facts), _versions(facts), *_hub_client(), _service(facts), _journal(facts)]
    return [*results, *_disk(facts), *_files_of_other_users()]


def _config(facts: Facts) -> CheckResult:
    file = os.path.join(paths.config_dir(), "config.toml")
    if facts.settings_error is not None:
        return CheckResult("config", Severity.PROBLEM, str(facts.settings_error), f"${{EDITOR:-vi}} {quote(file)}")
    state = "is valid" if os.path.exists(file) else "does not exist, so all settings have their defaults"
    return CheckResult("config", Severity.OK, f"{file} {state}")


def _daemon(facts: Facts) -> CheckResult:
    if facts.status_error is not None:
        return of_error("daemon", Severity.PROBLEM, facts.status_error)
    return CheckResult("daemon", Severity.OK, f"the daemon answers (process {facts.pid}, uid {facts.daemon_uid})")


def _versions(facts: Facts) -> CheckResult:
    running, installed = (facts.status or {}).get("version"), hfproxy.__version__
    parser = "its C parser" if util.find_spec("aiohttp._http_parser") else "no C parser"
    measured = (
        f"hf-proxy {installed}, Python {platform.python_version()}, aiohttp {metadata.version('aiohttp')} with {parser}"
    )
    if running not in {None, installed}:
        restart = "systemctl --user restart hf-proxy.service"
        return CheckResult("versions", Severity.WARNING, f"{measured}; the running daemon is {running}", restart)
    return CheckResult("versions", Severity.OK, measured)


def _hub_client() -> list[CheckResult]:
    """Check the version of huggingface_hub for the first python3 on PATH."""
    version = _output("python3", "-c", "import importlib.metadata as m; print(m.version('huggingface_hub'))").strip()
    release = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(release) < 2:
        return []
    if release < OLDEST_HUB:
        measured = f"the python3 on PATH has huggingface_hub {version}, older than any tested one"
        return [CheckResult("client", Severity.WARNING, measured, "python3 -m pip install -U huggingface_hub")]
    return [CheckResult("client", Severity.OK, f"the python3 on PATH has huggingface_hub {version}")]


def _service(facts: Facts) -> CheckResult:
    if shutil.which("systemctl") is None:
        return CheckResult("service", Severity.INFO, "there is no systemd here to start the daemon", "hf-proxy daemon")
    manager = () if facts.mode is Mode.DEDICATED else ("--user",)
    state = _output("systemctl", *manager, "is-enabled", "hf-proxy.socket").strip()
    if state == "enabled":
        return CheckResult("service", Severity.OK, "hf-proxy.socket is enabled: the first command starts the daemon")
    measured = f"systemd does not start the daemon (hf-proxy.socket: {state or 'no answer'})"
    return CheckResult("service", Severity.INFO, measured, "hf-proxy service install")


def _journal(facts: Facts) -> CheckResult:
    if facts.status is not None and facts.status.get("journal") == "failed":
        measured = "the journal could not be written, so every request is refused"
        return CheckResult("journal", Severity.PROBLEM, measured, f"df -h {quote(facts.state_dir)}")
    directory = os.path.join(facts.state_dir, "journal")
    try:
        files = sorted(name for name in os.listdir(directory) if name.endswith(".jsonl"))
    except PermissionError:
        return CheckResult("journal", Severity.INFO, f"{directory} cannot be read by you", "hf-proxy audit verify")
    except OSError:
        files = []
    if not files:
        return CheckResult("journal", Severity.INFO, f"there is no journal in {directory} yet")
    last = os.path.join(directory, files[-1])
    result = _run(sys.executable, "-I", "-m", "hfproxy", "audit", "verify", last)
    if result is None or result.returncode != 0:
        output = result.stderr.decode("utf-8", "replace") if result else "the check takes too long"
        reason = output.strip().removeprefix("hf-proxy: ")
        return CheckResult("journal", Severity.PROBLEM, f"{last} does not verify: {reason}", "hf-proxy audit verify")
    return CheckResult("journal", Severity.OK, f"{last} verifies")


def _disk(facts: Facts) -> list[CheckResult]:
    """Check that this user's daemon can write its state, and the free space."""
    if facts.mode is Mode.DEDICATED:
        return []
    directory = facts.state_dir
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    if not os.access(directory, os.W_OK):
        measured = f"{directory} is not writable, and the daemon stores its state there"
        fix = "export HFPROXY_STATE_DIR=/a/directory/that/can/be/written"
        return [CheckResult("disk", Severity.PROBLEM, measured, fix)]
    space = os.statvfs(directory)
    free = space.f_bavail * space.f_frsize // MIB
    severity = Severity.PROBLEM if free < TOO_LOW_MIB else Severity.WARNING if free < LOW_MIB else Severity.OK
    fix = "" if severity is Severity.OK else f"du -sh {quote(facts.state_dir)}"
    return [CheckResult("disk", severity, f"{free} MiB are free for the journal in {facts.state_dir}", fix)]


def _files_of_other_users() -> list[CheckResult]:
    """Check for files of other users in the directories, as `sudo hf-proxy` leaves them: the daemon cannot use them."""
    for directory in (paths.config_dir(), paths.state_dir()):
        for folder, folders, files in os.walk(directory):
            for path in (folder, *(os.path.join(folder, name) for name in (*folders, *files))):
                if os.path.lexists(path) and os.lstat(path).st_uid != os.geteuid():
                    measured = f"{path} belongs to uid {os.lstat(path).st_uid}"
                    fix = f"sudo chown -R $USER {quote(directory)}"
                    return [CheckResult("foreign-files", Severity.PROBLEM, measured, fix)]
    return [CheckResult("foreign-files", Severity.OK, "all files of hf-proxy belong to this user")]


def _output(*command: str) -> str:
    result = _run(*command)
    return "" if result is None else result.stdout.decode("utf-8", "replace")


def _run(*command: str) -> "subprocess.CompletedProcess[bytes] | None":
    """Run a command in /, so that a python3 imports no module from the working directory."""
    try:
        return subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=CHILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
