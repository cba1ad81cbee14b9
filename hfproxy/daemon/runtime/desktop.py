"""Desktop notifications, for events that concern the user while no command of theirs is running.

A notification goes over D-Bus to `org.freedesktop.Notifications` (Desktop Notifications Specification 1.2), if there is
a session bus with such a service on it. It is a convenience: responses and `hf-proxy status` carry the message, too.
"""

import asyncio
import os
from typing import Final

import structlog

log = structlog.get_logger()
# The limit for the bus's reply; connecting may take as long again.
BUS_TIMEOUT_S: Final = 5
OBJECT_PATH: Final = "/org/freedesktop/Notifications"
SERVICE: Final = "org.freedesktop.Notifications"


async def notify(summary: str, body: str) -> None:
    """Show a notification, if there is a desktop to show it on. It must hold no secret: desktops keep a history."""
    if not os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return
    try:
        async with asyncio.timeout(2 * BUS_TIMEOUT_S):
            await asyncio.to_thread(_send, summary, body)
    except (OSError, ValueError, ImportError) as error:  # no bus, a malformed address, no jeepney
        log.info("not_notified", reason=type(error).__name__)


def _send(summary: str, body: str) -> None:
    from jeepney import DBusAddress, new_method_call  # noqa: PLC0415
    from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415

    service = DBusAddress(OBJECT_PATH, bus_name=SERVICE, interface=SERVICE)
    call = new_method_call(service, "Notify", "susssasa{sv}i", ("hf-proxy", 0, "", summary, body, [], {}, -1))
    with open_dbus_connection("SESSION") as bus:
        bus.send_and_get_reply(call, timeout=BUS_TIMEOUT_S)
