"""A cache of the vault's key in the Linux kernel, so that a restarted daemon can unlock the vault by itself.

The key is in the user keyring, which all processes of the user share however they were started (user-keyring(7)); a
session keyring would differ between a shell and a service. This also limits its protection: every program of the same
user can read the key while it is cached, so it is cached only on request. The kernel drops the key when its timeout
expires or at the next boot, and writes it to disk only with swap.

libc has no functions for this; the system calls are those of add_key(2) and keyctl(2).
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

# The numbers of (add_key, keyctl) by machine: syscalls(2).
SYSCALLS: Final = {"x86_64": (248, 250), "aarch64": (217, 219), "riscv64": (217, 219), "ppc64le": (269, 271)}
THREAD_KEYRING: Final = -1
USER_KEYRING: Final = -4
KEYCTL_SETPERM: Final = 5
KEYCTL_LINK: Final = 8
KEYCTL_SEARCH: Final = 10
KEYCTL_READ: Final = 11
KEYCTL_SET_TIMEOUT: Final = 15
KEYCTL_INVALIDATE: Final = 21
# The possessor has all permissions; processes of the same user may find, read and invalidate the key; others have none.
# (A process does not necessarily possess the keys in its user keyring.)
PERMISSIONS: Final = 0x3F0B0000
MAX_KEY_BYTES: Final = 1024


class KernelKeyCache:
    """The cached key of one daemon, named after its state directory."""

    def __init__(self, state: Path) -> None:
        self._name = b"hf-proxy:" + hashlib.sha256(os.fsencode(state)).hexdigest()[:32].encode()

    def put(self, key: Secret, seconds: int) -> None:
        """Cache the key for that many seconds; a key cached before is replaced.

        The key is created in the thread keyring, and linked to the user keyring once its timeout and permissions are
        set.

        Raises:
            VaultError: the kernel does not store keys here.
        """
        try:
            serial = _add_key(self._name, bytes.fromhex(key.reveal()))
            _keyctl(KEYCTL_SET_TIMEOUT, serial, seconds)
            _keyctl(KEYCTL_SETPERM, serial, PERMISSIONS)
            _keyctl(KEYCTL_LINK, serial, USER_KEYRING)
        except OSError as error:
            raise VaultError(
                f"the vault is unlocked, but this kernel keeps no key here ({error.strerror}; a container?); use a key"
                " file: hf-proxy unlock --passphrase-file FILE"
            ) from None

    def get(self) -> Secret | None:
        """Return the cached key, or None if there is none."""
        buffer = ctypes.create_string_buffer(MAX_KEY_BYTES)
        try:
            length = _keyctl(KEYCTL_READ, self._serial(), buffer, MAX_KEY_BYTES)
        except OSError:
            return None
        return Secret(buffer.raw[: min(length, MAX_KEY_BYTES)].hex())

    def remove(self) -> None:
        """Remove the cached key at once, if there is one."""
        with suppress(OSError):
            _keyctl(KEYCTL_INVALIDATE, self._serial())

    def _serial(self) -> int:
        return _keyctl(KEYCTL_SEARCH, USER_KEYRING, ctypes.c_char_p(b"user"), ctypes.c_char_p(self._name), 0)


def _add_key(name: bytes, payload: bytes) -> int:
    add_key, _ = _syscall_numbers()
    return _syscall(
        add_key, ctypes.c_char_p(b"user"), ctypes.c_char_p(name), ctypes.c_char_p(payload), len(payload), THREAD_KEYRING
    )


def _keyctl(*arguments: object) -> int:
    return _syscall(_syscall_numbers()[1], *arguments)


def _syscall_numbers() -> tuple[int, int]:
    if platform.system() != "Linux" or struct.calcsize("P") != 8 or platform.machine() not in SYSCALLS:
        raise OSError(38, "not known for this machine")
    return SYSCALLS[platform.machine()]


def _syscall(number: int, *arguments: object) -> int:
    """Make a system call and return its result. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = (ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments)
    result: int = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
