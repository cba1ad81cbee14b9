"""A vault in a file of ciphertext, under a passphrase given at unlock. Each write replaces the file atomically."""

import os
from pathlib import Path

from hfproxy import atomic_file, private_file
from hfproxy.errors import VAULT_LOCKED, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault.envelope import DEFAULT_COST, MAX_BYTES, MIN_COST, Cost, Sealer


class SealedFileVault:
    """A vault that stores its document in one encrypted file."""

    name = "sealed-file"

    def __init__(self, path: Path, cost: Cost = DEFAULT_COST, least: Cost = MIN_COST) -> None:
        """Create the vault without opening the file; `least` is the lowest cost accepted from an existing file."""
        self._path, self._sealer = path, Sealer(str(path), cost, least)

    @property
    def locked(self) -> bool:
        return self._sealer.locked

    @property
    def exists(self) -> bool:
        return os.path.lexists(self._path)

    @property
    def key(self) -> Secret | None:
        return None if self.locked else self._sealer.key

    def unlock(self, passphrase: Secret) -> None:
        """Derive the key and verify it on the file; if there is no file, create an empty vault.

        Raises:
            PassphraseError: the passphrase is empty, or does not open the file.
            VaultError: the file is damaged, or not private to the current user.
        """
        if self.exists:
            self._sealer.unlock(passphrase, self._load())
            return
        self._sealer.set_passphrase(passphrase)
        try:
            self.write(Secret(""))
        except VaultError:
            self.lock()
            raise

    def unlock_with_key(self, key: Secret) -> None:
        self._sealer.unlock_with_key(key, self._load())

    def lock(self) -> None:
        self._sealer.lock()

    def user_is_present(self) -> None:
        """Do nothing: this vault never prompts."""

    def read(self) -> Secret | None:
        """Decrypt and return the document; None if it is empty.

        Raises:
            VaultLockedError: there is no key.
            VaultError: the file is gone, damaged, or not private to the current user.
        """
        if self.locked:
            raise VaultLockedError(VAULT_LOCKED)
        return self._sealer.open(self._load())

    def write(self, document: Secret) -> None:
        """Seal the document into a new file, which replaces the old one once it is on disk.

        Raises:
            VaultLockedError: there is no key.
            VaultError: the file cannot be written.
        """
        sealed = self._sealer.seal(document)
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
            'a sealed file cannot be stored as plaintext; to use the keyring, set backend = "keyring" under [vault] in'
            " config.toml, restart the daemon, then: hf-proxy login"
        )

    def _load(self) -> bytes:
        return private_file.read(str(self._path), MAX_BYTES)
