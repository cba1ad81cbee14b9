"""The keyring of the operating system, through a backend that is named here.

Which backend is used is never looked up: `keyring.get_keyring()` would obey a config file, an environment
variable and installed plugins, each of which another program can plant (threats T6). This is the only module that
imports keyring.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from hfproxy.errors import VaultAbsentError, VaultError, VaultLockedError
from hfproxy.secret import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "hf-proxy"
ITEM: Final = "accounts"
# sys.platform → (module, class, name of the keyring)
BACKENDS: Final = {
    "linux": ("keyring.backends.SecretService", "Keyring", "SecretService"),
    "darwin": ("keyring.backends.macOS", "Keyring", "macOS"),
    "win32": ("keyring.backends.Windows", "WinVaultKeyring", "Windows"),
}
# A Windows credential holds at most this many bytes (CRED_MAX_CREDENTIAL_BLOB_SIZE); it is UTF-16 there.
WINDOWS_LIMIT: Final = 2560
LOCKED: Final = frozenset({"KeyringLocked", "LockedException", "PromptDismissedException"})
ABSENT: Final = frozenset(
    {"InitError", "SecretServiceNotAvailableException", "NoKeyringError", "ImportError", "OSError", "RuntimeError"}
)
INSTEAD: Final = 'or set backend = "sealed-file" under [vault] in config.toml'


class KeyringVault:
    """One item of the user's keyring."""

    locked = False  # the keyring's own lock is met when it is asked
    exists = True

    def __init__(self, platform: str = sys.platform) -> None:
        """Name the backend; nothing is opened yet.

        Raises:
            VaultAbsentError: there is none for this system.
        """
        if platform not in BACKENDS:
            raise VaultAbsentError(f'no keyring is known for {platform}; set backend = "sealed-file" under [vault]')
        self._module, self._class, keyring_name = BACKENDS[platform]
        self._limit = WINDOWS_LIMIT if platform == "win32" else None
        self.name = f"keyring:{keyring_name}"

    def read(self) -> Secret | None:
        """The item's text; may wait for a person to unlock the keyring.

        Raises:
            VaultAbsentError: no keyring answers.
            VaultLockedError: it is locked, and was not unlocked when asked for.
        """
        try:
            document = self._backend().get_password(SERVICE, ITEM)
        except Exception as error:  # noqa: BLE001  (each backend has its own)
            raise _in_words(error) from None
        return None if document is None else Secret(document)

    def write(self, document: Secret) -> None:
        """Replace the item's text; raises as `read`."""
        if self._limit is not None and len(document.reveal().encode("utf-16-le")) > self._limit:
            raise VaultError(f"the accounts do not fit into a Windows credential ({self._limit} bytes); {INSTEAD}")
        try:
            self._backend().set_password(SERVICE, ITEM, document.reveal())
        except Exception as error:  # noqa: BLE001  (each backend has its own)
            raise _in_words(error) from None

    def unlock(self, passphrase: Secret) -> None:
        raise VaultError("the keyring asks for its own passphrase; run: hf-proxy unlock without one")

    def lock(self) -> None:
        """The keyring stays as it is: it is not ours to lock. The daemon forgets what it read."""

    def _backend(self) -> "KeyringBackend":
        backend: KeyringBackend = getattr(import_module(self._module), self._class)()
        return backend


def _in_words(error: Exception) -> VaultError:
    """A library's exception may quote what was to be written, so only its class is looked at."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & LOCKED:
        return VaultLockedError("the keyring is locked; unlock it in your desktop session and try again")
    if names & ABSENT:
        return VaultAbsentError(f"no keyring answers here; start one (gnome-keyring, KWallet), {INSTEAD}")
    return VaultError(f"the keyring failed ({type(error).__name__}); try again, {INSTEAD}")
