"""Membership: which grant a process or a connection belongs to.

A process belongs to a grant that it, or one of its ancestors, is bound to. It cannot leave by ending that grant: a
process that outlives its grant is a survivor (`leases`), and is refused instead of being taken for one outside.
"""

import asyncio
import os

from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.grant import Bind, Grant, MatchingTrees
from hfproxy.daemon.grants.leases import Leases
from hfproxy.daemon.runtime import procfs
from hfproxy.errors import RefusedError

UNSEEN = RefusedError("it cannot be seen what this was started by; run the command again")
GRANT_IS_OVER = RefusedError(
    "the grant that this runs inside of is over; run it outside of that command: hf-proxy exec -- CMD"
)


class ProcessMembership:
    """Answers from the leases of living grants and from /proc. Bound grants are always loaded, so nothing is read."""

    def __init__(self, broker: Broker, leases: Leases) -> None:
        self._broker, self._leases = broker, leases

    def enclosing_grant(self, pid: int, uid: int) -> Grant | None:
        """Return the innermost grant of the user that is bound to this process or to an ancestor of it.

        Grants of other users do not count: a process may descend from one by another user's doing.

        Raises:
            RefusedError: the ancestors cannot be seen; or an ancestor is a survivor: the end of its grant does not put
                a process outside.
        """
        try:
            ancestors = procfs.ancestors(pid)
        except (LookupError, OSError):
            raise UNSEEN from None
        for process in ancestors:
            if self._leases.is_survivor(process) and uid in {os.getuid(), procfs.real_uid(process.pid)}:
                raise GRANT_IS_OVER
            bound = [self._broker.grant(grant_id) for grant_id in self._leases.grants_of(process)]
            own = [grant for grant in bound if grant.terms.uid == uid]
            if own:
                return max(own, key=lambda grant: len(self._broker.lineage(grant)))
        return None

    async def matching_trees(self, grant: Grant, inode: int) -> MatchingTrees:
        """Return which tree-bound grants, of this one and its ancestors, have the socket's owner in their tree, by id.

        `inode` is the number of the socket at the far end of the connection (`runtime.peer_uid`).
        """
        trees = grant.trees if self._broker.is_alive(grant) else ()
        return frozenset([grant_id for grant_id in trees if await self._tree_owns_socket(grant_id, inode)])

    async def ambient_grant(self, inode: int) -> Grant | None:
        """Return the innermost ambient grant with the socket's owner in its process tree; None: there is none."""
        ambient = [grant for grant in self.bound_grants() if grant.terms.ambient]
        matching = [grant for grant in ambient if await self._tree_owns_socket(grant.id, inode)]
        living = filter(self._broker.is_alive, matching)  # one may have ended while /proc was read
        return max(living, key=lambda grant: len(self._broker.lineage(grant)), default=None)

    def bound_grants(self) -> list[Grant]:
        """Return the grants that are bound to a process."""
        return [self._broker.grant(grant_id) for grant_id in self._leases.ids()]

    async def refresh_trees(self) -> None:
        """See the descendants of bound processes and of survivors, before a parent's exit hides where they belong."""
        trees = [self._leases.tree(grant.id) for grant in self.bound_grants() if grant.terms.bind is Bind.TREE]
        for tree in (*trees, *self._leases.survivor_trees()):
            if tree is not None:
                await asyncio.to_thread(tree.refresh)

    async def _tree_owns_socket(self, grant_id: str, inode: int) -> bool:
        tree = self._leases.tree(grant_id)
        try:
            return tree is not None and await asyncio.to_thread(tree.owns_socket, inode)
        except OSError:  # /proc cannot be read: not proven, so no
            return False
