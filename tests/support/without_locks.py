"""Runs a command for which no file can be locked, as on a home that a server without a lock daemon exports.

    python without_locks.py COMMAND...

The kernel itself refuses, with ENOLCK (seccomp(2)): flock(2), and fcntl(2) where it is about locks. The filter stays
through every exec, whatever becomes of the environment.
"""

import ctypes
import errno
import fcntl
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06  # BPF: a word of struct seccomp_data, a jump, the verdict
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOLCK
NUMBER, SECOND_ARGUMENT = 0, 24  # where they are in it
FLOCK, FCNTL = {"x86_64": (73, 72), "aarch64": (32, 25)}[os.uname().machine]
LOCKING = (fcntl.F_SETLK, fcntl.F_SETLKW, 37, 38)  # the last two: F_OFD_SETLK, F_OFD_SETLKW


def program() -> bytes:
    """What is asked of each call; a jump says how many lines to skip if so, and if not."""
    lines = [(LOAD, 0, 0, NUMBER), (EQUALS, 7, 0, FLOCK), (EQUALS, 0, 5, FCNTL), (LOAD, 0, 0, SECOND_ARGUMENT)]
    lines += [(EQUALS, 4 - place, 0, command) for place, command in enumerate(LOCKING)]
    lines += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program())
    filter_ = struct.pack("HxxxxxxP", len(program()) // 8, ctypes.addressof(code))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(filter_), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
