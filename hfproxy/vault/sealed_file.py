"""A file that holds the document only as ciphertext, under a passphrase given at unlock. A write replaces it wholly."""

import os
from pathlib import Path

from hfproxy import atomic_file, private_file
from hfproxy.errors import VAULT_LOCKED, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault.envelope import DEFAULT_COST, MAX_BYTES, MIN_COST, Cost, Sealer


class SealedFileVault:
    """The document in one encrypted file."""

    name = "sealed-file"

    def __init__(self, path: Path, cost: Cost = DEFAULT_COST, least: Cost = MIN_COST) -> None:
        """`cost` is for a new file; `least` is what an existing one must have cost."""
        self._path, self._seal = path, Sealer(str(path), cost, least)

    @property
    def locked(self) -> bool:
        return self._seal.locked

    @property
    def exists(self) -> bool:
        return os.path.lexists(self._path)

    @property
    def key(self) -> Secret | None:
        return None if self.locked else self._seal.key

    def unlock(self, passphrase: Secret) -> None:
        """Derive the key and prove it on the file; a vault that is not there yet is made, empty.

        Raises:
            PassphraseError: it is empty, or does not open the file.
            VaultError: the file is damaged, or not ours alone.
        """
        if self.exists:
            self._seal.unlock(passphrase, self._load())
            return
        self._seal.set_passphrase(passphrase)
        try:
            self.write(Secret(""))
        except VaultError:
            self.lock()
            raise

    def unlock_with_key(self, key: Secret) -> None:
        self._seal.unlock_with_key(key, self._load())

    def lock(self) -> None:
        self._seal.lock()

    def user_is_present(self) -> None:
        """Nobody is asked here."""

    def read(self) -> Secret | None:
        """Decrypt the document.

        Raises:
            VaultLockedError: there is no key.
            VaultError: the file is gone or damaged.
        """
        if self.locked:
            raise VaultLockedError(VAULT_LOCKED)
        return self._seal.open(self._load())

    def write(self, document: Secret) -> None:
        """Seal the document into a new file, which takes the old one's place once it is on disk; raises as `read`."""
        sealed = self._seal.seal(document)
        try:
            atomic_file.write(self._path, sealed)
        except OSError as error:
            raise VaultError(
                f"{self._path} cannot be written ({error.strerror}), nothing was changed; make room, and try again"
            ) from None

    def seal(self, passphrase: Secret) -> None:
        raise VaultError("a sealed file is sealed already; see: hf-proxy status")

    def unseal(self, passphrase: Secret) -> None:
        raise VaultError(
            'a sealed file cannot lie in the clear; for the keyring set backend = "keyring" under [vault] in'
            " config.toml, start the daemon again, then: hf-proxy login"
        )

    def _load(self) -> bytes:
        return private_file.read(str(self._path), MAX_BYTES)
