"""Who asks over the control socket, and inside of which grant: from inside, less is served
(docs/threat-model.md#inside-a-grant).

The kernel says which process it is; the grant is found by that process's ancestors, not by anything it says.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hfproxy.core.policy.grant import Grant
from hfproxy.daemon.control import messages
from hfproxy.daemon.grants.leases import is_alive
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.runtime import peer_uid, procfs
from hfproxy.daemon.runtime.users import visible_uid
from hfproxy.errors import RefusedError

# What is served to a process that runs inside of a grant.
ALLOWED_INSIDE_GRANT: Final = (
    messages.MintRequest,
    messages.GrantsRequest,
    messages.RenewRequest,
    messages.RevokeRequest,
    messages.AuditRequest,
    messages.AnchorRequest,
)
CALLER_EXITED: Final = RefusedError("the process that asked has ended; run the command again")
CALLER_INVISIBLE: Final = RefusedError(
    "the daemon cannot see your processes (/proc with hidepid, or ProtectProc= in its unit), so it does not know inside"
    " of which grant this runs; see: mount | grep ' /proc '"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end of the socket, its user, and the grant that it runs inside of."""

    pid: int
    uid: int
    enclosing_grant: Grant | None

    @property
    def visible_uid(self) -> int | None:
        """Whose grants and journal lines are in reach; None: everybody's."""
        return visible_uid(self.uid)

    @property
    def subtree_root(self) -> str | None:
        """The id of that grant; None: everything is in reach."""
        return None if self.enclosing_grant is None else self.enclosing_grant.id

    def visible_grants(self, grants: GrantRegistry) -> Sequence[Grant]:
        """The grants it may see and touch: all of its user's, or from inside of one that one and what came of it."""
        return (
            grants.of_user(self.visible_uid)
            if self.enclosing_grant is None
            else grants.broker.subtree(self.enclosing_grant.id)
        )

    def can_see(self, grants: GrantRegistry, grant_id: str) -> bool:
        """Whether a living grant is among them."""
        grant = grants.broker.find(grant_id)
        if grant is None:
            return False
        if self.enclosing_grant is None:
            return self.visible_uid in {None, grant.terms.uid}
        return any(one is self.enclosing_grant for one in grants.broker.lineage(grant))


def identify(message: messages.ControlRequest, connection: socket.socket, grants: GrantRegistry) -> Caller:
    """Who asks, and inside of which grant. From inside, less is served.

    Raises:
        RefusedError: it has ended, so that this cannot be found out; or it may not ask for this.
    """
    pid, uid = peer_uid.unix_peer(connection)
    try:
        pidfd = peer_uid.unix_peer_pidfd(connection)
    except OSError:
        raise CALLER_EXITED from None
    try:
        if procfs.find(pid) is None:
            raise CALLER_INVISIBLE if is_alive(pidfd) else CALLER_EXITED
        holder = grants.enclosing_grant(pid, uid)
        if not is_alive(pidfd):  # what was looked at may have been another process
            raise CALLER_EXITED
    finally:
        os.close(pidfd)
    if holder is not None and not isinstance(message, ALLOWED_INSIDE_GRANT):
        raise RefusedError(
            f"this was run inside of grant {holder.id}, where one can only ask for less; run it outside of"
            f" {holder.terms.program or 'that command'}: hf-proxy {message.__struct_config__.tag}"
        )
    return Caller(pid, uid, holder)
