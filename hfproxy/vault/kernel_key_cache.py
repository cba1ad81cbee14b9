"""A key kept in the Linux kernel for a while, so that a daemon that is started again finds its vault open.

It lies in the user keyring, which all processes of the user share however they were started (user-keyring(7)): a
session keyring would not be the same for a shell and for what the service manager starts. That is also what it is
worth: every program of the same user can read it there while it lasts, so it is kept only when asked for. The kernel
forgets it by itself when its time is over, or at the next boot, and never writes it to disk but with swap.

libc has no functions for this; the calls are those of add_key(2) and keyctl(2).
"""

import ctypes
import hashlib
import os
import platform
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from hfproxy.errors import VaultError
from hfproxy.secret import Secret

# (add_key, keyctl) by machine: syscalls(2).
SYSCALLS: Final = {"x86_64": (248, 250), "aarch64": (217, 219), "riscv64": (217, 219), "ppc64le": (269, 271)}
THREAD_KEYRING: Final = -1
USER_KEYRING: Final = -4
SETPERM: Final = 5
LINK: Final = 8
SEARCH: Final = 10
READ: Final = 11
SET_TIMEOUT: Final = 15
INVALIDATE: Final = 21
# Who possesses it may do all; processes of the same user may find, read and invalidate it; nobody else anything.
# (A process need not possess what is in its user keyring.)
PERMISSIONS: Final = 0x3F0B0000
LONGEST: Final = 1024


class KernelKeyCache:
    """The place of one daemon's key, told apart by its state directory."""

    def __init__(self, state: Path) -> None:
        self._name = b"hf-proxy:" + hashlib.sha256(os.fsencode(state)).hexdigest()[:32].encode()

    def put(self, key: Secret, seconds: int) -> None:
        """Keep it for that long, in place of one that is there.

        It is made where only this thread can see it, and moved once it has an end and its permissions.

        Raises:
            VaultError: this kernel keeps no keys for us.
        """
        try:
            made = _add_key(self._name, bytes.fromhex(key.reveal()))
            _keyctl(SET_TIMEOUT, made, seconds)
            _keyctl(SETPERM, made, PERMISSIONS)
            _keyctl(LINK, made, USER_KEYRING)
        except OSError as error:
            raise VaultError(
                f"the vault is open, but this kernel keeps no key here ({error.strerror}; a container?); use a key"
                " file: hf-proxy unlock --passphrase-file FILE"
            ) from None

    def get(self) -> Secret | None:
        """The key, if there is one still."""
        held = ctypes.create_string_buffer(LONGEST)
        try:
            length = _keyctl(READ, self._serial(), held, LONGEST)
        except OSError:
            return None
        return Secret(held.raw[: min(length, LONGEST)].hex())

    def remove(self) -> None:
        """Remove it at once, for everybody; nothing if it is not there."""
        with suppress(OSError):
            _keyctl(INVALIDATE, self._serial())

    def _serial(self) -> int:
        return _keyctl(SEARCH, USER_KEYRING, ctypes.c_char_p(b"user"), ctypes.c_char_p(self._name), 0)


def _add_key(name: bytes, payload: bytes) -> int:
    add_key, _ = _numbers()
    return _called(
        add_key, ctypes.c_char_p(b"user"), ctypes.c_char_p(name), ctypes.c_char_p(payload), len(payload), THREAD_KEYRING
    )


def _keyctl(*arguments: object) -> int:
    return _called(_numbers()[1], *arguments)


def _numbers() -> tuple[int, int]:
    if platform.system() != "Linux" or struct.calcsize("P") != 8 or platform.machine() not in SYSCALLS:
        raise OSError(38, "not known for this machine")
    return SYSCALLS[platform.machine()]


def _called(number: int, *arguments: object) -> int:
    """Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    result: int = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
