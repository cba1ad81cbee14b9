"""Checks for plaintext tokens in the known places, and in running programs.

Searching the whole home may take minutes, and is left to `scan`.
"""

import os
from contextlib import suppress
from shlex import quote

from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Severity
from hfproxy.detect.patterns import redacted
from hfproxy.scan import locations, processes
from hfproxy.scan.globs import Globs
from hfproxy.scan.walk import Walk

# Files below the home in which programs store their logins.
LOGIN_FILES = (".config/git/credentials", ".config/git/config", ".docker/config.json", ".config/containers/auth.json")


def run_checks(facts: Facts) -> list[CheckResult]:
    """Return one result for files and one for programs."""
    home = os.path.expanduser("~")
    known = {**dict.fromkeys(_files_in_home(home)), **locations.known_files(home, facts.environ)}
    walk = Walk(Globs([]), {os.path.realpath(path): kind for path, kind in known.items()}, one_system=True)
    for path in known:
        with suppress(OSError):  # most do not exist
            walk.scan(path)
    return [_files(sorted(walk.findings), len(known)), _programs(walk)]


def _files_in_home(home: str) -> list[str]:
    """Return the files directly in the home, among them those of shells, and LOGIN_FILES."""
    names = [os.path.join(home, name) for name in LOGIN_FILES]
    with suppress(OSError):
        names += [entry.path for entry in os.scandir(home) if entry.is_file()]
    return names


def _files(paths: list[str], searched: int) -> CheckResult:
    if not paths:
        return CheckResult("clear-files", Severity.OK, f"none of the {searched} known places holds a plaintext token")
    measured = f"{len(paths)} files hold a plaintext token, the first: {redacted(paths[0])}"
    return CheckResult("clear-files", Severity.WARNING, measured, "hf-proxy scan --migrate")


def _programs(walk: Walk) -> CheckResult:
    findings = list(processes.processes(walk.seen))
    if not findings:
        return CheckResult(
            "clear-programs", Severity.OK, f"none of {walk.seen.processes} running programs was given a token"
        )
    names = sorted({redacted(finding.program or "?") for finding in findings})
    measured = f"running programs were given a token in their environment or command line: {', '.join(names)}"
    return CheckResult("clear-programs", Severity.WARNING, measured, f"hf-proxy exec -- {quote(names[0])}")
