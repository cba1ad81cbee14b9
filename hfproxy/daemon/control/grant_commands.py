"""The commands about grants: `mint`, `grants`, `renew`, `revoke`, and `allow` and `forget` for project files.

A caller reaches the grants of its user, or from inside a grant that grant and its descendants (`Caller`).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from hfproxy import wire
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.dispatch import CommandTable
from hfproxy.daemon.control.minting import GrantIssuer, grant_json
from hfproxy.daemon.control.projects import ProjectTrust
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.errors import JournalError, RefusedError, StoreError, UsageError

NOT_RECORDED = (
    "revoked, but that could not be recorded (disk full?): a restarted daemon might accept them again; make room, then:"
    " hf-proxy revoke --all"
)


@dataclass(frozen=True, slots=True)
class GrantCommands:
    """Answers the commands about grants."""

    grants: GrantRegistry
    issuer: GrantIssuer
    projects: ProjectTrust

    def register(self, table: CommandTable) -> None:
        """Add the handlers to the table."""
        table.add(requests.MintRequest, self.issuer.issue)
        table.add_stream(requests.GrantsRequest, self.list_grants)
        table.add(requests.RenewRequest, self.renew)
        table.add(requests.RevokeRequest, self.revoke)
        table.add(requests.TrustProjectRequest, self.trust_project)
        table.add(requests.UntrustProjectRequest, self.untrust_project)

    async def list_grants(self, _: requests.GrantsRequest, caller: Caller) -> AsyncIterator[wire.Message]:
        """Return the grants that the caller reaches, one a reply, and an empty reply at the end."""
        for grant in caller.visible_grants(self.grants):
            yield grant_json(grant)
        yield {}

    async def renew(self, request: requests.RenewRequest, caller: Caller) -> wire.Message:
        """Extend a grant in place."""
        caller.check_visible(self.grants, request.id)
        return grant_json(await self.grants.renew(request.id, self.issuer.ttl(request.ttl)))

    async def revoke(self, request: requests.RevokeRequest, caller: Caller) -> wire.Message:
        """Revoke the named grants, or all that the caller reaches, together with their descendants.

        Raises:
            RefusedError: a grant is not the caller's, and nothing was done; or the grants have ended, but not on disk.
            UsageError: no grant is named.
        """
        ids = [grant.id for grant in caller.visible_grants(self.grants)] if request.all else list(request.ids)
        if not ids and not request.all:
            raise UsageError("name the grants to revoke, or --all; see: hf-proxy grants")
        for grant_id in ids:  # before any of them is revoked
            caller.check_visible(self.grants, grant_id)
        try:
            return {"revoked": await self.grants.revoke(ids)}
        except (JournalError, StoreError):
            raise RefusedError(NOT_RECORDED) from None

    async def trust_project(self, request: requests.TrustProjectRequest, caller: Caller) -> wire.Message:
        """Trust the content of a project file."""
        return await self.projects.trust(request.project, caller.uid, dry=request.dry)

    async def untrust_project(self, request: requests.UntrustProjectRequest, caller: Caller) -> wire.Message:
        """Trust no content of a project file's path."""
        return await self.projects.untrust(request.path, caller.uid)
