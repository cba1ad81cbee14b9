"""The caller of the control socket: its process, its user, and the grant that the process runs inside of.

The kernel names the process (`SO_PEERCRED`, unix(7)), and its ancestors determine the grant; nothing that the process
says does. From inside a grant only the commands in ALLOWED_INSIDE_GRANT are served
(docs/threat-model.md#inside-a-grant).
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hfproxy.core.policy.broker import no_such_grant
from hfproxy.core.policy.grant import Grant
from hfproxy.daemon.control import requests
from hfproxy.daemon.grants.leases import is_alive
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.runtime import peer_uid, procfs
from hfproxy.daemon.runtime.users import visible_uid
from hfproxy.errors import RefusedError

# The requests that are served to a process inside a grant, besides `status`.
ALLOWED_INSIDE_GRANT: Final = (
    requests.MintRequest,
    requests.GrantsRequest,
    requests.RenewRequest,
    requests.RevokeRequest,
    requests.AuditRequest,
    requests.AnchorRequest,
)
CALLER_EXITED: Final = RefusedError("the process that asked has ended; run the command again")
CALLER_INVISIBLE: Final = RefusedError(
    "the daemon cannot see your processes (/proc with hidepid, or ProtectProc= in its unit), so it does not know inside"
    " of which grant this runs; see: mount | grep ' /proc '"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end of the socket.

    Attributes:
        pid, uid: the process and its user, as the kernel names them.
        enclosing_grant: the innermost living grant of that user that the process runs inside of.
    """

    pid: int
    uid: int
    enclosing_grant: Grant | None

    @property
    def visible_uid(self) -> int | None:
        """The user whose grants and journal entries the caller may see and end; None: those of all users."""
        return visible_uid(self.uid)

    @property
    def subtree_root(self) -> str | None:
        """The id of the enclosing grant, whose subtree is all that the caller reaches; None: no such limit."""
        return None if self.enclosing_grant is None else self.enclosing_grant.id

    def visible_grants(self, grants: GrantRegistry) -> Sequence[Grant]:
        """Return the grants that the caller reaches: its user's, or those of the enclosing grant's subtree."""
        return (
            grants.of_user(self.visible_uid)
            if self.enclosing_grant is None
            else grants.subtree(self.enclosing_grant.id)
        )

    def can_see(self, grants: GrantRegistry, grant_id: str) -> bool:
        """Return whether a grant is alive and among the caller's `visible_grants`."""
        grant = grants.find(grant_id)
        if grant is None:
            return False
        if self.enclosing_grant is None:
            return self.visible_uid in {None, grant.terms.uid}
        return any(ancestor is self.enclosing_grant for ancestor in grants.broker.lineage(grant))

    def check_visible(self, grants: GrantRegistry, grant_id: str) -> None:
        """Check that the caller reaches a living grant.

        Raises:
            RefusedError: it does not. The message does not tell whether there is such a grant.
        """
        if not self.can_see(grants, grant_id):
            raise no_such_grant(grant_id)


def identify(message: requests.ControlRequest, connection: socket.socket, grants: GrantRegistry) -> Caller:
    """Find out who sends a request, and whether the request is served to this caller.

    Raises:
        RefusedError: the process has ended or cannot be seen, so that its grant is unknown; or it runs inside a grant,
            where this request is not served.
    """
    pid, uid = peer_uid.unix_peer(connection)
    try:
        pidfd = peer_uid.unix_peer_pidfd(connection)
    except OSError:
        raise CALLER_EXITED from None
    try:
        if procfs.find(pid) is None:
            raise CALLER_INVISIBLE if is_alive(pidfd) else CALLER_EXITED
        enclosing = grants.membership.enclosing_grant(pid, uid)
        if not is_alive(pidfd):  # its pid may have been reused before the look-up
            raise CALLER_EXITED
    finally:
        os.close(pidfd)
    if enclosing is not None and not isinstance(message, ALLOWED_INSIDE_GRANT):
        raise RefusedError(
            f"this was run inside of grant {enclosing.id}, where one can only ask for less; run it outside of"
            f" {enclosing.terms.program or 'that command'}: hf-proxy {message.__struct_config__.tag}"
        )
    return Caller(pid, uid, enclosing)
