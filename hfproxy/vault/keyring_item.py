"""One item in the keyring of the operating system, through a fixed backend for each system.

The backend is never looked up: `keyring.get_keyring()` would obey a config file, an environment variable and installed
plugins, each of which another program can plant (docs/threat-model.md#t6). The keyring library is imported only here
and in `hfproxy.vault.secret_service`.
"""

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Final

from hfproxy.errors import VaultAbsentError, VaultError, VaultLockedError
from hfproxy.secret import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "hf-proxy"
ITEM: Final = "accounts"
OUR_BACKEND: Final = "hfproxy.vault.secret_service"
# sys.platform → (module, class, name of the keyring)
BACKENDS: Final = {
    "linux": (OUR_BACKEND, "SecretServiceKeyring", "SecretService"),
    "darwin": ("keyring.backends.macOS", "Keyring", "macOS"),
    "win32": ("keyring.backends.Windows", "WinVaultKeyring", "Windows"),
}
# A Windows credential holds at most this many bytes (CRED_MAX_CREDENTIAL_BLOB_SIZE); it is UTF-16 there.
WINDOWS_LIMIT: Final = 2560
LOCKED_ERRORS: Final = frozenset({"KeyringLocked", "LockedException", "PromptDismissedException"})
ABSENT_ERRORS: Final = frozenset(
    {"InitError", "SecretServiceNotAvailableException", "NoKeyringError", "ImportError", "OSError", "RuntimeError"}
)
USE_SEALED_FILE: Final = 'or keep tokens in a sealed file: set backend = "sealed-file" under [vault] in config.toml'
# After a prompt that did not unlock the keyring, only `unlock` and `login` prompt again within this time.
QUIET_SECONDS: Final = 60.0


class PromptThrottle:
    """Limits how often the keyring prompts the user."""

    def __init__(self) -> None:
        self._refused_at = float("-inf")

    @property
    def may_prompt(self) -> bool:
        """Whether a prompt is allowed: none was dismissed or left unanswered in the last QUIET_SECONDS."""
        return time.monotonic() - self._refused_at > QUIET_SECONDS

    def refused(self) -> None:
        self._refused_at = time.monotonic()

    def user_is_present(self) -> None:
        """Allow the next prompt: the user has just run a command."""
        self._refused_at = float("-inf")


class KeyringItem:
    """The item in the keyring, as text."""

    def __init__(self, platform: str = sys.platform) -> None:
        """Choose the backend of the platform; the keyring is not opened yet.

        Raises:
            VaultAbsentError: there is no backend for this system.
        """
        if platform not in BACKENDS:
            raise VaultAbsentError(f'no keyring is known for {platform}; set backend = "sealed-file" under [vault]')
        self._module, self._class, keyring_name = BACKENDS[platform]
        self._limit = WINDOWS_LIMIT if platform == "win32" else None
        self._prompts = PromptThrottle()
        self.name = f"keyring:{keyring_name}"

    def read(self) -> Secret | None:
        """Return the item's text; may wait up to a minute for the user to unlock the keyring.

        Raises:
            VaultAbsentError: no keyring answers.
            VaultLockedError: the keyring is locked, and the prompt did not unlock it.
            VaultError: the keyring failed or does not answer.
        """
        try:
            text = self._backend().get_password(SERVICE, ITEM)
        except Exception as error:  # noqa: BLE001  (each backend has its own exceptions)
            raise _translate(error) from None
        return None if text is None else Secret(text)

    def write(self, text: Secret) -> None:
        """Replace the item's text; may wait up to a minute for the user to unlock the keyring.

        Raises:
            VaultAbsentError: no keyring answers.
            VaultLockedError: the keyring is locked, and the prompt did not unlock it.
            VaultError: the text is too long for this keyring, or the keyring failed or does not answer.
        """
        if self._limit is not None and len(text.reveal().encode("utf-16-le")) > self._limit:
            raise VaultError(
                f"the accounts do not fit into a Windows credential ({self._limit} bytes); {USE_SEALED_FILE}"
            )
        try:
            self._backend().set_password(SERVICE, ITEM, text.reveal())
        except Exception as error:  # noqa: BLE001  (each backend has its own exceptions)
            raise _translate(error) from None

    def user_is_present(self) -> None:
        """Allow the next prompt, even if the last one was dismissed."""
        self._prompts.user_is_present()

    def _backend(self) -> "KeyringBackend":
        kind = getattr(import_module(self._module), self._class)
        backend: KeyringBackend = kind(self._prompts) if kind.__module__ == OUR_BACKEND else kind()
        return backend


def _translate(error: Exception) -> VaultError:
    """Translate a backend's exception. Its text may quote the secret, so only its class is used."""
    if isinstance(error, VaultError):
        return error
    if isinstance(error, TimeoutError):
        return VaultError("the keyring does not answer; look at its program (or log in anew), then: hf-proxy unlock")
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & LOCKED_ERRORS:
        return VaultLockedError("the keyring is locked; unlock it in your desktop session, then: hf-proxy unlock")
    if names & ABSENT_ERRORS:
        return VaultAbsentError(f"no keyring answers here; start one (gnome-keyring, KWallet), {USE_SEALED_FILE}")
    return VaultError(f"the keyring failed ({type(error).__name__}); try again, {USE_SEALED_FILE}")
