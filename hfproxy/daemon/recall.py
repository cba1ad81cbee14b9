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

from hfproxy import durable
from hfproxy.daemon import identity
from hfproxy.daemon.accounts import Held, Key
from hfproxy.daemon.upstream import Upstream
from hfproxy.errors import AccountError, StartError, UpstreamError

log = structlog.get_logger()
FILE: Final = "to-revoke.json"
ANSWER_SECONDS: Final = 15


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that is to end. `account` None: all that the vault will hold; `token` None: whichever it will be; `uid`
    None: whoever's."""

    account: str | None = None
    token: str | None = None
    uid: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of it: proven dead, to be tried again, or not ours to revoke any more; and `why`."""

    account: str
    state: Literal["revoked", "waiting", "gone"]
    why: str = ""
    uid: int | None = None


class Recalls:
    """What is still to be revoked at the Hub."""

    def __init__(self, state: Path, upstream: Upstream) -> None:
        """Read what an earlier daemon left.

        Raises:
            StartError: the file is damaged; nothing that was asked for is forgotten silently.
        """
        self._path, self._upstream = state / FILE, upstream
        self.wanted = _read(self._path)
        self._sending = asyncio.Lock()

    async def ask(self, wanted: Wanted) -> None:
        """Write down that an account's token, or every one, is to end. Raises OSError: it could not be written."""
        await self._keep([*self.wanted, wanted])

    async def carry_out(self, held: Mapping[Key, Held]) -> list[Outcome]:
        """Send what is wanted of these tokens, which are all there are; what does not work stays wanted. What is no
        longer held is let go."""
        async with self._sending:
            known = self.wanted
            named = list(dict.fromkeys(one for wanted in known for one in _named(wanted, held)))
            outcomes = await asyncio.gather(*(self._sent(one, _held(one, held)) for one in named))
            left = [one for one, outcome in zip(named, outcomes, strict=True) if outcome.state == "waiting"]
            try:
                await self._keep([*left, *(one for one in self.wanted if one not in known)])
            except OSError as error:  # then a dead one is asked about once more
                log.warning("not_written", file=FILE, reason=error.strerror)
            return outcomes

    async def _sent(self, wanted: Wanted, held: Held | None) -> Outcome:
        name, uid = wanted.account or "", wanted.uid
        if held is None:
            return Outcome(name, "gone", "there is no such account in the vault", uid)
        if digest(held) != wanted.token:
            return Outcome(name, "gone", "the account has another token by now", uid)
        try:
            return await self._asked(held)
        except (AccountError, UpstreamError) as error:
            return Outcome(name, "waiting", str(error), uid)

    async def _asked(self, held: Held) -> Outcome:
        """One that the Hub does not know any more it may well refuse to revoke: so the answer is not the proof."""
        (uid, name), status = held.account.key, await self._answer(held)
        if await identity.is_dead(self._upstream, held):
            return Outcome(name, "revoked", uid=uid)
        said = "took the request, and accepts the token still" if status < 300 else f"refused with status {status}"
        return Outcome(name, "waiting", f"{self._upstream.origin.url} {said}", uid)

    async def _answer(self, held: Held) -> int:
        origin = self._upstream.origin.url
        try:
            async with asyncio.timeout(ANSWER_SECONDS), await self._upstream.revoke(held) as answer:
                await answer.read()
                return answer.status
        except TimeoutError:
            raise UpstreamError(f"{origin} does not answer") from None
        except aiohttp.ClientError:
            raise UpstreamError(f"{origin} broke off its answer") from None

    async def _keep(self, wanted: Iterable[Wanted]) -> None:
        self.wanted = tuple(dict.fromkeys(wanted))
        if self.wanted:
            await asyncio.to_thread(durable.write, self._path, msgspec.json.encode(self.wanted))
        else:
            await asyncio.to_thread(durable.remove, self._path)


def digest(held: Held) -> str:
    """What tells one token from another. It is of far too many random letters for anybody to guess it back."""
    return hashlib.sha256(held.token.reveal().encode()).hexdigest()


def _named(wanted: Wanted, held: Mapping[Key, Held]) -> list[Wanted]:
    """The same with owners, names and digests, now that the vault is open; itself, if what it names is not there."""
    fitting = [key for key in held if wanted.uid in {None, key.uid} and wanted.account in {None, key.name}]
    if not fitting and wanted.account is not None:
        return [wanted]
    return [Wanted(key.name, wanted.token or digest(held[key]), key.uid) for key in fitting]


def _held(wanted: Wanted, held: Mapping[Key, Held]) -> Held | None:
    if wanted.uid is None or wanted.account is None:
        return None
    return held.get(Key(wanted.uid, wanted.account))


def _read(path: Path) -> tuple[Wanted, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Wanted, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        raise StartError(
            f"{path} is damaged: it names tokens that are still to be revoked at the Hub; do that by hand at"
            f" huggingface.co/settings/tokens, then: rm {path}"
        ) from None
