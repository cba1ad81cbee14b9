"""A vault that is gone with the process: for the demo, for tests, and for a machine that must keep nothing."""

from hfproxy.errors import VaultError
from hfproxy.secret import Secret


class MemoryVault:
    """Holds the document in memory."""

    name = "memory"
    locked = False
    exists = True
    key = None

    def __init__(self) -> None:
        self._document: Secret | None = None

    def read(self) -> Secret | None:
        return self._document

    def write(self, document: Secret) -> None:
        self._document = document

    def unlock(self, passphrase: Secret) -> None:
        raise VaultError("this vault has no passphrase; run: hf-proxy unlock without one")

    def unlock_with_key(self, key: Secret) -> None:
        raise VaultError("this vault has no key; run: hf-proxy unlock")

    def user_is_present(self) -> None:
        """Nobody is asked here."""

    def seal(self, passphrase: Secret) -> None:
        raise VaultError('this vault writes nothing that could be sealed; set backend = "keyring" under [vault]')

    unseal = seal

    def lock(self) -> None:
        """Nothing to close: the daemon forgets the accounts, and this is their only copy, so it stays."""
