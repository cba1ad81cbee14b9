"""Another token for an account, while its grants live on, and what became of the old one."""

from hfproxy import wire
from hfproxy.core.audit.chain import EventKind
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.tokens import identify
from hfproxy.daemon.tokens.revocation import PendingRevocations
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, RefusedError, UpstreamError
from hfproxy.secret import Secret


class TokenRotation:
    """Serves `rotate` of the control plane."""

    def __init__(
        self, accounts: AccountRegistry, journal: JournalWriter, recalls: PendingRevocations, upstream: UpstreamClient
    ) -> None:
        self._accounts, self._journal = accounts, journal
        self._recalls, self._upstream = recalls, upstream

    async def rotate(self, uid: int, name: str | None, token: Secret) -> wire.Message:
        """Put the new token in the old one's place, then ask the Hub whether the old one is dead.

        Raises:
            RefusedError: it is the same token, or another user's; nothing was changed.
            UpstreamError: the Hub cannot be asked whose the new one is; nothing was changed.
        """
        account = await self._accounts.select(uid, name)
        old = (await self._accounts.load(uid))[account.name]
        new = await self._validated(old, token)
        left = await self.finish_pending(account.key)
        await self._journal.append_durably(
            {"at": now(), "kind": EventKind.ROTATED.value, "uid": uid, "account": account.name}
        )
        await self._accounts.put(new)
        dead, why = await self._old_token_state(old)
        return {"account": account.name, "user": account.user, "dead": dead, "why": why or "; ".join(left)}

    async def finish_pending(self, key: AccountKey) -> list[str]:
        """Before an account's token is let go: revoke it at the Hub, if that was wanted. Says what did not work."""
        if not self._recalls.wanted:
            return []
        outcomes = await self._recalls.send_all(await self._accounts.load_all())
        return [
            f"the token that account '{key.name}' had is not revoked ({one.why}); delete it by hand"
            for one in outcomes
            if (one.uid, one.account) == key and one.state == "waiting"
        ]

    async def _validated(self, old: AccountToken, token: Secret) -> AccountToken:
        if token == old.token:
            raise RefusedError("this is the token that the account has already; make a new one, then: hf-proxy rotate")
        new = await identify.identify(self._upstream, old.account.key, token)
        if new.account.owner != old.account.owner:
            raise RefusedError(
                f"this token is of '{new.account.user}', and account '{old.account.name}' of '{old.account.user}';"
                " for another user: hf-proxy login --account NAME"
            )
        return new

    async def _old_token_state(self, old: AccountToken) -> tuple[bool | None, str]:
        try:
            return await identify.is_revoked(self._upstream, old), ""
        except (AccountError, UpstreamError) as error:
            return None, str(error)
