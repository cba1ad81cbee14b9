"""Processes of this machine, read from /proc (proc(5)).

A process is identified by its pid *and* its start time, since pids are reused. Every answer is a snapshot: processes
may exit, and their pids be reused, between two reads, so the callers read again what must not have changed.
"""

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

# How often `ancestors` starts anew when a process exits while it reads.
TCP_LISTEN: Final = "0A"  # the state in /proc/net/tcp
MAX_RETRIES: Final = 10


class Process(NamedTuple):
    """A process: its pid, and its start time in clock ticks since the machine's start (field 22 of /proc/PID/stat)."""

    pid: int
    start: int


class ProcessInfo(NamedTuple):
    """A process and the pid of its present parent: an orphan gets another parent."""

    process: Process
    parent: int


def boot_id() -> str:
    """Return an id of this start of the machine. Pids and start times of two different starts cannot be compared."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def find(pid: int) -> ProcessInfo | None:
    """Return the living process with this pid; None: there is none, or it cannot be seen (`hidepid`, proc(5)).

    Raises:
        OSError: it cannot be read for another reason: this process has no descriptor left.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field, the program's name in parentheses, may itself hold blanks and parentheses.
            fields = file.read().rpartition(b")")[2].split()
        # Counted from the third field of proc(5), the state: 22 is the start time, 4 the parent.
        return ProcessInfo(Process(pid, int(fields[19])), int(fields[1]))
    except (FileNotFoundError, ProcessLookupError, PermissionError, ValueError, IndexError):
        return None


def ancestors(pid: int) -> tuple[Process, ...]:
    """Return a process, its parent, and so on up.

    The line is read until two readings agree: when a parent exits, its children get another parent, and its pid may
    be reused.

    Raises:
        LookupError: a process of the line cannot be seen, or the line keeps changing.
        OSError: /proc cannot be read.
    """
    for _ in range(MAX_RETRIES):
        line = _walk_up(pid)
        if line is not None and line == _walk_up(pid):
            return tuple(info.process for info in line)
    raise LookupError


def _walk_up(pid: int) -> list[ProcessInfo] | None:
    line: list[ProcessInfo] = []
    while pid:
        info = find(pid)
        if info is None:
            return line if line and _is_of_another_user(pid) else None
        line.append(info)
        pid = info.parent
    return line


def _is_of_another_user(pid: int) -> bool:
    """Whether an unseen process lives and is another user's: with `hidepid` (proc(5)) those are hidden.

    No process above it is one that a grant of this daemon is bound to.
    """
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def all_processes() -> list[ProcessInfo]:
    """Return all living processes that can be seen.

    Raises:
        OSError: /proc cannot be read.
    """
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return [info for pid in pids if (info := find(pid)) is not None]


def descendants(roots: Iterable[Process], alive: Iterable[ProcessInfo]) -> set[Process]:
    """Return the roots that are alive, with all their descendants."""
    alive = list(alive)
    children: dict[int, list[Process]] = {}
    for info in alive:
        children.setdefault(info.parent, []).append(info.process)
    pending = list({info.process for info in alive}.intersection(roots))
    tree: set[Process] = set()
    while pending:
        process = pending.pop()
        if process not in tree:
            tree.add(process)
            pending += children.get(process.pid, ())
    return tree


def holds_socket(pid: int, inode: int) -> bool:
    """Return whether a process has the socket with this inode number open; False if its descriptors cannot be read."""
    target = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as descriptors:
            return any(_link_target(entry.path) == target for entry in descriptors)
    except OSError:
        return False


def _link_target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115  (making a `Path` takes longer than the call)
    except OSError:
        return ""


def real_uid(pid: int) -> int | None:
    """Return the real uid of the process with this pid: its user, also while it runs set-uid; None: it is not seen.

    The owner of /proc/PID is no substitute: it is root for an undumpable process (proc(5)).
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"Uid:")), None)
    except OSError:
        return None


def tcp_listeners(port: int) -> list[tuple[str, int]]:
    """Return (IPv4 address, uid of the owner) of each listener on the port, sorted.

    In /proc/net/tcp the local address is four bytes in the machine's order and the port, in hexadecimal (proc(5)).

    Raises:
        OSError: /proc/net/tcp cannot be read.
    """
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    listening = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == TCP_LISTEN]
    return sorted({(".".join(map(str, reversed(bytes.fromhex(row[1][:8])))), int(row[7])) for row in listening})
