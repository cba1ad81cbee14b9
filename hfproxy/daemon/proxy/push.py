"""A push on its way: its commands are read first; where they could lose history, its pack is held back and looked into.

What is held back lies in a file without a name in the state directory, and goes to the Hub from there once it is proven
that every moved branch only moves forward (`core.pack`). With `delete` granted nothing is held back.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from aiohttp import web

from hfproxy.core.git.packfile import PackReader, is_ancestor
from hfproxy.core.git.push_commands import RefUpdate, RefUpdateReader, RefUpdates
from hfproxy.core.policy.access import SEE_AUDIT, Access, Need, Target
from hfproxy.core.policy.decision import Deny, Refusal

# The largest pack that is held back: far above what the Hub takes without LFS (files of 10 MB).
MAX_PACK_BYTES: Final = 8 * 1024 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024


class PushBody:
    """One push: its commands, and the rest of its body, read or still to be read."""

    def __init__(
        self, commands: RefUpdates, target: Target, head: bytes, pack: bytes, rest: AsyncIterator[bytes]
    ) -> None:
        """`head` is what was read of the body so far, `pack` the part of it behind the commands."""
        self._commands, self._target = commands, target
        self._head, self._pack, self._rest = head, pack, rest
        self._spool: IO[bytes] | None = None

    @property
    def deny(self) -> Deny | None:
        """What no scope could allow."""
        return self._commands.deny

    @property
    def unproven(self) -> frozenset[RefUpdate]:
        """What the pack could prove to be harmless."""
        return self._commands.unproven

    def needs(self, proven: frozenset[RefUpdate] = frozenset()) -> tuple[Need, ...]:
        """What it does, as far as that is known."""
        return self._commands.needs(self._target, proven)

    def access(self, access: Access, proven: frozenset[RefUpdate]) -> Access:
        """The same access, with what was proven."""
        others = tuple(need for need in access.needs if need not in self.needs())
        return replace(access, needs=self.needs(proven) + others)

    async def prove_fast_forward(self, directory: Path) -> frozenset[RefUpdate] | Deny:
        """Hold the pack back and say which branches it moves forward only."""
        self._spool = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  (closed by `close`)
        reader, size = PackReader(), len(self._head)
        try:
            self._spool.write(self._head)
            reader.feed(self._pack)
            async for part in self._rest:
                size += len(part)
                if size > MAX_PACK_BYTES:
                    return _too_large(f"only {MAX_PACK_BYTES} bytes of it can be looked into")
                await asyncio.to_thread(_spool_part, self._spool, reader, part)
        except OSError as error:
            return _too_large(f"there is no room to look into it ({error.strerror})")
        return frozenset(one for one in self.unproven if is_ancestor(reader.parents, one.new, one.old))

    async def body(self) -> AsyncIterator[bytes]:
        """All of it, as it came."""
        if self._spool is None:
            yield self._head
            async for part in self._rest:
                yield part
            return
        self._spool.seek(0)
        while part := await asyncio.to_thread(self._spool.read, PIECE_BYTES):
            yield part

    async def refusal_response(self, deny: Deny) -> web.Response | None:
        """The no as git prints it, once the client has sent all it has; None where it takes none in that form."""
        said = self._commands.refusal(f"hf-proxy: {deny.why}")
        if said is None:
            return None
        async for _ in self._rest:
            pass
        headers = {"X-HF-Proxy-Refusal": deny.refusal.value, "Cache-Control": "no-cache"}
        return web.Response(body=said, headers=headers, content_type="application/x-git-receive-pack-result")

    def close(self) -> None:
        """Let go of what was held back."""
        if self._spool is not None:
            self._spool.close()


async def read(body: AsyncIterator[bytes], target: Target) -> PushBody | Deny:
    """Read the commands of a push to a repository."""
    reader, head = RefUpdateReader(), b""
    async for part in body:
        head += part
        commands = reader.feed(part)
        if isinstance(commands, Deny):
            return commands
        if commands is not None:
            return PushBody(commands, target, head, reader.rest, body)
    return Deny(Refusal.BAD_BODY, f"this push is refused: its list of ref updates has no end{SEE_AUDIT}")


def _spool_part(held: IO[bytes], reader: PackReader, part: bytes) -> None:
    held.write(part)
    reader.feed(part)


def _too_large(why: str) -> Deny:
    return Deny(Refusal.LIMIT, f"this push may lose history, and {why}; allow that with --scope delete:REPO")
