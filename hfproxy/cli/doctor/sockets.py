"""Checks of access to the daemon: the permissions of its control socket, and the listeners on its port."""

import os
import stat
from shlex import quote
from urllib.parse import urlsplit

from hfproxy import paths
from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Mode, Severity
from hfproxy.daemon.runtime.procfs import tcp_listeners

# Modes of the socket and of its directory (docs/threat-model.md#control-socket).
EXPECTED_MODES = {Mode.USER: (0o600, 0o700), Mode.SEALED: (0o600, 0o700), Mode.DEDICATED: (0o660, 0o750)}


def run_checks(facts: Facts) -> list[CheckResult]:
    """Return the results for the control socket and the data port; none without a daemon."""
    if facts.status is None:
        return []
    return [_control(facts), *_port(facts)]


def _control(facts: Facts) -> CheckResult:
    path = paths.control_socket()
    socket, directory = os.lstat(path), os.lstat(os.path.dirname(path))
    modes = stat.S_IMODE(socket.st_mode), stat.S_IMODE(directory.st_mode)
    measured = f"{path} has mode {modes[0]:04o} in a directory of mode {modes[1]:04o}, of uid {directory.st_uid}"
    if any(mode & ~allowed for mode, allowed in zip(modes, EXPECTED_MODES[facts.mode], strict=True)):
        places = zip(EXPECTED_MODES[facts.mode], (path, os.path.dirname(path)), strict=True)
        chmod = "; ".join(f"chmod {mode:o} {quote(place)}" for mode, place in places)
        return CheckResult("control-socket", Severity.PROBLEM, f"{measured}: too wide", chmod)
    abstract = _abstract()
    if abstract:
        return CheckResult(
            "control-socket", Severity.PROBLEM, f"{abstract} is open to every user of the machine", "hf-proxy daemon"
        )
    return CheckResult("control-socket", Severity.OK, f"{measured}; there is no abstract socket of hf-proxy")


def _abstract() -> str:
    """Return the name of an abstract socket of hf-proxy; such sockets have no permissions (proc(5), /proc/net/unix)."""
    names = [row.split()[-1] for row in _rows("/proc/net/unix")]
    return next((name for name in names if name.startswith("@") and "hf-proxy" in name), "")


def _port(facts: Facts) -> list[CheckResult]:
    endpoint = (facts.status or {}).get("endpoint")
    port = urlsplit(endpoint).port if isinstance(endpoint, str) else None
    if port is None:
        return []
    listening = _listeners(port)
    places = ", ".join(f"{host} by uid {uid}" for host, uid in listening)
    expected = facts.daemon_uid is not None and listening == [("127.0.0.1", facts.daemon_uid)]
    # The service manager opens the dedicated daemon's port as root.
    expected = expected or (facts.mode is Mode.DEDICATED and listening == [("127.0.0.1", 0)])
    if expected:
        measured = f"port {port} is listened on at {places}; other users are refused"
        return [CheckResult("data-port", Severity.OK, measured)]
    if not listening:
        return [CheckResult("data-port", Severity.INFO, f"the listener on port {port} is not visible here")]
    return [CheckResult("data-port", Severity.PROBLEM, f"port {port} is listened on at {places}", "hf-proxy status")]


def _listeners(port: int) -> list[tuple[str, int]]:
    try:
        return tcp_listeners(port)
    except OSError:
        return []


def _rows(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return list(file)[1:]
    except OSError:
        return []
