"""Whether the Hub still accepts a token that it has just refused.

A 401 alone proves nothing: a faulty mirror sends one too. So whoami is asked, once a minute for an account at most,
beside the request, which waits for nothing. If that says no as well, the account is marked in the vault and the desktop
is told; from then on the token is not sent any more.
"""

import asyncio
import time
from typing import Final

import structlog

from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime import desktop
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens import identify
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, JournalError, UpstreamError, VaultError

log = structlog.get_logger()
ASKED_AGAIN_SECONDS: Final = 60


class TokenHealth:
    """Asks about tokens that are in doubt."""

    def __init__(self, upstream: UpstreamClient, accounts: AccountRegistry, journal: JournalWriter) -> None:
        self._upstream, self._accounts, self._journal = upstream, accounts, journal
        self._checked_at: dict[AccountKey, float] = {}
        self._background: set[asyncio.Task[None]] = set()

    def suspect(self, held: AccountToken) -> None:
        """The Hub refused this account's token on a request."""
        key, at = held.account.key, time.monotonic()
        if at - self._checked_at.get(key, -ASKED_AGAIN_SECONDS) < ASKED_AGAIN_SECONDS:
            return
        self._checked_at[key] = at
        task = asyncio.get_running_loop().create_task(self._verify(held))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _verify(self, held: AccountToken) -> None:
        try:
            if await identify.is_revoked(self._upstream, held):
                await self._mark(held)
        except (AccountError, UpstreamError) as error:
            log.warning("token_in_doubt", account=held.account.name, reason=str(error))

    async def _mark(self, held: AccountToken) -> None:
        uid, name = held.account.key
        try:
            if not await self._accounts.mark_revoked(held, now()):
                return  # another token is in its place by now
            await self._journal.append_durably(
                {"at": now(), "kind": EventKind.REVOKED_UPSTREAM.value, "uid": uid, "account": name}
            )
        except (JournalError, VaultError) as error:
            log.warning("not_recorded", kind=EventKind.REVOKED_UPSTREAM.value, account=name, reason=str(error))
        await desktop.notify(f"The Hub no longer accepts the token of account '{name}'", "New one: hf-proxy rotate")
