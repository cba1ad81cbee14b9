"""The interface of a vault."""

from typing import Protocol

from hfproxy.secret import Secret


class Vault(Protocol):
    """One kind of vault."""

    @property
    def name(self) -> str:
        """As `status` shows it: `keyring:SecretService`, the same with ` (sealed)`, `sealed-file`, `memory`."""

    @property
    def locked(self) -> bool:
        """Whether it needs a passphrase before it can be read. Answers at once, without asking anybody."""

    @property
    def exists(self) -> bool:
        """Whether there is something to unlock; False for a sealed vault that no passphrase was chosen for."""

    @property
    def key(self) -> Secret | None:
        """What opens a sealed vault without its passphrase, for `resume`; None while it is locked, or has none."""

    def read(self) -> Secret | None:
        """The document; None if none was ever written. Raises VaultError."""

    def write(self, document: Secret) -> None:
        """Replace the document, wholly or not at all. Raises VaultError."""

    def unlock(self, passphrase: Secret) -> None:
        """Open a sealed vault, or make one. Raises PassphraseError, VaultError."""

    def unlock_with_key(self, key: Secret) -> None:
        """Open a sealed vault with the key that it gave out; raises as `unlock`."""

    def lock(self) -> None:
        """Forget what opens it; nothing where there is no such thing. At once, whatever else is under way."""

    def user_is_present(self) -> None:
        """A person is there who wants to be asked, even if a prompt was dismissed a moment ago."""

    def seal(self, passphrase: Secret) -> None:
        """From now on nothing of it lies anywhere but sealed under this passphrase. Raises VaultError."""

    def unseal(self, passphrase: Secret) -> None:
        """The way back. Raises PassphraseError, VaultError."""
