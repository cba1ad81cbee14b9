"""Where tokens live. A vault holds one document, so that a change is whole or not at all.

What is in the document is for `daemon.accounts` to know; here it is a `Secret` and nothing else. Calls block, on
disks and on people; the daemon makes them in threads, one at a time.
"""

from pathlib import Path
from typing import Protocol

from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault


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


def open_vault(backend: str, state: Path) -> Vault:
    """The vault of the config's `[vault] backend`: keyring, sealed-file or memory.

    Raises:
        VaultAbsentError: this system has none of that kind.
    """
    match backend:
        case "keyring":
            from hfproxy.vault.keyring_vault import KeyringVault  # noqa: PLC0415  (only who uses it pays for it)
            from hfproxy.vault.os_keyring import KeyringItem  # noqa: PLC0415

            return KeyringVault(KeyringItem(), state / "keyring-sealed")
        case "sealed-file":
            from hfproxy.vault.sealed_file import SealedFileVault  # noqa: PLC0415

            return SealedFileVault(state / "vault.sealed")
        case _:
            return MemoryVault()
