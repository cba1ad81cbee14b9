"""A vault in memory, which ends with the process: for the demo, for tests, and for machines that must store nothing."""

from hfproxy.errors import VaultError
from hfproxy.secret import Secret


class MemoryVault:
    """A vault that stores its document in memory."""

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
        """Do nothing: this vault never prompts."""

    def seal(self, passphrase: Secret) -> None:
        raise VaultError('this vault writes nothing that could be sealed; set backend = "keyring" under [vault]')

    unseal = seal

    def lock(self) -> None:
        """Do nothing: the daemon forgets its accounts, and this document is the only copy."""
