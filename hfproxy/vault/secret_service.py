"""The keyring library's backend for the Secret Service, with time limits and at most one prompt a minute.

The library itself waits on its D-Bus connection without limit, and prompts whenever it finds the collection locked.
This module overrides only how the library gets the collection.
"""

import os
from collections import deque
from typing import Final

from jeepney import Message
from jeepney.bus import get_bus
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, prep_socket
from keyring.backends.SecretService import Keyring
from secretstorage import Collection, get_default_collection
from secretstorage.util import add_match_rules

from hfproxy.errors import VaultAbsentError, VaultLockedError
from hfproxy.vault.keyring_item import USE_SEALED_FILE, PromptThrottle

# The default reply timeout of libdbus.
ANSWER_SECONDS: Final = 25.0
# Time for the user to notice the prompt and to type.
PROMPT_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 2.0
BUS_NAME: Final = "org.freedesktop.secrets"
GNOME: Final = "org.gnome.keyring"
GNOME_PROMPTER: Final = "org.gnome.keyring.SystemPrompter"
KEYRING_LOCKED: Final = "the keyring is locked; unlock it in your desktop session"


class Bus(DBusConnection):  # type: ignore[misc]
    """A connection to the session bus on which every wait is limited and ends with TimeoutError."""

    def send_and_get_reply(self, message: Message, *, timeout: float | None = None) -> Message:
        return super().send_and_get_reply(message, timeout=ANSWER_SECONDS if timeout is None else timeout)

    def recv_until_filtered(self, queue: deque[Message], *, timeout: float | None = None) -> Message:
        return super().recv_until_filtered(queue, timeout=PROMPT_SECONDS if timeout is None else timeout)


class SecretServiceKeyring(Keyring):
    """A keyring backend that uses the default collection, and has the user unlock it if necessary."""

    def __init__(self, prompts: PromptThrottle) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._prompts = prompts

    def get_preferred_collection(self) -> Collection:
        """Return the unlocked default collection. Raises VaultAbsentError, VaultLockedError, TimeoutError."""
        bus = _connect()
        try:
            _require_secret_service(bus)
            collection = get_default_collection(bus)
            if collection.is_locked():
                self._unlock(collection)
        except BaseException:
            bus.close()
            raise
        return collection

    def _unlock(self, collection: Collection) -> None:
        if not self._prompts.may_prompt:
            raise VaultLockedError(f"{KEYRING_LOCKED} (its prompt was shown a moment ago), then: hf-proxy unlock")
        try:
            collection.unlock()
        except TimeoutError:
            self._prompts.refused()
            raise VaultLockedError(
                f"{KEYRING_LOCKED}: its prompt was not answered within {PROMPT_SECONDS:.0f} seconds;"
                " to be prompted again: hf-proxy unlock"
            ) from None
        if collection.is_locked():
            self._prompts.refused()
            raise VaultLockedError(_why_locked(collection.connection))


def _connect() -> Bus:
    """Connect to the session bus. Raises VaultAbsentError if there is no bus, or it does not answer."""
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    if not address:
        raise VaultAbsentError(
            "there is no session bus here, and so no keyring (DBUS_SESSION_BUS_ADDRESS is not set); start the daemon in"
            f" your desktop session, {USE_SEALED_FILE}"
        )
    try:
        bus = Bus(prep_socket(get_bus("SESSION"), timeout=CONNECT_SECONDS))
        add_match_rules(bus)
    except (OSError, RuntimeError, ValueError, StopIteration):
        raise VaultAbsentError(
            f"the session bus does not answer ({address.split(',')[0][:100]}), and so no keyring; start the daemon in"
            f" your desktop session, {USE_SEALED_FILE}"
        ) from None
    return bus


def _require_secret_service(bus: Bus) -> None:
    if not _has(bus, BUS_NAME):
        raise VaultAbsentError(
            f"no keyring answers here: the session bus has no Secret Service; start one (gnome-keyring,"
            f" KWallet), {USE_SEALED_FILE}"
        )


def _why_locked(bus: Bus) -> str:
    """Return the reason: the prompt was dismissed, or never shown.

    gnome-keyring leaves its prompts to another program, and without that program dismisses them at once.
    """
    if _has(bus, GNOME) and not _has(bus, GNOME_PROMPTER):
        return f"{KEYRING_LOCKED}, since no program here can show its prompt, then: hf-proxy unlock; {USE_SEALED_FILE}"
    return f"{KEYRING_LOCKED}: its prompt was dismissed; to be prompted again: hf-proxy unlock"


def _has(bus: Bus, name: str) -> bool:
    """Return whether the name has an owner on the bus, or the bus would start one for it."""
    proxy = Proxy(message_bus, bus)
    return bool(proxy.NameHasOwner(name)[0]) or name in proxy.ListActivatableNames()[0]
