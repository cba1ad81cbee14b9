"""Who is served, and whose things each of them has in reach.

A daemon of its user's own serves that user. A dedicated one, which runs as a user of its own, serves the members of the
group that may enter its runtime directory. The file's mode is the first door to the control socket; the loopback port
has no such door, so the system's user database is asked here, for both.
"""

import os
import pwd
import time
from typing import Final

ROOT: Final = 0
# A look-up may ask another machine (NSS); who was put out of the group is out after this long.
REMEMBERED_SECONDS: Final = 10


class AllowedUsers:
    """Those who are served; `group`: whose members these are, None where the daemon is its user's own."""

    def __init__(self, group: int | None = None) -> None:
        self.group = group
        self._looked_up: dict[int, tuple[float, bool]] = {}

    def allows(self, uid: int) -> bool:
        """Whether a user is served."""
        if uid == os.getuid():
            return True
        return self.group is not None and (uid == ROOT or self._is_member(uid, self.group))

    def _is_member(self, uid: int, group: int) -> bool:
        at, found = self._looked_up.get(uid, (-REMEMBERED_SECONDS, False))
        if time.monotonic() - at >= REMEMBERED_SECONDS:
            at, found = time.monotonic(), group in _groups(uid)
            self._looked_up[uid] = at, found
        return found


def visible_uid(uid: int) -> int | None:
    """Whose grants and journal lines a user may see and end: their own; None: everybody's.

    That is for the daemon's own user and for root, who could take both from the disk as well.
    """
    return None if uid in {ROOT, os.getuid()} else uid


def _groups(uid: int) -> list[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(user.pw_name, user.pw_gid)
