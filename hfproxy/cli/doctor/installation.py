"""The house: config, versions, service, journal, room on the disk, and whose the files are."""

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
LITTLE_MIB = 500
NO_MIB = 50
CHILD_SECONDS = 60
# What the tests play with; older ones may work.
OLDEST_HUB = (0, 36)


def findings(facts: Facts) -> list[CheckResult]:
    """About all of that."""
    found = [_config(facts), _daemon(facts), _versions(facts), *_hub_client(), _service(facts), _journal(facts)]
    return [*found, *_disk(facts), *_files_of_other_users()]


def _config(facts: Facts) -> CheckResult:
    file = os.path.join(paths.config_dir(), "config.toml")
    if facts.settings_error is not None:
        return CheckResult("config", Severity.PROBLEM, str(facts.settings_error), f"${{EDITOR:-vi}} {quote(file)}")
    there = "is valid" if os.path.exists(file) else "is not there, so everything is as by default"
    return CheckResult("config", Severity.OK, f"{file} {there}")


def _daemon(facts: Facts) -> CheckResult:
    if facts.status_error is not None:
        return of_error("daemon", Severity.PROBLEM, facts.status_error)
    return CheckResult("daemon", Severity.OK, f"the daemon answers (process {facts.pid}, uid {facts.daemon_uid})")


def _versions(facts: Facts) -> CheckResult:
    theirs, ours = (facts.status or {}).get("version"), hfproxy.__version__
    parser = "its C parser" if util.find_spec("aiohttp._http_parser") else "no C parser"
    measured = (
        f"hf-proxy {ours}, Python {platform.python_version()}, aiohttp {metadata.version('aiohttp')} with {parser}"
    )
    if theirs not in {None, ours}:
        restart = "systemctl --user restart hf-proxy.service"
        return CheckResult("versions", Severity.WARNING, f"{measured}; the daemon that runs is {theirs}", restart)
    return CheckResult("versions", Severity.OK, measured)


def _hub_client() -> list[CheckResult]:
    """huggingface_hub of the Python that is first on PATH."""
    said = _output("python3", "-c", "import importlib.metadata as m; print(m.version('huggingface_hub'))").strip()
    release = tuple(int(part) for part in said.split(".")[:2] if part.isdigit())
    if len(release) < 2:
        return []
    if release < OLDEST_HUB:
        measured = f"the python3 on PATH has huggingface_hub {said}, older than any we try"
        return [CheckResult("client", Severity.WARNING, measured, "python3 -m pip install -U huggingface_hub")]
    return [CheckResult("client", Severity.OK, f"the python3 on PATH has huggingface_hub {said}")]


def _service(facts: Facts) -> CheckResult:
    if shutil.which("systemctl") is None:
        return CheckResult("service", Severity.INFO, "there is no systemd here to start the daemon", "hf-proxy daemon")
    manager = () if facts.mode is Mode.DEDICATED else ("--user",)
    said = _output("systemctl", *manager, "is-enabled", "hf-proxy.socket").strip()
    if said == "enabled":
        return CheckResult("service", Severity.OK, "hf-proxy.socket is enabled: the first command starts the daemon")
    measured = f"systemd does not start the daemon (hf-proxy.socket: {said or 'no answer'})"
    return CheckResult("service", Severity.INFO, measured, "hf-proxy service install")


def _journal(facts: Facts) -> CheckResult:
    if facts.status is not None and facts.status.get("journal") == "failed":
        measured = "the journal could not be written, so every request is refused"
        return CheckResult("journal", Severity.PROBLEM, measured, f"df -h {quote(facts.state_dir)}")
    directory = os.path.join(facts.state_dir, "journal")
    try:
        files = sorted(name for name in os.listdir(directory) if name.endswith(".jsonl"))
    except PermissionError:
        return CheckResult("journal", Severity.INFO, f"{directory} is not ours to read", "hf-proxy audit verify")
    except OSError:
        files = []
    if not files:
        return CheckResult("journal", Severity.INFO, f"there is no journal in {directory} yet")
    last = os.path.join(directory, files[-1])
    done = _run(sys.executable, "-I", "-m", "hfproxy", "audit", "verify", last)
    if done is None or done.returncode != 0:
        said = (
            done.stderr.decode("utf-8", "replace").strip().removeprefix("hf-proxy: ") if done else "it takes too long"
        )
        return CheckResult("journal", Severity.PROBLEM, f"{last} does not verify: {said}", "hf-proxy audit verify")
    return CheckResult("journal", Severity.OK, f"{last} is as it was written")


def _disk(facts: Facts) -> list[CheckResult]:
    """Whether the daemon of this user can write, and how much."""
    if facts.mode is Mode.DEDICATED:
        return []
    there = facts.state_dir
    while not os.path.exists(there):
        there = os.path.dirname(there)
    if not os.access(there, os.W_OK):
        fix = "export HFPROXY_STATE_DIR=/a/directory/that/can/be/written"
        return [
            CheckResult(
                "disk", Severity.PROBLEM, f"{there} cannot be written, and the daemon keeps its state there", fix
            )
        ]
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize // MIB
    severity = Severity.PROBLEM if free < NO_MIB else Severity.WARNING if free < LITTLE_MIB else Severity.OK
    fix = "" if severity is Severity.OK else f"du -sh {quote(facts.state_dir)}"
    return [CheckResult("disk", severity, f"{free} MiB are free for the journal in {facts.state_dir}", fix)]


def _files_of_other_users() -> list[CheckResult]:
    """Things of other users among ours, as a `sudo hf-proxy` leaves them: the daemon cannot use them."""
    for directory in (paths.config_dir(), paths.state_dir()):
        for folder, folders, files in os.walk(directory):
            for path in (folder, *(os.path.join(folder, name) for name in (*folders, *files))):
                if os.path.lexists(path) and os.lstat(path).st_uid != os.geteuid():
                    measured = f"{path} belongs to uid {os.lstat(path).st_uid}"
                    return [
                        CheckResult(
                            "foreign-files", Severity.PROBLEM, measured, f"sudo chown -R $USER {quote(directory)}"
                        )
                    ]
    return [CheckResult("foreign-files", Severity.OK, "all files of ours belong to this user")]


def _output(*command: str) -> str:
    done = _run(*command)
    return "" if done is None else done.stdout.decode("utf-8", "replace")


def _run(*command: str) -> "subprocess.CompletedProcess[bytes] | None":
    """Elsewhere, so that a python3 takes no module from the directory that we are in."""
    try:
        return subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=CHILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
