"""A grant's tie to a living process: when the process ends, the grant does.

A pidfd is a handle on this one process, whoever gets its number later (pidfd_open(2)); it becomes
readable when the process ends, by whatever signal, and so it wakes the event loop.
"""

import asyncio
import os
from collections.abc import Callable

from hfproxy.errors import RefusedError


class Leases:
    """The pidfds of all bound grants."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def take(self, grant_id: str, pidfd: int, ended: Callable[[str], None]) -> None:
        """Hold a grant to a process: `ended` is called once, with the grant's id, when it is over."""
        self._held[grant_id] = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._over, grant_id, ended)

    def drop(self, grant_id: str) -> None:
        """The grant ended otherwise; nothing if it was not bound."""
        pidfd = self._held.pop(grant_id, None)
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)

    def _over(self, grant_id: str, ended: Callable[[str], None]) -> None:
        self.drop(grant_id)
        ended(grant_id)


def open_process(pid: int) -> int:
    """A handle on a living process.

    Raises:
        RefusedError: it has ended, or is not to be seen from here.
    """
    try:
        return os.pidfd_open(pid)
    except OSError:
        raise RefusedError("the process to bind the grant to has ended; run the command again") from None
