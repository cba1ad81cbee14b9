"""Where tokens live. A vault holds one document, so that a change is whole or not at all.

What is in the document is for `daemon.accounts` to know; here it is a `Secret` and nothing else. Calls block, on
disks and on people; the daemon makes them in threads, one at a time.
"""

from pathlib import Path

from hfproxy.vault.interface import Vault
from hfproxy.vault.memory import MemoryVault


def open_vault(backend: str, state: Path) -> Vault:
    """The vault of the config's `[vault] backend`: keyring, sealed-file or memory.

    Raises:
        VaultAbsentError: this system has none of that kind.
    """
    match backend:
        case "keyring":
            from hfproxy.vault.keyring_item import KeyringItem  # noqa: PLC0415
            from hfproxy.vault.keyring_vault import KeyringVault  # noqa: PLC0415  (only who uses it pays for it)

            return KeyringVault(KeyringItem(), state / "keyring-sealed")
        case "sealed-file":
            from hfproxy.vault.sealed_file import SealedFileVault  # noqa: PLC0415

            return SealedFileVault(state / "vault.sealed")
        case _:
            return MemoryVault()
