"""The commands `status` and `metrics`: the state of the daemon, for people and for Prometheus."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import hfproxy
from hfproxy import wire
from hfproxy.core.audit.metrics import Counters, Family, exposition, gauge
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.dispatch import CommandTable
from hfproxy.daemon.control.lockdown import Lockdown
from hfproxy.daemon.control.minting import GrantIssuer
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.users import visible_uid


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Reads the state of the daemon's parts; none of its reads waits.

    Attributes:
        dedicated: whether the daemon runs as a user of its own and serves the members of a group.
        started_at: seconds since the epoch.
    """

    issuer: GrantIssuer
    accounts: AccountRegistry
    grants: GrantRegistry
    journal: JournalWriter
    lockdown: Lockdown
    counts: Counters
    dedicated: bool
    started_at: int = field(default_factory=now)

    def register(self, table: CommandTable) -> None:
        """Add `metrics` to the table; the server asks for `status` itself."""
        table.add(requests.MetricsRequest, self.metrics)

    def status(self, uid: int) -> wire.Message:
        """Return the state as `hf-proxy status --json` shows it to a user."""
        endpoints, accounts = self.issuer.endpoints, self.accounts.cache
        return {
            "version": hfproxy.__version__,
            "pid": os.getpid(),
            "endpoint": endpoints.local,
            "hub": endpoints.hub,
            "bridge": endpoints.container,
            "vault": self.accounts.vault.name,
            "locked": accounts.locked_to(uid),
            "opened": accounts.opened,
            "lockdown": self.lockdown.is_active(uid),
            "journal": "failed" if self.journal.failed else "ok",
            "accounts": [{"name": one.name, "user": one.user, "role": one.role} for one in accounts.known(uid)],
            "profiles": self.issuer.profiles,
            "grants": self.grants.broker.count(visible_uid(uid)),
            "requests": self.counts.total,
            "denied": self.counts.denied,
            "started_at": self.started_at,
            "dedicated": self.dedicated,
        }

    async def metrics(self, _: requests.MetricsRequest, __: Caller) -> wire.Message:
        """Return the counters and gauges in Prometheus's text format."""
        return {"text": exposition([*self.counts.families(), *self._gauges()])}

    def _gauges(self) -> Iterator[Family]:
        yield gauge("build_info", "The version, as a label", 1, version=hfproxy.__version__)
        yield gauge("start_time_seconds", "When the daemon started, in seconds since the epoch", self.started_at)
        yield gauge("grants", "Grants that are alive", self.grants.broker.count())
        yield gauge("vault_locked", "Whether the vault is closed", self.accounts.cache.locked)
        yield gauge("lockdown", "Whether everything is locked down", self.lockdown.is_active(os.getuid()))
        yield gauge(
            "journal_failed", "Whether the journal cannot be written, so that nothing is served", self.journal.failed
        )
        yield gauge(
            "journal_waiting_lines", "Lines of the journal that are not written yet", self.journal.unwritten_lines
        )
