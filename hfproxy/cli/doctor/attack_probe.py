"""What another program of the same user can do to the daemon: tried, in a process of its own, and left as it was.

    python -I -m hfproxy.cli.doctor.attack_probe PID CONFIG_DIR DIRECTORY...

It prints one JSON object: each way in, with `open` or why it was shut. Root's privileges are laid down first: they
open everything, and no other program of a user has them.
"""

import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable

from hfproxy.control_client import request
from hfproxy.errors import HFProxyError

PTRACE_SEIZE = 0x4206
# open(2): this file system, or kernel, has none.
NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT}
# linux/capability.h, version 3: twice effective, permitted, inheritable.
CAPSET = {"x86_64": 126, "aarch64": 91}
CAPABILITY_VERSION = 0x20080522
OPEN = "open"
NONE = "0"  # no daemon: only what needs none is tried


def main(words: list[str]) -> int:
    """Try everything and say what happened."""
    pid, config, *directories = words
    drop_privileges()
    found: dict[str, object] = _at_process(int(pid)) if pid != NONE else {}
    found["config"] = tried(lambda: _writable(config))
    found["path"] = [directory for directory in directories if _is_open(directory)]
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _at_process(pid: int) -> dict[str, object]:
    return {
        "environ": tried(lambda: _read(f"/proc/{pid}/environ")),
        "mem": tried(lambda: _read(f"/proc/{pid}/mem", size=0)),
        "vm_read": tried(lambda: _peek(pid)),
        "ptrace": tried(lambda: _seize(pid)),
        "core": core(pid),
        "socket": tried(_speak),
    }


def _is_open(directory: str) -> bool:
    return tried(lambda: _writable(directory)) == OPEN


def tried(way: Callable[[], object]) -> str:
    """`open`, or what the system said."""
    try:
        way()
    except OSError as error:
        return error.strerror or type(error).__name__
    except HFProxyError as error:
        return str(error)
    return OPEN


def core(pid: int) -> str:
    """Whether a crash would leave an image of the memory. An undumpable process leaves none, whatever its limit is;
    that it is one shows in that its environment is shut (proc(5))."""
    limit = next((line.split()[4] for line in _lines(f"/proc/{pid}/limits") if line.startswith("Max core")), "")
    if tried(lambda: _read(f"/proc/{pid}/environ")) == OPEN:
        return OPEN
    return f"undumpable, and its limit for core files is {limit}" if limit else "undumpable"


def drop_privileges() -> None:
    """Root becomes a user like any other, of uid 0."""
    number = CAPSET.get(os.uname().machine)
    if os.geteuid() == 0 and number is not None:
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
        ctypes.CDLL(None).syscall(ctypes.c_long(number), header, (ctypes.c_uint32 * 6)())


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return list(file)
    except OSError:
        return []


def _read(path: str, size: int = 1) -> None:
    with open(path, "rb", buffering=0) as file:
        file.read(size)


def _peek(pid: int) -> None:
    """process_vm_readv(2). Nothing is at address 1; whoever may look is told so (EFAULT)."""
    libc = ctypes.CDLL(None, use_errno=True)
    ours = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    theirs = (ctypes.c_size_t * 2)(1, 8)
    if libc.process_vm_readv(pid, ours, 1, theirs, 1, 0) < 0 and ctypes.get_errno() != errno.EFAULT:
        _fail()


def _seize(pid: int) -> None:
    """ptrace(2): attached without a stop, and detached when this process ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    if libc.ptrace(PTRACE_SEIZE, pid, 0, 0) != 0:
        _fail()


def _fail() -> None:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _speak() -> None:
    request({"do": "status"})


def _writable(directory: str) -> None:
    """Make a file there, or where it would be made, that has no name and is gone at once; where a file system has no
    such files, the permissions count."""
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in NO_TMPFILE or not os.access(directory, os.W_OK):
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
