"""Processes and trees: found by number and moment, and never by number alone (docs/threat-model.md#t20)."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hfproxy.daemon.runtime import procfs
from hfproxy.daemon.grants.leases import ProcessTree, is_alive, open_process
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
