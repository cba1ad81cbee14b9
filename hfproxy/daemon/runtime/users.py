"""Users: whom the daemon serves, and which users' grants and journal lines each of them may see.

A daemon in user mode serves its own user. One that runs under a dedicated user serves the members of the group that may
enter its runtime directory. File modes keep other users from the control socket; the loopback port has no mode, so
every connection's user is checked here, against the system's user database.
"""

import os
import pwd
import time
from typing import Final

ROOT_UID: Final = 0
# How long a membership is cached: a look-up may ask another machine (nsswitch.conf(5)). A user who is removed from the
# group is served for so long.
CACHE_SECONDS: Final = 10


class AllowedUsers:
    """The users that the daemon serves: its own, and in a dedicated daemon root and the members of a group."""

    def __init__(self, group: int | None = None) -> None:
        """`group`: the gid of that group; None: the daemon is not a dedicated one."""
        self.group = group
        self._memberships: dict[int, tuple[float, bool]] = {}

    def allows(self, uid: int) -> bool:
        """Return whether a user is served. May block for a look-up in the user database."""
        if uid == os.getuid():
            return True
        return self.group is not None and (uid == ROOT_UID or self._is_member(uid, self.group))

    def _is_member(self, uid: int, group: int) -> bool:
        looked_up_at, is_member = self._memberships.get(uid, (-CACHE_SECONDS, False))
        if time.monotonic() - looked_up_at >= CACHE_SECONDS:
            looked_up_at, is_member = time.monotonic(), group in _groups(uid)
            self._memberships[uid] = looked_up_at, is_member
        return is_member


def visible_uid(uid: int) -> int | None:
    """Return the owner of the grants and journal lines that a user may see and end: the user; None: every user.

    Every user's are visible to the daemon's own user and to root, who could read them from the disk as well.
    """
    return None if uid in {ROOT_UID, os.getuid()} else uid


def _groups(uid: int) -> list[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(user.pw_name, user.pw_gid)
