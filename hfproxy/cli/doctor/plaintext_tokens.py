"""What lies in the clear where tokens are known to lie, and in running programs.

The whole home is for `scan` to search, which may take minutes.
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

# Below the home, where programs keep what they log in with.
DEEPER = (".config/git/credentials", ".config/git/config", ".docker/config.json", ".config/containers/auth.json")


def findings(facts: Facts) -> list[CheckResult]:
    """One for files, one for programs."""
    home = os.path.expanduser("~")
    known = {**dict.fromkeys(_beside(home)), **locations.known_files(home, facts.environ)}
    walk = Walk(Globs([]), {os.path.realpath(path): kind for path, kind in known.items()}, one_system=True)
    for path in known:
        with suppress(OSError):  # most are not there
            walk.scan(path)
    return [_files(sorted(walk.findings), len(known)), _programs(walk)]


def _beside(home: str) -> list[str]:
    """The files of the home itself, where shells keep theirs, and some below."""
    names = [os.path.join(home, name) for name in DEEPER]
    with suppress(OSError):
        names += [entry.path for entry in os.scandir(home) if entry.is_file()]
    return names


def _files(found: list[str], looked: int) -> CheckResult:
    if not found:
        return CheckResult("clear-files", Severity.OK, f"no token is in the {looked} places where one is known to lie")
    first = f"{len(found)} files hold a token in the clear, the first: {redacted(found[0])}"
    return CheckResult("clear-files", Severity.WARNING, first, "hf-proxy scan --migrate")


def _programs(walk: Walk) -> CheckResult:
    found = list(processes.processes(walk.seen))
    if not found:
        return CheckResult(
            "clear-programs", Severity.OK, f"none of {walk.seen.processes} running programs was given a token"
        )
    names = sorted({redacted(one.program or "?") for one in found})
    measured = f"running programs were given a token in their environment or command line: {', '.join(names)}"
    return CheckResult("clear-programs", Severity.WARNING, measured, f"hf-proxy exec -- {quote(names[0])}")
