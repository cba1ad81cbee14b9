"""A file that holds the document only as ciphertext, under a passphrase given at unlock.

Layout: a header of fixed size in front (magic, Argon2id's costs, salt, nonce), then AES-256-GCM's ciphertext with its
tag. The header is authenticated with it, so no byte of the file can be changed unnoticed. Costs: the second recommended
set of RFC 9106 §4. Every write takes a new nonce, and replaces the file as a whole.
"""

import os
import secrets
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from hfproxy import durable
from hfproxy.errors import PassphraseError, VaultError, VaultLockedError
from hfproxy.secret import Secret

MAGIC: Final = b"hf-proxy sealed 1\n"
KEY_BYTES: Final = 32
HEADER: Final = struct.Struct(f">{len(MAGIC)}sIII16s12s")
TAG_BYTES: Final = 16
MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at the passphrase costs: memory in KiB, passes over it, lanes."""

    memory: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


# What a file may ask for: no less than is safe, no more than a laptop has.
LEAST: Final = Cost(19 * 1024, 2, 1)
MOST: Final = Cost(1024 * 1024, 16, 16)


@dataclass(frozen=True, slots=True)
class _Key:
    """The key that a passphrase gave, and what it was made with."""

    cost: Cost
    salt: bytes
    key: bytes

    def __repr__(self) -> str:
        return "<key>"


class SealedFileVault:
    """The document in one encrypted file."""

    name = "sealed-file"

    def __init__(self, path: Path, cost: Cost = Cost(), least: Cost = LEAST) -> None:
        """`cost` is for a new file; `least` is what an existing one must have cost."""
        self._path, self._cost, self._least = path, cost, least
        self._key: _Key | None = None

    @property
    def locked(self) -> bool:
        return self._key is None

    @property
    def exists(self) -> bool:
        return os.path.lexists(self._path)

    def unlock(self, passphrase: Secret) -> None:
        """Derive the key and prove it on the file; a vault that is not there yet is made, empty.

        Raises:
            PassphraseError: it is empty, or does not open the file.
            VaultError: the file is damaged, or not ours alone.
        """
        if not passphrase:
            raise PassphraseError("an empty passphrase seals nothing; choose one: hf-proxy unlock")
        if not self.exists:
            self._key = _derive(passphrase, self._cost, secrets.token_bytes(16))
            self.write(Secret(""))
            return
        sealed = self._load()
        cost, salt, _ = self._header(sealed)
        key = _derive(passphrase, cost, salt)
        try:
            _open(sealed, key)
        except InvalidTag:
            raise PassphraseError(
                f"the passphrase does not open {self._path} (or the file is damaged); try again"
            ) from None
        self._key = key

    def lock(self) -> None:
        self._key = None

    def read(self) -> Secret | None:
        """Decrypt the document.

        Raises:
            VaultLockedError: there is no key.
            VaultError: the file is gone or damaged.
        """
        key = self._unlocked()
        sealed = self._load()
        self._header(sealed)
        try:
            document = _open(sealed, key)
        except InvalidTag:
            raise VaultError(
                f"{self._path} is damaged or was replaced; restore it, or: mv {self._path} {self._path}.bad"
            ) from None
        return Secret(document) if document else None

    def write(self, document: Secret) -> None:
        """Seal the document into a new file, which takes the old one's place once it is on disk; raises as `read`."""
        key = self._unlocked()
        nonce = secrets.token_bytes(12)
        header = HEADER.pack(MAGIC, key.cost.memory, key.cost.passes, key.cost.lanes, key.salt, nonce)
        sealed = header + AESGCM(key.key).encrypt(nonce, document.reveal().encode(), header)
        try:
            durable.write(self._path, sealed)
        except OSError as error:
            raise VaultError(
                f"{self._path} cannot be written ({error.strerror}), nothing was changed; make room, and try again"
            ) from None

    def _unlocked(self) -> _Key:
        if self._key is None:
            raise VaultLockedError("the vault is locked; run: hf-proxy unlock")
        return self._key

    def _load(self) -> bytes:
        """Read the file, if it is a plain one of ours that nobody else can open."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise VaultError(f"{self._path} cannot be opened ({error.strerror}); see: ls -l {self._path}") from None
        try:
            self._check(os.fstat(fd))
            with open(fd, "rb", closefd=False) as file:
                return file.read(MAX_BYTES + 1)
        finally:
            os.close(fd)

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise VaultError(f"{self._path} is not a file of yours; move it away: mv {self._path} {self._path}.bad")
        if found.st_mode & 0o077:
            raise VaultError(f"{self._path} is open to other users; run: chmod 600 {self._path}")

    def _header(self, sealed: bytes) -> tuple[Cost, bytes, bytes]:
        """(cost, salt, nonce). A planted file must not make us work for hours, nor weaken the next guess."""
        if not HEADER.size + TAG_BYTES <= len(sealed) <= MAX_BYTES:
            raise self._damaged()
        magic, memory, passes, lanes, salt, nonce = HEADER.unpack_from(sealed)
        in_bounds = (
            self._least.memory <= memory <= MOST.memory
            and self._least.passes <= passes <= MOST.passes
            and self._least.lanes <= lanes <= MOST.lanes
            and memory >= 8 * lanes  # Argon2 asks for it (RFC 9106 §3.1)
        )
        if magic != MAGIC or not in_bounds:
            raise self._damaged()
        return Cost(memory, passes, lanes), salt, nonce

    def _damaged(self) -> VaultError:
        return VaultError(
            f"{self._path} is damaged or not a sealed vault; restore it, or: mv {self._path} {self._path}.bad"
        )


def _derive(passphrase: Secret, cost: Cost, salt: bytes) -> _Key:
    kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory)
    return _Key(cost, salt, kdf.derive(passphrase.reveal().encode("utf-8", "surrogateescape")))


def _open(sealed: bytes, key: _Key) -> str:
    header, body = sealed[: HEADER.size], sealed[HEADER.size :]
    nonce = HEADER.unpack(header)[-1]
    return AESGCM(key.key).decrypt(nonce, body, header).decode()
