"""Another token for an account, while its grants live on, and what became of the old one."""

from hfproxy import wire
from hfproxy.core.audit import Kind
from hfproxy.daemon import identity
from hfproxy.daemon.accounts import Accounts, Held, Key
from hfproxy.daemon.clock import now
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.recall import Recalls
from hfproxy.daemon.upstream import Upstream
from hfproxy.errors import AccountError, RefusedError, UpstreamError
from hfproxy.secret import Secret


class Rotation:
    """Serves `rotate` of the control plane."""

    def __init__(self, accounts: Accounts, journal: Journal, recalls: Recalls, upstream: Upstream) -> None:
        self._accounts, self._journal = accounts, journal
        self._recalls, self._upstream = recalls, upstream

    async def serve(self, uid: int, name: str | None, token: Secret) -> wire.Message:
        """Put the new token in the old one's place, then ask the Hub whether the old one is dead.

        Raises:
            RefusedError: it is the same token, or another user's; nothing was changed.
            UpstreamError: the Hub cannot be asked whose the new one is; nothing was changed.
        """
        account = await self._accounts.choose(uid, name)
        old = (await self._accounts.open(uid))[account.name]
        new = await self._fit(old, token)
        left = await self.unrevoked(account.key)
        await self._journal.record({"at": now(), "kind": Kind.ROTATED.value, "uid": uid, "account": account.name})
        await self._accounts.put(new)
        dead, why = await self._fate(old)
        return {"account": account.name, "user": account.user, "dead": dead, "why": why or "; ".join(left)}

    async def unrevoked(self, key: Key) -> list[str]:
        """Before an account's token is let go: revoke it at the Hub, if that was wanted. Says what did not work."""
        if not self._recalls.wanted:
            return []
        outcomes = await self._recalls.carry_out(await self._accounts.everything())
        return [
            f"the token that account '{key.name}' had is not revoked ({one.why}); delete it by hand"
            for one in outcomes
            if (one.uid, one.account) == key and one.state == "waiting"
        ]

    async def _fit(self, old: Held, token: Secret) -> Held:
        if token == old.token:
            raise RefusedError("this is the token that the account has already; make a new one, then: hf-proxy rotate")
        new = await identity.identify(self._upstream, old.account.key, token)
        if new.account.owner != old.account.owner:
            raise RefusedError(
                f"this token is of '{new.account.user}', and account '{old.account.name}' of '{old.account.user}';"
                " for another user: hf-proxy login --account NAME"
            )
        return new

    async def _fate(self, old: Held) -> tuple[bool | None, str]:
        try:
            return await identity.is_dead(self._upstream, old), ""
        except (AccountError, UpstreamError) as error:
            return None, str(error)
