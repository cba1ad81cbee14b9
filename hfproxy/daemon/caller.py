"""Who asks over the control socket, and inside of which grant: from inside, less is served (design §5).

The kernel says which process it is; the grant is found by that process's ancestors, not by anything it says.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hfproxy.core.broker import Grant
from hfproxy.daemon import messages, peers, processes
from hfproxy.daemon.grants import Grants
from hfproxy.daemon.leases import is_alive
from hfproxy.daemon.members import reach
from hfproxy.errors import RefusedError

# What is served to a process that runs inside of a grant.
FROM_INSIDE: Final = (
    messages.Mint,
    messages.Grants,
    messages.Renew,
    messages.Revoke,
    messages.Audit,
    messages.Anchor,
)
ENDED: Final = RefusedError("the process that asked has ended; run the command again")
UNSEEN: Final = RefusedError(
    "the daemon cannot see your processes (/proc with hidepid, or ProtectProc= in its unit), so it does not know inside"
    " of which grant this runs; see: mount | grep ' /proc '"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end of the socket, its user, and the grant that it runs inside of."""

    pid: int
    uid: int
    holder: Grant | None

    @property
    def whose(self) -> int | None:
        """Whose grants and journal lines are in reach; None: everybody's."""
        return reach(self.uid)

    @property
    def below(self) -> str | None:
        """The id of that grant; None: everything is in reach."""
        return None if self.holder is None else self.holder.id

    def reach(self, grants: Grants) -> Sequence[Grant]:
        """The grants it may see and touch: all of its user's, or from inside of one that one and what came of it."""
        return grants.owned(self.whose) if self.holder is None else grants.broker.subtree(self.holder.id)

    def reaches(self, grants: Grants, grant_id: str) -> bool:
        """Whether a living grant is among them."""
        grant = grants.broker.find(grant_id)
        if grant is None:
            return False
        if self.holder is None:
            return self.whose in {None, grant.order.uid}
        return any(one is self.holder for one in grants.broker.lineage(grant))


def identified(message: messages.Any, connection: socket.socket, grants: Grants) -> Caller:
    """Who asks, and inside of which grant. From inside, less is served.

    Raises:
        RefusedError: it has ended, so that this cannot be found out; or it may not ask for this.
    """
    pid, uid = peers.credentials(connection)
    try:
        pidfd = peers.handle(connection)
    except OSError:
        raise ENDED from None
    try:
        if processes.find(pid) is None:
            raise UNSEEN if is_alive(pidfd) else ENDED
        holder = grants.holder(pid, uid)
        if not is_alive(pidfd):  # what was looked at may have been another process
            raise ENDED
    finally:
        os.close(pidfd)
    if holder is not None and not isinstance(message, FROM_INSIDE):
        raise RefusedError(
            f"this was run inside of grant {holder.id}, where one can only ask for less; run it outside of"
            f" {holder.order.program or 'that command'}: hf-proxy {message.__struct_config__.tag}"
        )
    return Caller(pid, uid, holder)
