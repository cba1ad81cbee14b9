"""The control plane: commands over the Unix socket, from our own user only.

The kernel says who is at the other end (`SO_PEERCRED`) before a byte is read. Each command has one method here.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import structlog

import hfproxy
from hfproxy import wire
from hfproxy.config import duration
from hfproxy.core.audit import Kind
from hfproxy.core.broker import Grant
from hfproxy.daemon import examination, identity, messages, peers
from hfproxy.daemon.accounts import Accounts
from hfproxy.daemon.clock import now
from hfproxy.daemon.grants import Grants
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.leases import is_alive
from hfproxy.daemon.lockdown import Lockdown
from hfproxy.daemon.minting import Mint, public
from hfproxy.daemon.opening import Opener
from hfproxy.daemon.projects import Projects
from hfproxy.daemon.reading import entries
from hfproxy.daemon.recall import Outcome
from hfproxy.daemon.rotation import Rotation
from hfproxy.daemon.upstream import Upstream
from hfproxy.errors import HFProxyError, PassphraseError, RefusedError, UsageError, VaultLockedError
from hfproxy.secret import Secret

log = structlog.get_logger()
# A client that connects and says nothing is let go.
LINE_SECONDS: Final = 10
SETTLE_SECONDS: Final = 1


# What is served to a process that runs inside of a grant (design §5).
FROM_INSIDE: Final = (
    messages.Mint,
    messages.Grants,
    messages.Renew,
    messages.Revoke,
    messages.Audit,
    messages.Anchor,
)
ENDED: Final = RefusedError("the process that asked has ended; run the command again")


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end of the socket, and the grant that it runs inside of."""

    pid: int
    holder: Grant | None

    @property
    def below(self) -> str | None:
        """The id of that grant; None: everything is in reach."""
        return None if self.holder is None else self.holder.id


class ControlPlane:
    """Serves the control socket."""

    def __init__(
        self,
        uid: int,
        endpoint: str,
        accounts: Accounts,
        opener: Opener,
        grants: Grants,
        mint: Mint,
        journal: Journal,
        upstream: Upstream,
        lockdown: Lockdown,
        rotation: Rotation,
        projects: Projects,
    ) -> None:
        self._uid, self._endpoint = uid, endpoint
        self._accounts, self._grants, self._mint = accounts, grants, mint
        self._journal, self._upstream = journal, upstream
        self._lockdown, self._rotation = lockdown, rotation
        self._opener, self._projects = opener, projects
        self._started_at = now()
        self._serving: set[asyncio.Task[None]] = set()

    async def settle(self) -> None:
        """Once nobody new is let in: finish what was asked. Who follows the journal is not waited for."""
        if self._serving:
            await asyncio.wait(self._serving, timeout=SETTLE_SECONDS)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection: one request, one answer (or many, for `audit`)."""
        task = asyncio.current_task()
        if task is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            connection: socket.socket = writer.get_extra_info("socket")
            _, uid = peers.credentials(connection)
            if uid == self._uid:
                async for answer in self._answers(reader, connection):
                    writer.write(wire.encode(answer, "backslashreplace"))
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _answers(self, reader: asyncio.StreamReader, connection: socket.socket) -> AsyncIterator[wire.Message]:
        try:
            async with asyncio.timeout(LINE_SECONDS):
                message = messages.decode(await _line(reader))
            if isinstance(message, messages.Status):
                yield self._status()
                return
            async for answer in self._do(message, self._caller(message, connection)):
                yield answer
        except HFProxyError as error:
            yield {"error": str(error), "code": 2 if isinstance(error, UsageError) else 1}
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("control_failed")
            yield {"error": "the daemon failed at this; its log says why (please report it)", "code": 1}

    async def _do(  # noqa: C901, PLR0912  (one case a command, and nothing else)
        self, message: messages.Any, caller: Caller
    ) -> AsyncIterator[wire.Message]:
        match message:
            case messages.Examine():
                yield await self._examine()
            case messages.Login():
                yield await self._login(message)
            case messages.Accounts():
                await self._accounts.open()
                yield {"accounts": [account.public() for account in self._accounts.known()]}
            case messages.Logout():
                yield await self._logout(message)
            case messages.Unlock():
                yield await self._unlock(message)
            case messages.Seal():
                await self._accounts.seal(Secret(message.passphrase), undo=message.undo)
                self._opener.forget()  # a key that opened what was there before
                yield {"vault": self._accounts.vault.name, "locked": self._accounts.locked}
            case messages.Lock():
                self._grants.cut()
                self._accounts.lock()
                yield {"locked": True}
            case messages.Lockdown():
                yield await (self._plan(message) if message.dry else self._lock_down(message))
            case messages.Rotate():
                yield await self._rotation.serve(message.account, _token(message.token))
            case messages.Mint():
                yield await self._mint.serve(message, caller.pid, caller.holder)
            case messages.Allow():
                yield await self._projects.allow(message.project, dry=message.dry)
            case messages.Forget():
                yield await self._projects.forget(message.path)
            case messages.Grants():
                for grant in self._reach(caller):
                    yield public(grant)
                yield {}
            case messages.Renew():
                yield await self._renew(message, caller)
            case messages.Revoke():
                yield await self._revoke(message, caller)
            case messages.Audit():
                async for entry in entries(self._journal, message, caller.below):
                    yield entry
            case messages.Anchor():
                head = await self._journal.flush()
                yield {"seq": head.seq, "hash": head.hash}
            case messages.Vouch():
                key, fit = self._journal.vouch(message.macs)
                yield {"key": key, "fit": fit}

    def _status(self) -> wire.Message:
        known = self._accounts.known()
        return {
            "version": hfproxy.__version__,
            "pid": os.getpid(),
            "endpoint": self._endpoint,
            "vault": self._accounts.vault.name,
            "locked": self._accounts.locked,
            "opened": self._accounts.opened,
            "lockdown": self._lockdown.on,
            "journal": "failed" if self._journal.failed else "ok",
            "accounts": [{"name": one.name, "user": one.user, "role": one.role} for one in known],
            "grants": len(self._grants.broker.grants()),
            "started_at": self._started_at,
        }

    async def _examine(self) -> wire.Message:
        """Tokens are asked about only where the Hub can be asked and the vault is open."""
        network = await examination.network(self._upstream)
        if network["why"] is not None or self._accounts.locked:
            return {"network": network, "tokens": []}
        held = await self._accounts.open()
        tokens = await asyncio.gather(*(examination.token(self._upstream, one) for one in held.values()))
        return {"network": network, "tokens": tokens}

    async def _login(self, message: messages.Login) -> wire.Message:
        name = _name(message.account)
        self._accounts.vault.wake()  # somebody is there who wants to be asked
        await self._accounts.open()  # a locked or absent vault is found before the token is used
        held = await identity.identify(self._upstream, name, _token(message.token))
        left = await self._rotation.unrevoked(name)
        await self._journal.record({"at": now(), "kind": Kind.LOGIN.value, "account": name})
        await self._accounts.put(held)
        return {**held.account.public(), "warnings": [*held.account.warnings, *left]}

    async def _logout(self, message: messages.Logout) -> wire.Message:
        account = await self._accounts.choose(message.account)
        left = await self._rotation.unrevoked(account.name)
        await self._journal.record({"at": now(), "kind": Kind.LOGOUT.value, "account": account.name})
        await self._accounts.remove(account.name)
        self._grants.cut(account.name)
        return {"account": account.name, "warnings": left}

    async def _unlock(self, message: messages.Unlock) -> wire.Message:
        vault = self._accounts.vault
        keep = None if message.keep is None else duration(message.keep)
        passphrase = Secret(message.passphrase) if message.passphrase is not None else None
        closed: wire.Message = {"locked": True, "exists": vault.exists}
        if passphrase is None and vault.locked and (passphrase := self._opener.passphrase()) is None:
            return closed
        try:
            recalled = await self._lockdown.unlock(passphrase)
        except PassphraseError as error:
            raise error if message.passphrase is not None else self._opener.wrong() from None
        except VaultLockedError:
            if passphrase is None and vault.locked:  # as it turned out: its mark was gone
                return closed
            raise
        self._journal.mark(Kind.UNLOCK)
        if keep is not None:
            self._opener.keep(keep)
        return {"locked": self._accounts.locked, "exists": True, "recalled": _shown(recalled)}

    async def _plan(self, message: messages.Lockdown) -> wire.Message:
        """What a lockdown would do. `tokens` is null where a closed vault hides whose there are."""
        held = {} if not message.recall else None if self._accounts.locked else await self._accounts.open()
        wanted = [one.account for name, one in (held or {}).items() if message.account in {None, name}]
        return {
            "grants": [public(grant) for grant in self._grants.broker.grants()],
            "tokens": None
            if held is None
            else [{"account": one.name, "user": one.user, "origin": one.origin.url} for one in wanted],
        }

    async def _lock_down(self, message: messages.Lockdown) -> wire.Message:
        ended, recalled, recorded = await self._lockdown.engage(recall=message.recall, account=message.account)
        return {"ended": ended, "recalled": _shown(recalled), "recorded": recorded}

    async def _renew(self, message: messages.Renew, caller: Caller) -> wire.Message:
        self._one_of(caller, message.id)
        return public(await self._grants.renew(message.id, self._mint.ttl(message.ttl)))

    async def _revoke(self, message: messages.Revoke, caller: Caller) -> wire.Message:
        wanted = [grant.id for grant in self._reach(caller)] if message.all else list(message.ids)
        if not wanted and not message.all:
            raise UsageError("name the grants to revoke, or --all; see: hf-proxy grants")
        for grant_id in wanted:
            self._one_of(caller, grant_id)  # all of them exist, or none is touched
        return {"revoked": await self._grants.revoke(wanted)}

    def _caller(self, message: messages.Any, connection: socket.socket) -> Caller:
        """Who asks, and inside of which grant. From inside, less is served.

        Raises:
            RefusedError: it has ended, so that this cannot be found out; or it may not ask for this.
        """
        pid, _ = peers.credentials(connection)
        try:
            pidfd = peers.handle(connection)
        except OSError:
            raise ENDED from None
        try:
            holder = self._grants.holder(pid)
            if not is_alive(pidfd):  # what was looked at may have been another process
                raise ENDED
        finally:
            os.close(pidfd)
        if holder is not None and not isinstance(message, FROM_INSIDE):
            raise RefusedError(
                f"this was run inside of grant {holder.id}, where one can only ask for less; run it outside of"
                f" {holder.order.program or 'that command'}: hf-proxy {message.__struct_config__.tag}"
            )
        return Caller(pid, holder)

    def _reach(self, caller: Caller) -> tuple[Grant, ...]:
        """The grants that a caller may see and touch: all, or from inside of one that one and what came of it."""
        broker = self._grants.broker
        return broker.grants() if caller.holder is None else broker.subtree(caller.holder.id)

    def _one_of(self, caller: Caller, grant_id: str) -> None:
        """Raises RefusedError, in the same words for one that is not there and one that is out of reach."""
        if grant_id not in {grant.id for grant in self._reach(caller)}:
            raise RefusedError(f"no living grant '{grant_id[:64]}'; see: hf-proxy grants")


def _shown(outcomes: list[Outcome]) -> list[wire.Message]:
    return [{"account": one.account, "state": one.state, "why": one.why} for one in outcomes]


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        raise ConnectionResetError from None
    except asyncio.LimitOverrunError:
        raise UsageError(f"the request is longer than {wire.MAX_LINE} bytes") from None


def _name(text: str) -> str:
    if not text or len(text) > 64 or not all(char.isalnum() or char in "._-" for char in text):
        raise UsageError("an account's name is at most 64 letters, digits, '.', '_' and '-'")
    return text


def _token(text: str) -> Secret:
    """A token is sent in a header, so it is one word of visible ASCII (hub-wire §7)."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("this is not a token: it must be one word; copy it again from huggingface.co/settings/tokens")
    if text.startswith("hf_px_"):
        raise UsageError("this is a credential of hf-proxy, not a token; log in with one of the Hub's")
    return Secret(text)
