"""Leases: a grant's tie to the process that it ends with, and to the process tree that may use it.

The process is watched by a pidfd, a handle on this one process, whatever process gets its number later (pidfd_open(2)).
It becomes readable when the process exits, by whatever signal, and so wakes the event loop.

The tree is read from /proc, at least once a second (`GrantRegistry.sweep`): a process that was once found among the
descendants of the root stays in the tree, also when its parent exits and it gets another one. `exec --bind tree`
makes itself the parent of its orphans (PR_SET_CHILD_SUBREAPER, prctl(2)), so that they are seen while the command runs.

A grant may end before its process. The process is then a *survivor*, and is watched until it exits. Without that a
program would only have to revoke its own grant, or to wait for its end, to ask for another as if it ran outside of any.

Kept in memory: one lease for each bound grant, one for each survivor. Left to others: what follows from an exit (the
callbacks), and survivors on disk (`store`).
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
    """A process and its descendants, as far as they were seen."""

    root: Process
    seen: set[Process] = field(default_factory=set)
    """The processes of the tree that lived at the last look, among them `root` if it did."""
    refreshing: Lock = field(default_factory=Lock, compare=False, repr=False)

    def refresh(self) -> None:
        """Look at /proc: add new descendants, drop processes that have exited. Blocks; runs in a thread.

        Raises:
            OSError: /proc cannot be read; nothing is dropped.
        """
        with self.refreshing:  # of two looks at a time the one that began first could drop what the other has seen
            self.seen = procfs.descendants({self.root, *self.seen}, procfs.all_processes())

    def owns_socket(self, inode: int) -> bool:
        """Whether a process of the tree has this socket open. Blocks; runs in a thread.

        A process with unreadable descriptors does not count as an owner.

        Raises:
            OSError: /proc cannot be read.
        """
        for _ in range(2):  # the second finds a process that lost its parent during the first
            self.refresh()
            if any(_owns_socket(process, inode) for process in self.seen):
                return True
        return False


@dataclass(frozen=True, slots=True)
class ProcessHandle:
    """A living process and a pidfd on it. The owner of the handle closes it."""

    process: Process
    pidfd: int

    def close(self) -> None:
        """Close the pidfd."""
        os.close(self.pidfd)


@dataclass(slots=True)
class _Lease:
    handle: ProcessHandle
    tree: ProcessTree


class Leases:
    """The leases of all bound grants, and the survivors. Only for the thread of the event loop."""

    def __init__(self) -> None:
        self._leases: dict[str, _Lease] = {}
        self._survivors: dict[Process, _Lease] = {}

    def attach(self, grant_id: str, handle: ProcessHandle, on_exit: Callable[[str], None]) -> None:
        """Tie a grant to a process, and own its handle from now on.

        When the process exits, the lease is gone and `on_exit` is called once, with the grant's id.
        """
        self._leases[grant_id] = _Lease(handle, ProcessTree(handle.process))
        asyncio.get_running_loop().add_reader(handle.pidfd, self._on_exit, grant_id, on_exit)

    def detach(self, grant_id: str) -> None:
        """Release the lease of a grant and forget its process; nothing if it has no lease."""
        lease = self._leases.pop(grant_id, None)
        if lease is not None:
            asyncio.get_running_loop().remove_reader(lease.handle.pidfd)
            lease.handle.close()

    def detach_survivor(self, grant_id: str, on_exit: Callable[[Process], None]) -> Process | None:
        """Release the lease of a grant that ended, and track its process as a survivor (`track_survivor`).

        Returns the process; None if the grant has no lease: it was not bound, or its process has exited.
        """
        lease = self._leases.pop(grant_id, None)
        if lease is None:
            return None
        asyncio.get_running_loop().remove_reader(lease.handle.pidfd)
        self.track_survivor(lease.handle, on_exit, lease.tree.seen)
        return lease.handle.process

    def track_survivor(
        self, handle: ProcessHandle, on_exit: Callable[[Process], None], seen: Iterable[Process] = ()
    ) -> None:
        """Watch a process that outlives its grant, and own its handle from now on.

        Args:
            handle: The process.
            on_exit: Called once, with the process, when it exits.
            seen: The descendants that are known to be in its tree.
        """
        known = self._survivors.get(handle.process)
        if known is not None:  # several grants were bound to it
            known.tree.seen |= set(seen)
            handle.close()
            return
        self._survivors[handle.process] = _Lease(handle, ProcessTree(handle.process, set(seen)))
        asyncio.get_running_loop().add_reader(handle.pidfd, self._on_survivor_exit, handle.process, on_exit)

    def is_survivor(self, process: Process) -> bool:
        """Return whether a process is a survivor, or was seen in the tree of one."""
        return any(process == lease.tree.root or process in lease.tree.seen for lease in self._survivors.values())

    def survivor_trees(self) -> tuple[ProcessTree, ...]:
        """Return the trees of survivors in which processes were seen: those of tree-bound grants."""
        return tuple(lease.tree for lease in self._survivors.values() if lease.tree.seen)

    def close(self) -> None:
        """Release all leases and stop watching survivors."""
        for grant_id in self.ids():
            self.detach(grant_id)
        for process in tuple(self._survivors):
            self._release_survivor(process)

    def ids(self) -> tuple[str, ...]:
        """Return the ids of the grants that have a lease."""
        return tuple(self._leases)

    def tree(self, grant_id: str) -> ProcessTree | None:
        """Return the process tree of a grant; None if it has no lease."""
        lease = self._leases.get(grant_id)
        return None if lease is None else lease.tree

    def grants_of(self, process: Process) -> tuple[str, ...]:
        """Return the ids of the grants that are tied to this process or to an ancestor of it that was seen."""
        return tuple(
            grant_id
            for grant_id, lease in self._leases.items()
            if process == lease.tree.root or process in lease.tree.seen
        )

    def _on_exit(self, grant_id: str, on_exit: Callable[[str], None]) -> None:
        self.detach(grant_id)
        on_exit(grant_id)

    def _on_survivor_exit(self, process: Process, on_exit: Callable[[Process], None]) -> None:
        self._release_survivor(process)
        on_exit(process)

    def _release_survivor(self, process: Process) -> None:
        handle = self._survivors.pop(process).handle
        asyncio.get_running_loop().remove_reader(handle.pidfd)
        handle.close()


def _owns_socket(process: Process, inode: int) -> bool:
    """The descriptors are those of the process only if its number is still its own after they were read."""
    if not procfs.holds_socket(process.pid, inode):
        return False
    info = procfs.find(process.pid)
    return info is not None and info.process == process


def open_process(pid: int) -> ProcessHandle:
    """Return a handle on the living process of that number; the caller owns it.

    Raises:
        RefusedError: the process has exited, or cannot be seen from here.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        raise _exited() from None
    try:
        info = procfs.find(pid)
        # Alive after it was read: so what /proc said is of the pidfd's process, and not of a later one with the number.
        if info is not None and is_alive(pidfd):
            return ProcessHandle(info.process, pidfd)
    except OSError:
        os.close(pidfd)
        raise _exited() from None
    os.close(pidfd)
    raise _exited()


def is_alive(pidfd: int) -> bool:
    """Return whether the process of a pidfd has not exited (signal 0, pidfd_send_signal(2))."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process, and alive
        return True
    return True


def _exited() -> RefusedError:
    return RefusedError("the process to bind the grant to has ended; run the command again")
