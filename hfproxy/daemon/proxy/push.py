"""The body of a git push: its ref updates are read first; where they could lose history, its pack is spooled and read.

The spool is an unnamed file in the state directory. It is forwarded from there once the pack proves that every branch
only moves forward (`core.git.packfile`). With `delete` granted, nothing is spooled.
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

# The largest pack that is spooled: far above what the Hub accepts without LFS (files of 10 MB).
MAX_PACK_BYTES: Final = 8 * 1024 * 1024 * 1024
READ_BYTES: Final = 1024 * 1024


class PushBody:
    """The body of one push: its ref updates, and its pack, read or unread."""

    def __init__(
        self, commands: RefUpdates, target: Target, head: bytes, pack: bytes, rest: AsyncIterator[bytes]
    ) -> None:
        """Take a body whose ref updates are read.

        Args:
            commands: The ref updates.
            target: The repository.
            head: Everything that was read of the body.
            pack: The part of `head` behind the ref updates.
            rest: The unread part of the body.
        """
        self._commands, self._target = commands, target
        self._head, self._pack, self._rest = head, pack, rest
        self._spool: IO[bytes] | None = None

    @property
    def deny(self) -> Deny | None:
        """Why the push is refused whatever the scope; None if it is not."""
        return self._commands.deny

    @property
    def unproven(self) -> frozenset[RefUpdate]:
        """The ref updates that may lose history, unless the pack proves that they do not."""
        return self._commands.unproven

    def needs(self, proven: frozenset[RefUpdate] = frozenset()) -> tuple[Need, ...]:
        """Return the needs of the push, if these updates are proven to lose nothing."""
        return self._commands.needs(self._target, proven)

    def access(self, access: Access, proven: frozenset[RefUpdate]) -> Access:
        """Return an access of this push with the needs that are left after the proof; who pays stays part of it."""
        others = tuple(need for need in access.needs if need not in self.needs())
        return replace(access, needs=self.needs(proven) + others)

    async def prove_fast_forward(self, directory: Path) -> frozenset[RefUpdate] | Deny:
        """Spool the body in `directory` and return the updates that move their branch forward only.

        Returns Deny if the pack is too large, or the disk is full.
        """
        self._spool = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  (closed by `close`)
        reader, size = PackReader(), len(self._head)
        try:
            self._spool.write(self._head)
            reader.feed(self._pack)
            async for part in self._rest:
                size += len(part)
                if size > MAX_PACK_BYTES:
                    return _unproven(f"only {MAX_PACK_BYTES} bytes of it can be looked into")
                await asyncio.to_thread(_spool_part, self._spool, reader, part)
        except OSError as error:
            return _unproven(f"there is no room to look into it ({error.strerror})")
        return frozenset(update for update in self.unproven if is_ancestor(reader.parents, update.new, update.old))

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the whole body, byte for byte, from the spool if there is one. Can be called once."""
        if self._spool is None:
            yield self._head
            async for part in self._rest:
                yield part
            return
        self._spool.seek(0)
        while part := await asyncio.to_thread(self._spool.read, READ_BYTES):
            yield part

    async def refusal_response(self, deny: Deny) -> web.Response | None:
        """Return a refusal in the form that git prints for each ref; None if the client did not ask for that form.

        git reads no response before it has sent its pack, so the rest of the body is read and dropped.
        """
        report = self._commands.refusal(f"hf-proxy: {deny.why}")
        if report is None:
            return None
        async for _ in self._rest:
            pass
        headers = {"X-HF-Proxy-Refusal": deny.refusal.value, "Cache-Control": "no-cache"}
        return web.Response(body=report, headers=headers, content_type="application/x-git-receive-pack-result")

    def close(self) -> None:
        """Delete the spool, if there is one."""
        if self._spool is not None:
            self._spool.close()


async def read(body: AsyncIterator[bytes], target: Target) -> PushBody | Deny:
    """Read the ref updates at the head of a push to a repository; Deny if they are malformed."""
    reader, head = RefUpdateReader(), b""
    async for part in body:
        head += part
        commands = reader.feed(part)
        if isinstance(commands, Deny):
            return commands
        if commands is not None:
            return PushBody(commands, target, head, reader.rest, body)
    return Deny(Refusal.BAD_BODY, f"this push is refused: its list of ref updates has no end{SEE_AUDIT}")


def _spool_part(spool: IO[bytes], reader: PackReader, part: bytes) -> None:
    spool.write(part)
    reader.feed(part)


def _unproven(why: str) -> Deny:
    return Deny(Refusal.LIMIT, f"this push may lose history, and {why}; allow that with --scope delete:REPO")
