"""keyring's backend for the Secret Service, on a connection of ours: nothing waits for ever, nobody is asked twice.

keyring itself waits on its connection without limit, and asks a person whenever it finds the collection locked. Only
where it gets the collection from is changed here; what it then does there is its own.
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
from hfproxy.vault.keyring_item import INSTEAD, PromptThrottle

# libdbus waits as long for a reply.
ANSWER_SECONDS: Final = 25.0
# To notice a prompt, and to type.
PROMPT_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 2.0
SECRETS: Final = "org.freedesktop.secrets"
GNOME: Final = "org.gnome.keyring"
GNOME_PROMPTER: Final = "org.gnome.keyring.SystemPrompter"
LOCKED: Final = "the keyring is locked; unlock it in your desktop session"


class Bus(DBusConnection):  # type: ignore[misc]
    """A connection to the session bus on which every wait has an end, with TimeoutError."""

    def send_and_get_reply(self, message: Message, *, timeout: float | None = None) -> Message:
        return super().send_and_get_reply(message, timeout=ANSWER_SECONDS if timeout is None else timeout)

    def recv_until_filtered(self, queue: deque[Message], *, timeout: float | None = None) -> Message:
        return super().recv_until_filtered(queue, timeout=PROMPT_SECONDS if timeout is None else timeout)


class SecretServiceKeyring(Keyring):
    """The default collection, unlocked by its owner if it has to be."""

    def __init__(self, prompts: PromptThrottle) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._prompts = prompts

    def get_preferred_collection(self) -> Collection:
        """Raises VaultAbsentError, VaultLockedError, TimeoutError."""
        bus = _connected()
        try:
            _must_be_there(bus)
            collection = get_default_collection(bus)
            if collection.is_locked():
                self._unlock(collection)
        except BaseException:
            bus.close()
            raise
        return collection

    def _unlock(self, collection: Collection) -> None:
        if not self._prompts.may_prompt:
            raise VaultLockedError(f"{LOCKED}, where it was asked for a moment ago, then: hf-proxy unlock")
        try:
            collection.unlock()
        except TimeoutError:
            self._prompts.refused()
            raise VaultLockedError(
                f"{LOCKED}: its prompt was not answered within {PROMPT_SECONDS:.0f} seconds; to be asked again:"
                " hf-proxy unlock"
            ) from None
        if collection.is_locked():
            self._prompts.refused()
            raise VaultLockedError(_why_locked(collection.connection))


def _connected() -> Bus:
    """A connection to the session bus; raises VaultAbsentError, which says what of it is missing."""
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    if not address:
        raise VaultAbsentError(
            "there is no session bus here, and so no keyring (DBUS_SESSION_BUS_ADDRESS is not set); start the daemon in"
            f" your desktop session, {INSTEAD}"
        )
    try:
        bus = Bus(prep_socket(get_bus("SESSION"), timeout=CONNECT_SECONDS))
        add_match_rules(bus)
    except (OSError, RuntimeError, ValueError, StopIteration):
        raise VaultAbsentError(
            f"the session bus does not answer ({address.split(',')[0][:100]}), and so no keyring; start the daemon in"
            f" your desktop session, {INSTEAD}"
        ) from None
    return bus


def _must_be_there(bus: Bus) -> None:
    if not _has(bus, SECRETS):
        raise VaultAbsentError(
            f"no keyring answers here: nothing on the session bus is a Secret Service; start one (gnome-keyring,"
            f" KWallet), {INSTEAD}"
        )


def _why_locked(bus: Bus) -> str:
    """Dismissed, or never shown: gnome-keyring leaves its prompts to another program, and dismisses them without."""
    if _has(bus, GNOME) and not _has(bus, GNOME_PROMPTER):
        return f"{LOCKED}, since nothing here can show its prompt, then: hf-proxy unlock; {INSTEAD}"
    return f"{LOCKED}: its prompt was dismissed; to be asked again: hf-proxy unlock"


def _has(bus: Bus, name: str) -> bool:
    """Whether somebody on the bus has that name, or would be started for it."""
    proxy = Proxy(message_bus, bus)
    return bool(proxy.NameHasOwner(name)[0]) or name in proxy.ListActivatableNames()[0]
