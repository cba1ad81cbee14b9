"""The control socket's server: it frames messages, identifies the caller and dispatches to the command's handler.

The kernel names the process at the other end (`SO_PEERCRED`, unix(7)) before a byte is read, and only the users that
this daemon serves get an answer. A connection carries one request: one line of JSON, answered by one line, or by many
for `grants` and `audit` (`hfproxy.wire` lists the commands). What a command does is in the modules `*_commands`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Final

import structlog

from hfproxy import wire
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import identify
from hfproxy.daemon.control.dispatch import CommandTable
from hfproxy.daemon.control.status import StatusReport
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.runtime import peer_uid
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.errors import HFProxyError, UsageError

log = structlog.get_logger()
# A client that connects and sends no complete request within this time is disconnected.
REQUEST_TIMEOUT_S: Final = 10
DRAIN_TIMEOUT_S: Final = 1


class ControlServer:
    """Serves the control socket."""

    def __init__(
        self, users: AllowedUsers, grants: GrantRegistry, status: StatusReport, commands: CommandTable
    ) -> None:
        self._users, self._grants, self._status, self._commands = users, grants, status, commands
        self._connections: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Wait up to DRAIN_TIMEOUT_S for the replies under way; `audit --follow` would never end."""
        if self._connections:
            await asyncio.wait(self._connections, timeout=DRAIN_TIMEOUT_S)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one request of a connection. The callback of `asyncio.start_unix_server`."""
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            connection: socket.socket = writer.get_extra_info("socket")
            _, uid = peer_uid.unix_peer(connection)
            if self._users.allows(uid):
                async for reply in self._replies(reader, connection, uid):
                    writer.write(wire.encode(reply, "backslashreplace"))
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _replies(
        self, reader: asyncio.StreamReader, connection: socket.socket, uid: int
    ) -> AsyncIterator[wire.Message]:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                request = requests.decode(await _read_line(reader))
            if isinstance(request, requests.StatusRequest):  # also from inside a grant, and where /proc is hidden
                yield self._status.status(uid)
                return
            async for reply in self._commands.replies(request, identify(request, connection, self._grants)):
                yield reply
        except HFProxyError as error:
            yield {"error": str(error), "code": 2 if isinstance(error, UsageError) else 1}
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("control_failed")
            yield {"error": "the daemon failed at this; its log says why (please report it)", "code": 1}


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        raise ConnectionResetError from None
    except asyncio.LimitOverrunError:
        raise UsageError(f"the request is longer than {wire.MAX_LINE} bytes; see: hf-proxy --help") from None
