"""Verifies tokens that the Hub has rejected with 401.

A 401 alone is not proof, since a misconfigured mirror sends one too. So whoami is asked, at most once a minute for each
account, in the background: the request that was rejected does not wait. If whoami rejects the token too, the account is
marked as revoked in the vault, which stops the token from being sent, and the desktop shows a notification.
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
from hfproxy.daemon.tokens.identify import is_revoked
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, JournalError, UpstreamError, VaultError

log = structlog.get_logger()
CHECK_INTERVAL_S: Final = 60


class TokenHealth:
    """Checks suspected tokens and marks the revoked ones."""

    def __init__(self, hub: HubApi, accounts: AccountRegistry, journal: JournalWriter) -> None:
        self._hub, self._accounts, self._journal = hub, accounts, journal
        self._checked_at: dict[AccountKey, float] = {}
        self._background: set[asyncio.Task[None]] = set()

    def suspect(self, account_token: AccountToken) -> None:
        """Start a check of a token that the Hub rejected, unless there was one within the last CHECK_INTERVAL_S."""
        key, at = account_token.account.key, time.monotonic()
        if at - self._checked_at.get(key, -CHECK_INTERVAL_S) < CHECK_INTERVAL_S:
            return
        self._checked_at[key] = at
        task = asyncio.get_running_loop().create_task(self._verify(account_token))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _verify(self, account_token: AccountToken) -> None:
        try:
            if await is_revoked(self._hub, account_token):
                await self._mark(account_token)
        except (AccountError, UpstreamError) as error:
            log.warning("token_not_verified", account=account_token.account.name, reason=str(error))

    async def _mark(self, account_token: AccountToken) -> None:
        uid, name = account_token.account.key
        try:
            if not await self._accounts.mark_revoked(account_token, now()):
                return  # the account has been given another token meanwhile
            await self._journal.append_durably(
                {"at": now(), "kind": EventKind.REVOKED_UPSTREAM.value, "uid": uid, "account": name}
            )
        except (JournalError, VaultError) as error:
            log.warning("not_recorded", kind=EventKind.REVOKED_UPSTREAM.value, account=name, reason=str(error))
        await desktop.notify(f"The Hub no longer accepts the token of account '{name}'", "New one: hf-proxy rotate")
