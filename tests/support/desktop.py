"""A desktop that shows notifications: a real session bus with a service on it that keeps what it is told to show."""

import queue
import threading
from contextlib import suppress
from pathlib import Path

from jeepney import MessageType, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection
from secret_service import SecretService

NAME = "org.freedesktop.Notifications"


class Desktop:
    """`shown` gets (summary, body) of each notification."""

    def __init__(self, folder: Path) -> None:
        self._bus = SecretService(folder)
        self.env = {"DBUS_SESSION_BUS_ADDRESS": self._bus.address}
        self.shown: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._connection = open_dbus_connection(self._bus.address)
        Proxy(message_bus, self._connection).RequestName(NAME)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self._bus.stop()  # the connection ends with its bus, and the thread with the connection
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                message = self._connection.receive()
                if message.header.message_type is MessageType.method_call:
                    _, _, _, summary, body, *_ = message.body
                    self.shown.put((summary, body))
                    self._connection.send(new_method_return(message, "u", (1,)))
