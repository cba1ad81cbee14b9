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
from hfproxy.daemon.accounts import Held
from hfproxy.daemon.upstream import Upstream
from hfproxy.errors import AccountError, StartError, UpstreamError

log = structlog.get_logger()
FILE: Final = "to-revoke.json"
ANSWER_SECONDS: Final = 15


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token that is to end. `account` None: all that the vault will hold; `token` None: whichever it will be."""

    account: str | None = None
    token: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of it: proven dead, to be tried again, or not ours to revoke any more; and `why`."""

    account: str
    state: Literal["revoked", "waiting", "gone"]
    why: str = ""


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

    async def ask(self, account: str | None) -> None:
        """Write down that an account's token, or every one, is to end. Raises OSError: it could not be written."""
        await self._keep([*self.wanted, Wanted(account)])

    async def carry_out(self, held: Mapping[str, Held]) -> list[Outcome]:
        """Send what is wanted of these tokens; what does not work stays wanted. What is no longer held is let go."""
        async with self._sending:
            known = self.wanted
            named = list(dict.fromkeys(one for wanted in known for one in _named(wanted, held)))
            outcomes = await asyncio.gather(*(self._sent(one, held.get(one.account or "")) for one in named))
            left = [one for one, outcome in zip(named, outcomes, strict=True) if outcome.state == "waiting"]
            try:
                await self._keep([*left, *(one for one in self.wanted if one not in known)])
            except OSError as error:  # then a dead one is asked about once more
                log.warning("not_written", file=FILE, reason=error.strerror)
            return outcomes

    async def _sent(self, wanted: Wanted, held: Held | None) -> Outcome:
        name = wanted.account or ""
        if held is None:
            return Outcome(name, "gone", "there is no such account in the vault")
        if digest(held) != wanted.token:
            return Outcome(name, "gone", "the account has another token by now")
        try:
            return await self._asked(held)
        except (AccountError, UpstreamError) as error:
            return Outcome(name, "waiting", str(error))

    async def _asked(self, held: Held) -> Outcome:
        """One that the Hub does not know any more it may well refuse to revoke: so the answer is not the proof."""
        name, status = held.account.name, await self._answer(held)
        if await identity.is_dead(self._upstream, held):
            return Outcome(name, "revoked")
        said = "took the request, and accepts the token still" if status < 300 else f"refused with status {status}"
        return Outcome(name, "waiting", f"{self._upstream.origin.url} {said}")

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


def _named(wanted: Wanted, held: Mapping[str, Held]) -> list[Wanted]:
    """The same with names and digests, now that the vault is open."""
    names = [wanted.account] if wanted.account is not None else list(held)
    return [Wanted(name, wanted.token or (digest(held[name]) if name in held else None)) for name in names]


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
