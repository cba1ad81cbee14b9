"""Attempts the attacks that another program of the same user could make on the daemon, without changing anything.

    python -I -m hfproxy.cli.doctor.attack_probe PID CONFIG_DIR DIRECTORY...

It prints one JSON object: for each attack `open`, or the reason why it failed. Root drops its privileges first, since
they allow every attack, and a user's other programs do not have them.
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
# The errors of open(2) where the file system or kernel has no O_TMPFILE.
NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT}
# The number of capset(2) by machine; linux/capability.h, version 3: two sets of effective, permitted, inheritable.
CAPSET = {"x86_64": 126, "aarch64": 91}
CAPABILITY_VERSION = 0x20080522
OPEN = "open"
NO_PID = "0"  # there is no daemon: only the attacks on files are tried


def main(words: list[str]) -> int:
    """Run all attacks and print the results."""
    pid, config, *directories = words
    drop_privileges()
    results: dict[str, object] = _attack_process(int(pid)) if pid != NO_PID else {}
    results["config"] = attempt(lambda: _create_file(config))
    results["path"] = [directory for directory in directories if _is_writable(directory)]
    sys.stdout.write(json.dumps(results) + "\n")
    return 0


def _attack_process(pid: int) -> dict[str, object]:
    return {
        "environ": attempt(lambda: _read(f"/proc/{pid}/environ")),
        "mem": attempt(lambda: _read(f"/proc/{pid}/mem", size=0)),
        "vm_read": attempt(lambda: _read_memory(pid)),
        "ptrace": attempt(lambda: _seize(pid)),
        "core": core_dump(pid),
        "socket": attempt(_send_request),
    }


def _is_writable(directory: str) -> bool:
    return attempt(lambda: _create_file(directory)) == OPEN


def attempt(attack: Callable[[], object]) -> str:
    """Run an attack; return `open` if it succeeds, else the error."""
    try:
        attack()
    except OSError as error:
        return error.strerror or type(error).__name__
    except HFProxyError as error:
        return str(error)
    return OPEN


def core_dump(pid: int) -> str:
    """Return `open` if a crash would leave a core file, else the reason why not.

    An undumpable process leaves none, whatever its limit; it is recognized by its unreadable environment (proc(5)).
    """
    limit = next((line.split()[4] for line in _lines(f"/proc/{pid}/limits") if line.startswith("Max core")), "")
    if attempt(lambda: _read(f"/proc/{pid}/environ")) == OPEN:
        return OPEN
    return f"undumpable, and its limit for core files is {limit}" if limit else "undumpable"


def drop_privileges() -> None:
    """Drop all capabilities if this process is root's."""
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


def _read_memory(pid: int) -> None:
    """Call process_vm_readv(2) for address 1, which is never mapped: with permission the error is EFAULT."""
    libc = ctypes.CDLL(None, use_errno=True)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(ctypes.create_string_buffer(8)), 8)
    remote = (ctypes.c_size_t * 2)(1, 8)
    if libc.process_vm_readv(pid, local, 1, remote, 1, 0) < 0 and ctypes.get_errno() != errno.EFAULT:
        _raise_errno()


def _seize(pid: int) -> None:
    """Attach with ptrace(2) without stopping the process; the end of this process detaches."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    if libc.ptrace(PTRACE_SEIZE, pid, 0, 0) != 0:
        _raise_errno()


def _raise_errno() -> None:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _send_request() -> None:
    request({"do": "status"})


def _create_file(directory: str) -> None:
    """Create and close an unnamed file in the directory, or in its nearest existing parent.

    On a file system without unnamed files the permissions are checked instead.

    Raises:
        OSError: the directory is not writable.
    """
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in NO_TMPFILE or not os.access(directory, os.W_OK):
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
