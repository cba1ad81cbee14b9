"""Tokens that are to end at the Hub itself, and whether they have.

What was asked for is on disk before the Hub is, so that no crash and no dead network forgets it. The file says which
account and which of its tokens, by a digest: the token stays in the vault. It is sent by `Upstream.revoke`, and only
whoami's own no counts as proof that it is dead.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec
import structlog

from hfproxy import atomic_file
from hfproxy.daemon.accounts.model import AccountKey, AccountToken
from hfproxy.daemon.tokens import identify
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import AccountError, StartError, UpstreamError

log = structlog.get_logger()
FILE: Final = "to-revoke.json"
ANSWER_SECONDS: Final = 15


class RevocationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that is to end. `account` None: all that the vault will hold; `token` None: whichever it will be; `uid`
    None: whoever's."""

    account: str | None = None
    token: str | None = None
    uid: int | None = None


class RevocationOutcome(msgspec.Struct, frozen=True):
    """What became of it: proven dead, to be tried again, or not ours to revoke any more; and `why`."""

    account: str
    state: Literal["revoked", "waiting", "gone"]
    why: str = ""
    uid: int | None = None


class PendingRevocations:
    """What is still to be revoked at the Hub."""

    def __init__(self, state: Path, upstream: UpstreamClient) -> None:
        """Read what an earlier daemon left.

        Raises:
            StartError: the file is damaged; nothing that was asked for is forgotten silently.
        """
        self._path, self._upstream = state / FILE, upstream
        self.wanted = _read(self._path)
        self._sending = asyncio.Lock()

    async def add(self, wanted: RevocationRequest) -> None:
        """Write down that an account's token, or every one, is to end. Raises OSError: it could not be written."""
        await self._save([*self.wanted, wanted])

    async def send_all(self, held: Mapping[AccountKey, AccountToken]) -> list[RevocationOutcome]:
        """Send what is wanted of these tokens, which are all there are; what does not work stays wanted. What is no
        longer held is let go."""
        async with self._sending:
            known = self.wanted
            named = list(dict.fromkeys(one for wanted in known for one in _resolve(wanted, held)))
            outcomes = await asyncio.gather(*(self._sent(one, _spooled(one, held)) for one in named))
            left = [one for one, outcome in zip(named, outcomes, strict=True) if outcome.state == "waiting"]
            try:
                await self._save([*left, *(one for one in self.wanted if one not in known)])
            except OSError as error:  # then a dead one is asked about once more
                log.warning("not_written", file=FILE, reason=error.strerror)
            return outcomes

    async def _sent(self, wanted: RevocationRequest, held: AccountToken | None) -> RevocationOutcome:
        name, uid = wanted.account or "", wanted.uid
        if held is None:
            return RevocationOutcome(name, "gone", "there is no such account in the vault", uid)
        if digest(held) != wanted.token:
            return RevocationOutcome(name, "gone", "the account has another token by now", uid)
        try:
            return await self._revoke_and_verify(held)
        except (AccountError, UpstreamError) as error:
            return RevocationOutcome(name, "waiting", str(error), uid)

    async def _revoke_and_verify(self, held: AccountToken) -> RevocationOutcome:
        """One that the Hub does not know any more it may well refuse to revoke: so the answer is not the proof."""
        (uid, name), status = held.account.key, await self._answer(held)
        if await identify.is_revoked(self._upstream, held):
            return RevocationOutcome(name, "revoked", uid=uid)
        said = "took the request, and accepts the token still" if status < 300 else f"refused with status {status}"
        return RevocationOutcome(name, "waiting", f"{self._upstream.origin.url} {said}", uid)

    async def _answer(self, held: AccountToken) -> int:
        origin = self._upstream.origin.url
        try:
            async with asyncio.timeout(ANSWER_SECONDS), await self._upstream.revoke(held) as answer:
                await answer.read()
                return answer.status
        except TimeoutError:
            raise UpstreamError(f"{origin} does not answer") from None
        except aiohttp.ClientError:
            raise UpstreamError(f"{origin} broke off its answer") from None

    async def _save(self, wanted: Iterable[RevocationRequest]) -> None:
        self.wanted = tuple(dict.fromkeys(wanted))
        if self.wanted:
            await asyncio.to_thread(atomic_file.write, self._path, msgspec.json.encode(self.wanted))
        else:
            await asyncio.to_thread(atomic_file.remove, self._path)


def digest(held: AccountToken) -> str:
    """What tells one token from another. It is of far too many random letters for anybody to guess it back."""
    return hashlib.sha256(held.token.reveal().encode()).hexdigest()


def _resolve(wanted: RevocationRequest, held: Mapping[AccountKey, AccountToken]) -> list[RevocationRequest]:
    """The same with owners, names and digests, now that the vault is open; itself, if what it names is not there."""
    fitting = [key for key in held if wanted.uid in {None, key.uid} and wanted.account in {None, key.name}]
    if not fitting and wanted.account is not None:
        return [wanted]
    return [RevocationRequest(key.name, wanted.token or digest(held[key]), key.uid) for key in fitting]


def _spooled(wanted: RevocationRequest, held: Mapping[AccountKey, AccountToken]) -> AccountToken | None:
    if wanted.uid is None or wanted.account is None:
        return None
    return held.get(AccountKey(wanted.uid, wanted.account))


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
