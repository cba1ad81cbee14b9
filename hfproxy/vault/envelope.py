"""The encrypted envelope around a document, stored in a file or in an item of the keyring.

Layout: a header of fixed size (magic, Argon2id costs, salt, nonce), then the AES-256-GCM ciphertext with its tag. The
header is the associated data, so no byte can be changed unnoticed. Costs: the second recommended set of RFC 9106 §4.
Every sealing uses a new nonce. The salt changes only with the passphrase, so that a key derived from both can be cached
(`hfproxy.vault.kernel_key_cache`) and opens documents sealed later.
"""

import secrets
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from hfproxy.errors import VAULT_LOCKED, PassphraseError, VaultError, VaultLockedError
from hfproxy.secret import Secret

MAGIC: Final = b"hf-proxy sealed 1\n"
KEY_BYTES: Final = 32
HEADER: Final = struct.Struct(f">{len(MAGIC)}sIII16s12s")
EXPORTED_KEY: Final = struct.Struct(f">III16s{KEY_BYTES}s")
TAG_BYTES: Final = 16
MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one guess at the passphrase: memory in KiB, passes over it, lanes."""

    memory: int = 64 * 1024
    passes: int = 3
    lanes: int = 4


DEFAULT_COST: Final = Cost()
# Bounds for the costs in an envelope: no less than is safe, no more than a small machine has.
MIN_COST: Final = Cost(19 * 1024, 2, 1)
MAX_COST: Final = Cost(256 * 1024, 8, 16)


@dataclass(frozen=True, slots=True)
class _Key:
    """A key derived from a passphrase, with the parameters of its derivation."""

    cost: Cost
    salt: bytes
    key: bytes

    def __repr__(self) -> str:
        return "<key>"


class Sealer:
    """Seals and opens the documents of one storage place while it has the key."""

    def __init__(self, place: str, cost: Cost = DEFAULT_COST, least: Cost = MIN_COST) -> None:
        """Create a locked sealer.

        Args:
            place: the name of the storage place, for messages.
            cost: the cost for a new passphrase.
            least: the lowest cost accepted from an existing envelope.
        """
        self._place, self._cost, self._least = place, cost, least
        self._key: _Key | None = None

    @property
    def locked(self) -> bool:
        return self._key is None

    @property
    def key(self) -> Secret:
        """The derived key for `unlock_with_key`: not the passphrase, and useless for any other vault.

        Raises:
            VaultLockedError: there is no key.
        """
        key = self._unlocked()
        return Secret(EXPORTED_KEY.pack(key.cost.memory, key.cost.passes, key.cost.lanes, key.salt, key.key).hex())

    def set_passphrase(self, passphrase: Secret) -> None:
        """Derive a key with a new salt, and seal with it from now on.

        Raises:
            PassphraseError: the passphrase is empty.
        """
        self._key = _derive(_require_nonempty(passphrase), self._cost, secrets.token_bytes(16))

    def unlock(self, passphrase: Secret, sealed: bytes) -> None:
        """Derive the key, and verify it on the envelope.

        Raises:
            PassphraseError: the passphrase is empty, or does not open the envelope.
            VaultError: the envelope is damaged, or its costs are out of bounds.
        """
        cost, salt = self._header(sealed)
        try:
            key = _derive(_require_nonempty(passphrase), cost, salt)
        except MemoryError:
            raise VaultError(f"there is not enough memory to open {self._place}; free some, then try again") from None
        self._verify(key, sealed)

    def unlock_with_key(self, exported: Secret, sealed: bytes) -> None:
        """Import a key exported by `key`, and verify it on the envelope.

        Raises:
            PassphraseError: the key is damaged, or does not open the envelope.
            VaultError: the envelope is damaged, or its costs are out of bounds.
        """
        try:
            memory, passes, lanes, salt, key = EXPORTED_KEY.unpack(bytes.fromhex(exported.reveal()))
        except (struct.error, ValueError):
            raise PassphraseError(f"the cached key for {self._place} is damaged; run: hf-proxy unlock") from None
        if self._header(sealed) != (Cost(memory, passes, lanes), salt):
            raise PassphraseError(f"the cached key does not belong to {self._place}; run: hf-proxy unlock")
        self._verify(_Key(Cost(memory, passes, lanes), salt, key), sealed)

    def lock(self) -> None:
        """Forget the key."""
        self._key = None

    def seal(self, document: Secret) -> bytes:
        """Return an envelope that holds the document.

        Raises:
            VaultLockedError: there is no key.
        """
        key, nonce = self._unlocked(), secrets.token_bytes(12)
        header = HEADER.pack(MAGIC, key.cost.memory, key.cost.passes, key.cost.lanes, key.salt, nonce)
        return header + AESGCM(key.key).encrypt(nonce, document.reveal().encode(), header)

    def open(self, sealed: bytes) -> Secret | None:
        """Return the document in an envelope; None if it is empty.

        Raises:
            VaultLockedError: there is no key.
            VaultError: the envelope is damaged, or sealed with another key.
        """
        key = self._unlocked()
        self._header(sealed)
        try:
            document = _decrypt(sealed, key)
        except InvalidTag:
            raise VaultError(
                f"{self._place} is damaged or was replaced; restore it from a backup, then: hf-proxy unlock"
            ) from None
        return Secret(document) if document else None

    def _unlocked(self) -> _Key:
        if self._key is None:
            raise VaultLockedError(VAULT_LOCKED)
        return self._key

    def _verify(self, key: _Key, sealed: bytes) -> None:
        try:
            _decrypt(sealed, key)
        except InvalidTag:
            raise PassphraseError(
                f"the passphrase does not open {self._place} (or it is damaged); try again: hf-proxy unlock"
            ) from None
        self._key = key

    def _header(self, sealed: bytes) -> tuple[Cost, bytes]:
        """Return (cost, salt). The bounds keep a planted envelope from costing hours, or from making guesses cheap."""
        if not HEADER.size + TAG_BYTES <= len(sealed) <= MAX_BYTES:
            raise self._damaged()
        magic, memory, passes, lanes, salt, _ = HEADER.unpack_from(sealed)
        in_bounds = (
            self._least.memory <= memory <= MAX_COST.memory
            and self._least.passes <= passes <= MAX_COST.passes
            and self._least.lanes <= lanes <= MAX_COST.lanes
            and memory >= 8 * lanes  # required by Argon2 (RFC 9106 §3.1)
        )
        if magic != MAGIC or not in_bounds:
            raise self._damaged()
        return Cost(memory, passes, lanes), salt

    def _damaged(self) -> VaultError:
        return VaultError(
            f"{self._place} is damaged or not a sealed vault; restore it, or move it away, then: hf-proxy unlock"
        )


def _require_nonempty(passphrase: Secret) -> Secret:
    if not passphrase:
        raise PassphraseError("an empty passphrase seals nothing; choose one: hf-proxy unlock")
    return passphrase


def _derive(passphrase: Secret, cost: Cost, salt: bytes) -> _Key:
    kdf = Argon2id(salt=salt, length=KEY_BYTES, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory)
    return _Key(cost, salt, kdf.derive(passphrase.reveal().encode("utf-8", "surrogateescape")))


def _decrypt(sealed: bytes, key: _Key) -> str:
    header, body = sealed[: HEADER.size], sealed[HEADER.size :]
    nonce = HEADER.unpack(header)[-1]
    return AESGCM(key.key).decrypt(nonce, body, header).decode()
