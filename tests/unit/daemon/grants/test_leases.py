"""Processes and trees: found by number and moment, and never by number alone (docs/threat-model.md#t20)."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from hfproxy.daemon.runtime import procfs
from hfproxy.daemon.grants.leases import Leases, ProcessTree, is_alive, open_process
from hfproxy.daemon.runtime.procfs import Process, descendants
from hfproxy.errors import RefusedError


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a socket open."""
    script = "import socket, sys; s = socket.socket(); print(s.fileno(), flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-I", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process
    process.communicate()


def inode_of(child: subprocess.Popen[bytes]) -> int:
    assert child.stdout is not None
    return os.stat(f"/proc/{child.pid}/fd/{int(child.stdout.readline())}").st_ino


def ourselves() -> Process:
    found = procfs.find(os.getpid())
    assert found is not None
    return found.process


def test_a_tree_holds_the_sockets_of_its_processes(child: subprocess.Popen[bytes]) -> None:
    inode = inode_of(child)
    assert ProcessTree(ourselves()).owns_socket(inode)
    with socket.socket() as own:
        assert ProcessTree(ourselves()).owns_socket(os.fstat(own.fileno()).st_ino)
        assert not ProcessTree(open_process(child.pid).process).owns_socket(os.fstat(own.fileno()).st_ino)


def test_another_process_with_the_same_number_is_not_the_root(child: subprocess.Popen[bytes]) -> None:
    pid, start = ourselves()
    reused = ProcessTree(Process(pid, start - 1))
    assert not reused.owns_socket(inode_of(child))
    assert reused.seen == set()


def test_another_process_with_the_number_of_one_that_was_seen_is_not_in_the_tree(
    child: subprocess.Popen[bytes],
) -> None:
    pid, start = open_process(child.pid).process
    tree = ProcessTree(Process(2**22, 1), {Process(pid, start - 1)})
    assert not tree.owns_socket(inode_of(child))


def test_what_was_seen_stays_though_it_has_another_parent_now() -> None:
    root, middle, leaf = Process(10, 1), Process(11, 2), Process(12, 3)
    before = [procfs.ProcessInfo(root, 1), procfs.ProcessInfo(middle, 10), procfs.ProcessInfo(leaf, 11)]
    assert descendants([root], before) == {root, middle, leaf}
    after = [procfs.ProcessInfo(root, 1), procfs.ProcessInfo(leaf, 1)]
    assert descendants([root], after) == {root}
    assert descendants([root, leaf], after) == {root, leaf}


def test_the_way_up_begins_with_the_process_itself(child: subprocess.Popen[bytes]) -> None:
    line = list(procfs.ancestors(child.pid))
    assert line[0].pid == child.pid
    assert line[1] == ourselves()
    assert line[-1].pid == 1


ORPHANS = """
import ctypes, os, signal, sys
from hfproxy.daemon.runtime import procfs
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone at once
us = procfs.find(os.getpid()).process
for _ in range(300):
    reading, writing = os.pipe()
    stays, stop = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.close(stop)
            os.write(writing, str(os.getpid()).encode())
            os.read(stays, 1)
        os._exit(0)
    leaf = int(os.read(reading, 20))
    for _ in range(50):
        assert us in procfs.ancestors(leaf)
    for fd in (reading, writing, stays, stop):
        os.close(fd)
"""


def test_a_parent_that_ends_in_between_does_not_hide_who_is_above_it() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHANS], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_cannot_be_read_is_not_taken_for_the_top(child: subprocess.Popen[bytes]) -> None:
    """The whole of it, and its upper part: a process that is not there, and no descriptor to look with."""
    script = (
        "import resource, sys\n"
        "from hfproxy.daemon.runtime.procfs import ancestors\n"
        "for pid, descriptors in ((2**22, 64), (int(sys.argv[1]), 3)):\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, 64))\n"
        "    try: print(ancestors(pid))\n"
        "    except (LookupError, OSError): print('unsaid')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(child.pid)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("unsaid\nunsaid\n", "")


def test_a_process_that_has_ended_is_not_opened(child: subprocess.Popen[bytes]) -> None:
    held = open_process(child.pid)
    assert is_alive(held.pidfd)
    child.communicate()
    assert not is_alive(held.pidfd)
    held.close()
    with pytest.raises(RefusedError, match="has ended"):
        open_process(child.pid)


def test_descriptors_that_cannot_be_seen_hold_nothing() -> None:
    assert not procfs.holds_socket(2**22, 1)


def test_a_start_of_the_machine_has_a_name() -> None:
    assert len(procfs.boot_id()) == 36


STRANGER = Process(2**22, 1)


class TestLeases:
    """A lease ends with its process; a grant that ends first leaves a survivor."""

    @pytest.fixture
    async def leases(self) -> AsyncIterator[Leases]:
        leases = Leases()
        yield leases
        leases.close()

    async def test_an_exit_ends_the_lease_once(self, leases: Leases, child: subprocess.Popen[bytes]) -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        handle = open_process(child.pid)
        leases.attach("g", handle, ended.put_nowait)
        assert leases.ids() == ("g",)
        assert leases.grants_of(handle.process) == ("g",)
        assert leases.grants_of(STRANGER) == ()
        child.communicate()
        assert await asyncio.wait_for(ended.get(), 10) == "g"
        assert leases.ids() == ()
        assert leases.tree("g") is None
        assert ended.empty()

    async def test_a_detached_lease_does_not_notice_the_exit(
        self, leases: Leases, child: subprocess.Popen[bytes]
    ) -> None:
        ended: asyncio.Queue[str] = asyncio.Queue()
        handle = open_process(child.pid)
        leases.attach("g", handle, ended.put_nowait)
        leases.attach("other", open_process(child.pid), ended.put_nowait)
        leases.detach("g")
        leases.detach("g")
        child.communicate()
        assert await asyncio.wait_for(ended.get(), 10) == "other"
        assert ended.empty()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(handle.pidfd)

    async def test_a_process_that_outlives_its_grant_is_a_survivor_until_it_exits(
        self, leases: Leases, child: subprocess.Popen[bytes]
    ) -> None:
        exited: asyncio.Queue[Process] = asyncio.Queue()
        handle = open_process(child.pid)
        pid, start = handle.process
        leases.attach("g", handle, lambda _: None)
        assert not leases.is_survivor(handle.process)
        assert leases.detach_survivor("g", exited.put_nowait) == handle.process
        assert leases.detach_survivor("g", exited.put_nowait) is None
        assert leases.is_survivor(handle.process)
        assert not leases.is_survivor(Process(pid, start + 1))
        assert not leases.is_survivor(STRANGER)
        assert leases.grants_of(handle.process) == ()
        child.communicate()
        assert await asyncio.wait_for(exited.get(), 10) == handle.process
        assert not leases.is_survivor(handle.process)

    async def test_descendants_of_a_survivor_are_survivors(
        self, leases: Leases, child: subprocess.Popen[bytes]
    ) -> None:
        leaf, other = Process(2**22 + 1, 2), Process(2**22 + 2, 3)
        handle = open_process(child.pid)
        leases.attach("g", handle, lambda _: None)
        tree = leases.tree("g")
        assert tree is not None
        tree.seen |= {handle.process, leaf}
        assert leases.grants_of(leaf) == leases.grants_of(handle.process) == ("g",)
        leases.detach_survivor("g", lambda _: None)
        assert leases.is_survivor(leaf)
        assert not leases.is_survivor(other)
        leases.track_survivor(open_process(child.pid), lambda _: None, {other})
        assert leases.is_survivor(leaf)
        assert leases.is_survivor(other)
        assert [tree.seen for tree in leases.survivor_trees()] == [{handle.process, leaf, other}]

    async def test_only_trees_with_processes_are_those_of_survivors(
        self, leases: Leases, child: subprocess.Popen[bytes]
    ) -> None:
        leases.track_survivor(open_process(child.pid), lambda _: None)
        assert leases.survivor_trees() == ()

    async def test_closing_leaves_no_descriptor(self, leases: Leases, child: subprocess.Popen[bytes]) -> None:
        handles = [open_process(child.pid), open_process(os.getpid())]
        leases.attach("g", handles[0], lambda _: None)
        leases.track_survivor(handles[1], lambda _: None)
        leases.close()
        assert leases.ids() == ()
        assert not leases.is_survivor(ourselves())
        for handle in handles:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(handle.pidfd)
