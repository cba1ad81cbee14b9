"""The commands about the journal: `audit`, `anchor` and `vouch`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from hfproxy import wire
from hfproxy.config import parse_duration
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.dispatch import CommandTable
from hfproxy.daemon.journal.reader import JournalQuery, query
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now


@dataclass(frozen=True, slots=True)
class JournalCommands:
    """Answers the commands about the journal."""

    journal: JournalWriter

    def register(self, table: CommandTable) -> None:
        """Add the handlers to the table."""
        table.add_stream(requests.AuditRequest, self.audit)
        table.add(requests.AnchorRequest, self.anchor)
        table.add(requests.CheckMacsRequest, self.check_macs)

    def audit(self, request: requests.AuditRequest, caller: Caller) -> AsyncIterator[wire.Message]:
        """Return the matching entries that the caller may see, one a reply."""
        return query(self.journal, _journal_query(request, caller))

    async def anchor(self, _: requests.AnchorRequest, __: Caller) -> wire.Message:
        """Flush the journal; return the number and the hash of its last line."""
        head = await self.journal.flush()
        return {"seq": head.seq, "hash": head.hash}

    async def check_macs(self, request: requests.CheckMacsRequest, _: Caller) -> wire.Message:
        """Say which MACs were made with the journal's key, without ever making one."""
        key_id, matches = self.journal.check_macs(request.macs)
        return {"key": key_id, "fit": matches}


def _journal_query(request: requests.AuditRequest, caller: Caller) -> JournalQuery:
    return JournalQuery(
        since=None if request.since is None else now() - parse_duration(request.since),
        grant=request.grant,
        repo=request.repo,
        action=request.action,
        denied=request.denied,
        follow=request.follow,
        root=caller.subtree_root,
        uid=caller.visible_uid,
    )
