"""Who can reach the daemon: its socket's place and permissions, and who listens on its port."""

import os
import stat
from shlex import quote
from urllib.parse import urlsplit

from hfproxy import paths
from hfproxy.cli.doctor.context import Facts
from hfproxy.cli.doctor.report import CheckResult, Mode, Severity

TCP_LISTEN = "0A"
# Modes of the socket and of its directory (docs/threat-model.md#control-socket).
MODES = {Mode.USER: (0o600, 0o700), Mode.SEALED: (0o600, 0o700), Mode.DEDICATED: (0o660, 0o750)}


def findings(facts: Facts) -> list[CheckResult]:
    """About the control socket and the data port; nothing where there is no daemon."""
    if facts.status is None:
        return []
    return [_control(facts), *_port(facts)]


def _control(facts: Facts) -> CheckResult:
    path = paths.control_socket()
    socket, directory = os.lstat(path), os.lstat(os.path.dirname(path))
    modes = stat.S_IMODE(socket.st_mode), stat.S_IMODE(directory.st_mode)
    measured = f"{path} has mode {modes[0]:04o} in a directory of mode {modes[1]:04o}, of uid {directory.st_uid}"
    if any(mode & ~most for mode, most in zip(modes, MODES[facts.mode], strict=True)):
        places = zip(MODES[facts.mode], (path, os.path.dirname(path)), strict=True)
        chmod = "; ".join(f"chmod {mode:o} {quote(place)}" for mode, place in places)
        return CheckResult("control-socket", Severity.PROBLEM, f"{measured}: wider than it should be", chmod)
    abstract = _abstract()
    if abstract:
        return CheckResult(
            "control-socket", Severity.PROBLEM, f"{abstract} is there for every user of the machine", "hf-proxy daemon"
        )
    return CheckResult("control-socket", Severity.OK, f"{measured}; no abstract socket bears our name")


def _abstract() -> str:
    """A socket without a file, and so without permissions, that is called like us (proc(5), /proc/net/unix)."""
    names = [row.split()[-1] for row in _rows("/proc/net/unix")]
    return next((name for name in names if name.startswith("@") and "hf-proxy" in name), "")


def _port(facts: Facts) -> list[CheckResult]:
    endpoint = (facts.status or {}).get("endpoint")
    port = urlsplit(endpoint).port if isinstance(endpoint, str) else None
    if port is None:
        return []
    listening = [(host, uid) for host, uid in _listeners(port)]
    places = ", ".join(f"{host} by uid {uid}" for host, uid in listening)
    fine = facts.daemon_uid is not None and listening == [("127.0.0.1", facts.daemon_uid)]
    # The service manager opens the dedicated daemon's port as root.
    fine = fine or (facts.mode is Mode.DEDICATED and listening == [("127.0.0.1", 0)])
    if fine:
        return [
            CheckResult(
                "data-port", Severity.OK, f"port {port} is listened on at {places}; other users are turned away"
            )
        ]
    if not listening:
        return [CheckResult("data-port", Severity.INFO, f"who listens on port {port} is not to be seen here")]
    return [CheckResult("data-port", Severity.PROBLEM, f"port {port} is listened on at {places}", "hf-proxy status")]


def _listeners(port: int) -> list[tuple[str, int]]:
    """(address, uid) of each; as /proc/net/tcp has them, an address is four bytes in the machine's order (proc(5))."""
    rows = [row.split() for row in _rows("/proc/net/tcp")]
    mine = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == TCP_LISTEN]
    return sorted({(".".join(map(str, reversed(bytes.fromhex(row[1][:8])))), int(row[7])) for row in mine})


def _rows(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return list(file)[1:]
    except OSError:
        return []
