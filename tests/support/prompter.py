"""What shows gnome-keyring's prompts on a desktop, with a person before it who does not answer, or says no.

It speaks the prompter's protocol as far as that needs (org.gnome.keyring.internal.Prompter: `BeginPrompting` names an
object of the keyring's, which is told `PromptDone` when a prompt is over).
"""

import threading
from contextlib import suppress

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection

NAME = "org.gnome.keyring.SystemPrompter"
CALLBACK = "org.gnome.keyring.internal.Prompter.Callback"


class Prompter:
    """Counts the prompts that it is to show. With `dismisses` each is over at once, else none ever is."""

    def __init__(self, address: str, *, dismisses: bool) -> None:
        self.prompts, self.shown = 0, threading.Event()
        self._dismisses = dismisses
        self._bus = open_dbus_connection(address)
        Proxy(message_bus, self._bus).RequestName(NAME)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError, ValueError, KeyError):  # the bus, or this, has ended
            while True:
                self._answer(self._bus.receive())

    def _answer(self, message) -> None:
        if message.header.message_type != MessageType.method_call:
            return
        self._bus.send(new_method_return(message))
        if message.header.fields.get(HeaderFields.member) != "BeginPrompting":
            return
        self.prompts += 1
        self.shown.set()
        if self._dismisses:
            keyring = DBusAddress(message.body[0], message.header.fields[HeaderFields.sender], CALLBACK)
            self._bus.send(new_method_call(keyring, "PromptDone"))

    def close(self) -> None:
        self._bus.close()
