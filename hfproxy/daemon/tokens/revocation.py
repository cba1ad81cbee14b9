"""Revokes tokens at the Hub, and remembers the revocations that are still pending.

A revocation is on disk before it is sent, so that neither a crash nor a dead network forgets it. The file names the
account and the digest of its token; the token itself stays in the vault. Only whoami's rejection counts as proof that a
token is dead.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from hfproxy import atomic_file
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.tokens.identify import is_revoked
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, StartError, UpstreamError

log = structlog.get_logger()
PENDING_FILE: Final = "to-revoke.json"


class RevocationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that is to be revoked.

    Attributes:
        account: the account's name; None for all accounts that the vault holds when it is opened.
        token: the token's SHA-256; None for the token that the account has when the vault is opened.
        uid: the account's owner on this machine; None for all owners.
    """

    account: str | None = None
    token: str | None = None
    uid: int | None = None


class RevocationOutcome(msgspec.Struct, frozen=True):
    """The outcome for one token.

    Attributes:
        account: the account's name.
        state: `revoked` (proven dead), `waiting` (to be retried), or `gone` (the vault no longer holds the token).
        why: the reason, unless it is revoked.
        uid: the account's owner on this machine.
    """

    account: str
    state: Literal["revoked", "waiting", "gone"]
    why: str = ""
    uid: int | None = None


class PendingRevocations:
    """The revocations that the Hub has not confirmed yet."""

    def __init__(self, state_dir: Path, hub: HubApi) -> None:
        """Read the file of an earlier daemon.

        Raises:
            StartError: the file is damaged. It is not dropped: it may name a token that is still to be revoked.
        """
        self._path, self._hub = state_dir / PENDING_FILE, hub
        self.requests = _read(self._path)
        self._sending = asyncio.Lock()

    async def add(self, request: RevocationRequest) -> None:
        """Write down a revocation. Raises OSError if it cannot be written; it is pending in memory nevertheless."""
        await self._save([*self.requests, request])

    async def send_all(self, tokens: Mapping[AccountKey, AccountToken]) -> list[RevocationOutcome]:
        """Revoke the pending tokens at the Hub; those that fail stay pending.

        Args:
            tokens: all tokens in the vault. A pending token that is not among them is dropped.
        """
        async with self._sending:
            snapshot = self.requests
            resolved = list(dict.fromkeys(one for request in snapshot for one in _resolve(request, tokens)))
            outcomes = await asyncio.gather(*(self._send(one, _find(one, tokens)) for one in resolved))
            pairs = zip(resolved, outcomes, strict=True)
            pending = [request for request, outcome in pairs if outcome.state == "waiting"]
            added_meanwhile = [request for request in self.requests if request not in snapshot]
            try:
                await self._save([*pending, *added_meanwhile])
            except OSError as error:  # a daemon that restarts asks once more for tokens that are dead
                log.warning("not_written", file=PENDING_FILE, reason=error.strerror)
            return outcomes

    async def _send(self, request: RevocationRequest, account_token: AccountToken | None) -> RevocationOutcome:
        name, uid = request.account or "", request.uid
        if account_token is None:
            return RevocationOutcome(name, "gone", "there is no such account in the vault", uid)
        if account_token.token.sha256() != request.token:
            return RevocationOutcome(name, "gone", "the account has another token by now", uid)
        try:
            return await self._revoke_and_verify(account_token)
        except (AccountError, UpstreamError) as error:
            return RevocationOutcome(name, "waiting", str(error), uid)

    async def _revoke_and_verify(self, account_token: AccountToken) -> RevocationOutcome:
        # The Hub may refuse to revoke a token that is dead already, so the status of its answer proves nothing.
        uid, name = account_token.account.key
        status = await self._hub.revoke(account_token)
        if await is_revoked(self._hub, account_token):
            return RevocationOutcome(name, "revoked", uid=uid)
        failure = "took the request, and accepts the token still" if status < 300 else f"refused with status {status}"
        return RevocationOutcome(name, "waiting", f"{self._hub.origin.url} {failure}", uid)

    async def _save(self, requests: Iterable[RevocationRequest]) -> None:
        self.requests = tuple(dict.fromkeys(requests))
        if self.requests:
            await asyncio.to_thread(atomic_file.write, self._path, msgspec.json.encode(self.requests))
        else:
            await asyncio.to_thread(atomic_file.remove, self._path)


def _resolve(request: RevocationRequest, tokens: Mapping[AccountKey, AccountToken]) -> list[RevocationRequest]:
    """Return one request for each account that a request means, with owner, name and digest.

    A request whose account is not in the vault is returned unchanged.
    """
    keys = [key for key in tokens if request.uid in {None, key.uid} and request.account in {None, key.name}]
    if not keys and request.account is not None:
        return [request]
    return [RevocationRequest(key.name, request.token or tokens[key].token.sha256(), key.uid) for key in keys]


def _find(request: RevocationRequest, tokens: Mapping[AccountKey, AccountToken]) -> AccountToken | None:
    if request.uid is None or request.account is None:
        return None
    return tokens.get(AccountKey(request.uid, request.account))


def _read(path: Path) -> tuple[RevocationRequest, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[RevocationRequest, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        raise StartError(
            f"{path} is damaged: it names tokens that are still to be revoked at the Hub; do that by hand at"
            f" huggingface.co/settings/tokens, then: rm {path}"
        ) from None
