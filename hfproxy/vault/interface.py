"""The interface of all vaults."""

from typing import Protocol

from hfproxy.secret import Secret


class Vault(Protocol):
    """A place that stores one document. Methods may block, unless their docstring says otherwise."""

    @property
    def name(self) -> str:
        """The name shown by `status`: `keyring:SecretService`, that with ` (sealed)`, `sealed-file` or `memory`."""

    @property
    def locked(self) -> bool:
        """Whether a passphrase is needed before the document can be read. Never blocks or prompts."""

    @property
    def exists(self) -> bool:
        """Whether there is a vault to unlock; False for a sealed vault that has no passphrase yet."""

    @property
    def key(self) -> Secret | None:
        """The key of a sealed vault, for `unlock_with_key`; None while it is locked, or if the vault has no key."""

    def read(self) -> Secret | None:
        """Return the document; None if none was ever written. Raises VaultError."""

    def write(self, document: Secret) -> None:
        """Replace the document atomically. Raises VaultError."""

    def unlock(self, passphrase: Secret) -> None:
        """Unlock a sealed vault, or create one. Raises PassphraseError, VaultError."""

    def unlock_with_key(self, key: Secret) -> None:
        """Unlock a sealed vault with a key that `key` exported. Raises PassphraseError, VaultError."""

    def lock(self) -> None:
        """Forget the key, if there is one. Never blocks, even while another call is in progress."""

    def user_is_present(self) -> None:
        """Allow a keyring prompt even if the last one was dismissed: the user has just run a command."""

    def seal(self, passphrase: Secret) -> None:
        """Encrypt the stored document under this passphrase from now on. Raises VaultError."""

    def unseal(self, passphrase: Secret) -> None:
        """Store the document as plaintext again. Raises PassphraseError, VaultError."""
