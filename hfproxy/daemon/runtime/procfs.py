"""Processes of this machine, as /proc shows them (proc(5)).

A process is its number *and* the moment it began: numbers are given out again.
"""

import os
from collections.abc import Iterable
from typing import Final, NamedTuple

# So often parents that end are tried to be seen past.
MAX_RETRIES: Final = 10


class Process(NamedTuple):
    """One process. `start` in clock ticks since the machine started."""

    pid: int
    start: int


class ProcessInfo(NamedTuple):
    """A process, and whose child it is now: orphans are handed to another parent."""

    process: Process
    parent: int


def boot_id() -> str:
    """What tells one start of the machine from another: numbers and moments of processes begin anew with it."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def find(pid: int) -> ProcessInfo | None:
    """The living process of that number. Raises OSError if that cannot be said, for want of descriptors."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may itself hold blanks and parentheses.
            fields = file.read().rpartition(b")")[2].split()
        return ProcessInfo(Process(pid, int(fields[19])), int(fields[1]))
    except (FileNotFoundError, ProcessLookupError, PermissionError, ValueError, IndexError):
        return None


def ancestors(pid: int) -> tuple[Process, ...]:
    """A process, its parent, and so on up.

    Read until it is the same twice: a parent that ends hands its children on, and its number may be another's.

    Raises:
        LookupError, OSError: it cannot be said, so nothing may follow from it.
    """
    for _ in range(MAX_RETRIES):
        line = _walk_up(pid)
        if line is not None and line == _walk_up(pid):
            return tuple(born.process for born in line)
    raise LookupError


def _walk_up(pid: int) -> list[ProcessInfo] | None:
    line: list[ProcessInfo] = []
    while pid:
        born = find(pid)
        if born is None:
            return line if line and _is_of_another_user(pid) else None
        line.append(born)
        pid = born.parent
    return line


def _is_of_another_user(pid: int) -> bool:
    """With `hidepid` (proc(5)) those are not to be seen; what is above them is nothing that we gave a grant to."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def all_processes() -> list[ProcessInfo]:
    """All living processes; raises as `find`."""
    numbers = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return [born for pid in numbers if (born := find(pid)) is not None]


def descendants(roots: Iterable[Process], alive: Iterable[ProcessInfo]) -> set[Process]:
    """Those roots that are alive, with all that descends from them."""
    alive = list(alive)
    children: dict[int, list[Process]] = {}
    for born in alive:
        children.setdefault(born.parent, []).append(born.process)
    waiting = list({born.process for born in alive}.intersection(roots))
    found: set[Process] = set()
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += children.get(one.pid, ())
    return found


def holds_socket(pid: int, inode: int) -> bool:
    """Whether a process has that socket open; no, where its descriptors are not to be seen."""
    wanted = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as descriptors:
            return any(_link(entry.path) == wanted for entry in descriptors)
    except OSError:
        return False


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115  (a `Path` for each descriptor would cost more than the look)
    except OSError:
        return ""


def real_uid(pid: int) -> int | None:
    """The user who runs the process of that number, though it may have other rights for a while (its real uid)."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"Uid:")), None)
    except OSError:
        return None
