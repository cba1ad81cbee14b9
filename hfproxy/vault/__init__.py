"""Storage of tokens. A vault holds one document, so that a change is atomic.

The format of the document belongs to `hfproxy.daemon.accounts`; to a vault it is an opaque `Secret`. Calls block on
disks and on prompts; the daemon makes them in threads, one at a time.
"""

from pathlib import Path

from hfproxy.vault.interface import Vault
from hfproxy.vault.memory import MemoryVault


def open_vault(backend: str, state: Path) -> Vault:
    """Return the vault for `[vault] backend` of the config: keyring, sealed-file or memory.

    Raises:
        VaultAbsentError: this system has no vault of that kind.
    """
    match backend:
        case "keyring":
            from hfproxy.vault.keyring_item import KeyringItem  # noqa: PLC0415
            from hfproxy.vault.keyring_vault import KeyringVault  # noqa: PLC0415  (imported by users of it only)

            return KeyringVault(KeyringItem(), state / "keyring-sealed")
        case "sealed-file":
            from hfproxy.vault.sealed_file import SealedFileVault  # noqa: PLC0415

            return SealedFileVault(state / "vault.sealed")
        case _:
            return MemoryVault()
