"""One item in the keyring of the operating system, through a backend that is named here.

Which backend is used is never looked up: `keyring.get_keyring()` would obey a config file, an environment
variable and installed plugins, each of which another program can plant (docs/threat-model.md#t6). Keyring is imported
here and in `vault.secret_service` only.
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
LOCKED: Final = frozenset({"KeyringLocked", "LockedException", "PromptDismissedException"})
ABSENT: Final = frozenset(
    {"InitError", "SecretServiceNotAvailableException", "NoKeyringError", "ImportError", "OSError", "RuntimeError"}
)
INSTEAD: Final = 'or keep tokens in a sealed file: set backend = "sealed-file" under [vault] in config.toml'
# Whoever was asked and did not open it is not asked again for so long, but by `unlock` and `login`.
QUIET_SECONDS: Final = 60.0


class PromptThrottle:
    """Whether a person may be asked."""

    def __init__(self) -> None:
        self._refused_at = float("-inf")

    @property
    def may_prompt(self) -> bool:
        """Not where a prompt was dismissed, or left unanswered, a moment ago."""
        return time.monotonic() - self._refused_at > QUIET_SECONDS

    def refused(self) -> None:
        self._refused_at = time.monotonic()

    def user_is_present(self) -> None:
        """A person is here, and wants to be asked."""
        self._refused_at = float("-inf")


class KeyringItem:
    """The item, as text."""

    def __init__(self, platform: str = sys.platform) -> None:
        """Name the backend; nothing is opened yet.

        Raises:
            VaultAbsentError: there is none for this system.
        """
        if platform not in BACKENDS:
            raise VaultAbsentError(f'no keyring is known for {platform}; set backend = "sealed-file" under [vault]')
        self._module, self._class, keyring_name = BACKENDS[platform]
        self._limit = WINDOWS_LIMIT if platform == "win32" else None
        self._prompts = PromptThrottle()
        self.name = f"keyring:{keyring_name}"

    def read(self) -> Secret | None:
        """The item's text; may wait for a person to unlock the keyring, a minute at most.

        Raises:
            VaultAbsentError: no keyring answers.
            VaultLockedError: it is locked, and was not unlocked when asked for.
        """
        try:
            text = self._backend().get_password(SERVICE, ITEM)
        except Exception as error:  # noqa: BLE001  (each backend has its own)
            raise _in_words(error) from None
        return None if text is None else Secret(text)

    def write(self, text: Secret) -> None:
        """Replace the item's text; raises as `read`."""
        if self._limit is not None and len(text.reveal().encode("utf-16-le")) > self._limit:
            raise VaultError(f"the accounts do not fit into a Windows credential ({self._limit} bytes); {INSTEAD}")
        try:
            self._backend().set_password(SERVICE, ITEM, text.reveal())
        except Exception as error:  # noqa: BLE001  (each backend has its own)
            raise _in_words(error) from None

    def user_is_present(self) -> None:
        """A person wants to be asked, whatever they answered a moment ago."""
        self._prompts.user_is_present()

    def _backend(self) -> "KeyringBackend":
        kind = getattr(import_module(self._module), self._class)
        backend: KeyringBackend = kind(self._prompts) if kind.__module__ == OUR_BACKEND else kind()
        return backend


def _in_words(error: Exception) -> VaultError:
    """A library's exception may quote what was to be written, so only its class is looked at."""
    if isinstance(error, VaultError):
        return error
    if isinstance(error, TimeoutError):
        return VaultError("the keyring does not answer; look at its program (or log in anew), then: hf-proxy unlock")
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & LOCKED:
        return VaultLockedError("the keyring is locked; unlock it in your desktop session, then: hf-proxy unlock")
    if names & ABSENT:
        return VaultAbsentError(f"no keyring answers here; start one (gnome-keyring, KWallet), {INSTEAD}")
    return VaultError(f"the keyring failed ({type(error).__name__}); try again, {INSTEAD}")
