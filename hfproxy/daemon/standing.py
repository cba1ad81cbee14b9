"""Whether the Hub still accepts a token that it has just refused.

A 401 alone proves nothing: a faulty mirror sends one too. So whoami is asked, once a minute for an account at most,
beside the request, which waits for nothing. If that says no as well, the account is marked in the vault and the desktop
is told; from then on the token is not sent any more.
"""

import asyncio
import time
from typing import Final

import structlog

from hfproxy.core.audit import Kind
from hfproxy.daemon import identity, notices
from hfproxy.daemon.accounts import Accounts, Held, Key
from hfproxy.daemon.clock import now
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.upstream import Upstream
from hfproxy.errors import AccountError, JournalError, UpstreamError, VaultError

log = structlog.get_logger()
ASKED_AGAIN_SECONDS: Final = 60


class Standing:
    """Asks about tokens that are in doubt."""

    def __init__(self, upstream: Upstream, accounts: Accounts, journal: Journal) -> None:
        self._upstream, self._accounts, self._journal = upstream, accounts, journal
        self._asked: dict[Key, float] = {}
        self._background: set[asyncio.Task[None]] = set()

    def doubt(self, held: Held) -> None:
        """The Hub refused this account's token on a request."""
        key, at = held.account.key, time.monotonic()
        if at - self._asked.get(key, -ASKED_AGAIN_SECONDS) < ASKED_AGAIN_SECONDS:
            return
        self._asked[key] = at
        task = asyncio.get_running_loop().create_task(self._look_into(held))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _look_into(self, held: Held) -> None:
        try:
            if await identity.is_dead(self._upstream, held):
                await self._mark(held)
        except (AccountError, UpstreamError) as error:
            log.warning("token_in_doubt", account=held.account.name, reason=str(error))

    async def _mark(self, held: Held) -> None:
        uid, name = held.account.key
        try:
            if not await self._accounts.mark_revoked(held, now()):
                return  # another token is in its place by now
            await self._journal.record({"at": now(), "kind": Kind.REVOKED_UPSTREAM.value, "uid": uid, "account": name})
        except (JournalError, VaultError) as error:
            log.warning("not_recorded", kind=Kind.REVOKED_UPSTREAM.value, account=name, reason=str(error))
        await notices.show(f"The Hub no longer accepts the token of account '{name}'", "New one: hf-proxy rotate")
