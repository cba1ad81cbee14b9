"""A grant's tie to living processes: to the one that it ends with, and to the tree that may use it.

A pidfd is a handle on this one process, whoever gets its number later (pidfd_open(2)); it becomes readable when the
process ends, by whatever signal, and so it wakes the event loop. A tree is found out by looking: what was once seen to
descend from its root stays in it, also when it is handed to another parent. `exec --bind tree` keeps its orphans to
itself (PR_SET_CHILD_SUBREAPER), so that they can be seen as long as the command runs.

A grant may end before its process. That one stays known, or a program would only have to revoke its grant, or to wait
for its end, to ask for another as if it ran outside of any.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock

from hfproxy.daemon.runtime import procfs
from hfproxy.daemon.runtime.procfs import Process
from hfproxy.errors import RefusedError


@dataclass(slots=True)
class ProcessTree:
    """A process and its descendants."""

    root: Process
    seen: set[Process] = field(default_factory=set)
    refreshing: Lock = field(default_factory=Lock, compare=False, repr=False)

    def refresh(self) -> None:
        """See who is in it now; the dead are forgotten. Raises OSError if that cannot be seen, and forgets nobody."""
        with self.refreshing:  # two at a time, and the older would forget what the newer has seen
            self.seen = procfs.descendants({self.root, *self.seen}, procfs.all_processes())

    def owns_socket(self, inode: int) -> bool:
        """Whether one of its processes has this socket. What cannot be looked into does not."""
        for _ in range(2):  # one whose parent ended during the look is seen at the next
            self.refresh()
            if any(_owns_socket(process, inode) for process in self.seen):
                return True
        return False


@dataclass(frozen=True, slots=True)
class ProcessHandle:
    """A living process, and a handle on it, which says when it has ended."""

    process: Process
    pidfd: int

    def close(self) -> None:
        """Let go of it."""
        os.close(self.pidfd)


@dataclass(slots=True)
class _Lease:
    handle: ProcessHandle
    tree: ProcessTree


class Leases:
    """What all bound grants are tied to."""

    def __init__(self) -> None:
        self._handles: dict[str, _Lease] = {}
        self._survivors: dict[Process, _Lease] = {}

    def attach(self, grant_id: str, held: ProcessHandle, ended: Callable[[str], None]) -> None:
        """Hold a grant to a process: `ended` is called once, with the grant's id, when it is over."""
        self._handles[grant_id] = _Lease(held, ProcessTree(held.process))
        asyncio.get_running_loop().add_reader(held.pidfd, self._on_exit, grant_id, ended)

    def detach(self, grant_id: str) -> None:
        """The grant ended otherwise; nothing if it was not bound."""
        lease = self._handles.pop(grant_id, None)
        if lease is not None:
            asyncio.get_running_loop().remove_reader(lease.handle.pidfd)
            lease.handle.close()

    def detach_survivor(self, grant_id: str, gone: Callable[[Process], None]) -> Process | None:
        """The grant ended, and its process lives on: it is returned, and `gone` called when it has ended as well."""
        lease = self._handles.pop(grant_id, None)
        if lease is None:
            return None
        asyncio.get_running_loop().remove_reader(lease.handle.pidfd)
        self.track_survivor(lease.handle, gone, lease.tree.seen)
        return lease.handle.process

    def track_survivor(
        self, held: ProcessHandle, gone: Callable[[Process], None], seen: Iterable[Process] = ()
    ) -> None:
        """Know a process, and of its descendants those `seen`, as one whose grant is over."""
        known = self._survivors.get(held.process)
        if known is not None:
            known.tree.seen |= set(seen)
            held.close()
            return
        self._survivors[held.process] = _Lease(held, ProcessTree(held.process, set(seen)))
        asyncio.get_running_loop().add_reader(held.pidfd, self._on_survivor_exit, held.process, gone)

    def is_survivor(self, process: Process) -> bool:
        """Whether a process is in what a grant was tied to that is over."""
        return any(process == one.tree.root or process in one.tree.seen for one in self._survivors.values())

    def survivor_trees(self) -> tuple[ProcessTree, ...]:
        """Of what is left those that were looked into."""
        return tuple(one.tree for one in self._survivors.values() if one.tree.seen)

    def close(self) -> None:
        """Watch no process any more."""
        for grant_id in self.ids():
            self.detach(grant_id)
        for process in tuple(self._survivors):
            self._release(process)

    def ids(self) -> tuple[str, ...]:
        """All bound grants."""
        return tuple(self._handles)

    def tree(self, grant_id: str) -> ProcessTree | None:
        """The process that a grant is tied to, and its descendants."""
        lease = self._handles.get(grant_id)
        return None if lease is None else lease.tree

    def grants_of(self, process: Process) -> tuple[str, ...]:
        """The grants that a process holds: it is what they are tied to, or was seen to descend from that."""
        return tuple(
            grant_id
            for grant_id, lease in self._handles.items()
            if process == lease.tree.root or process in lease.tree.seen
        )

    def _on_exit(self, grant_id: str, ended: Callable[[str], None]) -> None:
        self.detach(grant_id)
        ended(grant_id)

    def _on_survivor_exit(self, process: Process, gone: Callable[[Process], None]) -> None:
        self._release(process)
        gone(process)

    def _release(self, process: Process) -> None:
        held = self._survivors.pop(process).handle
        asyncio.get_running_loop().remove_reader(held.pidfd)
        held.close()


def _owns_socket(process: Process, inode: int) -> bool:
    """Its number may be another's while its descriptors are looked at: so it has to be the same one afterwards."""
    if not procfs.holds_socket(process.pid, inode):
        return False
    born = procfs.find(process.pid)
    return born is not None and born.process == process


def open_process(pid: int) -> ProcessHandle:
    """A living process.

    Raises:
        RefusedError: it has ended, or is not to be seen from here.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        raise _ended() from None
    try:
        born = procfs.find(pid)
        if born is not None and is_alive(pidfd):  # else what was found may already be another one
            return ProcessHandle(born.process, pidfd)
    except OSError:
        os.close(pidfd)
        raise _ended() from None
    os.close(pidfd)
    raise _ended()


def is_alive(pidfd: int) -> bool:
    """Whether the process of a handle has not ended."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _ended() -> RefusedError:
    return RefusedError("the process to bind the grant to has ended; run the command again")
