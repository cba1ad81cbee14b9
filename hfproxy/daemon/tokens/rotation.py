"""Replaces an account's token while its grants live on, and finds out whether the old token is dead."""

from hfproxy import wire
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens.identify import identify, is_revoked
from hfproxy.daemon.tokens.revocation import PendingRevocations
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, RefusedError, UpstreamError
from hfproxy.secret import Secret


class TokenRotation:
    """Replaces tokens, and revokes at the Hub what is pending before a token is dropped."""

    def __init__(
        self, accounts: AccountRegistry, journal: JournalWriter, revocations: PendingRevocations, hub: HubApi
    ) -> None:
        self._accounts, self._journal, self._revocations, self._hub = accounts, journal, revocations, hub

    async def rotate(self, uid: int, name: str | None, token: Secret) -> wire.Message:
        """Store a new token in place of the old one, then ask the Hub whether the old one is dead.

        Returns:
            `{"account", "user", "dead", "why"}`: `dead` is null if the Hub could not be asked; `why` is empty unless
            something about the old token is left to do.

        Raises:
            RefusedError: the new token is the old one, or another user's; nothing was changed.
            UpstreamError: the Hub cannot be asked for the new token's owner; nothing was changed.
        """
        account = await self._accounts.select(uid, name)
        old = (await self._accounts.load(uid))[account.name]
        new = await self._validated(old, token)
        warnings = await self.finish_pending(account.key)
        await self._journal.append_durably(
            {"at": now(), "kind": EventKind.ROTATED.value, "uid": uid, "account": account.name}
        )
        await self._accounts.put(new)
        dead, why = await self._old_token_state(old)
        return {"account": account.name, "user": account.user, "dead": dead, "why": why or "; ".join(warnings)}

    async def finish_pending(self, key: AccountKey) -> list[str]:
        """Revoke an account's token at the Hub if that is pending, before the token is dropped.

        Returns one warning for each revocation that failed; it cannot be retried without the token.
        """
        if not self._revocations.requests:
            return []
        outcomes = await self._revocations.send_all(await self._accounts.load_all())
        return [
            f"the token that account '{key.name}' had is not revoked ({outcome.why}); delete it by hand"
            for outcome in outcomes
            if (outcome.uid, outcome.account) == key and outcome.state == "waiting"
        ]

    async def _validated(self, old: AccountToken, token: Secret) -> AccountToken:
        if token == old.token:
            raise RefusedError("this is the token that the account has already; make a new one, then: hf-proxy rotate")
        new = await identify(self._hub, old.account.key, token)
        if new.account.owner != old.account.owner:
            raise RefusedError(
                f"this token is of '{new.account.user}', and account '{old.account.name}' of '{old.account.user}';"
                " for another user: hf-proxy login --account NAME"
            )
        return new

    async def _old_token_state(self, old: AccountToken) -> tuple[bool | None, str]:
        try:
            return await is_revoked(self._hub, old), ""
        except (AccountError, UpstreamError) as error:
            return None, str(error)
