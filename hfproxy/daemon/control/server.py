"""The control plane: commands over the Unix socket, from those who are served here only (`members`).

The kernel says who is at the other end (`SO_PEERCRED`) before a byte is read. Each command has one method here, and
touches what that user has in reach: accounts are each user's own, grants and the journal root's as well. The vault is
everybody's: anybody may close it, and a sealed one is opened by who knows its passphrase.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import structlog

import hfproxy
from hfproxy import wire
from hfproxy.config import duration
from hfproxy.core.audit.chain import EventKind
from hfproxy.core.audit.metrics import Counters, Family, exposition, gauge
from hfproxy.daemon.accounts.model import AccountKey
from hfproxy.daemon.accounts.opener import VaultOpener
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.control import messages
from hfproxy.daemon.control.caller import Caller, identify
from hfproxy.daemon.control.lockdown import Lockdown
from hfproxy.daemon.control.minting import GrantIssuer, grant_json
from hfproxy.daemon.control.projects import ProjectTrust
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.reader import JournalQuery, query
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.runtime import peer_uid
from hfproxy.daemon.runtime.clock import now
from hfproxy.daemon.runtime.users import AllowedUsers, visible_uid
from hfproxy.daemon.tokens import check
from hfproxy.daemon.tokens.identify import identify as identify_token
from hfproxy.daemon.tokens.importing import TokenImporter
from hfproxy.daemon.tokens.revocation import RevocationOutcome
from hfproxy.daemon.tokens.rotation import TokenRotation
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.errors import HFProxyError, PassphraseError, RefusedError, UsageError, VaultLockedError
from hfproxy.secret import Secret

log = structlog.get_logger()
# A client that connects and says nothing is let go.
LINE_SECONDS: Final = 10
SETTLE_SECONDS: Final = 1


class ControlServer:
    """Serves the control socket."""

    def __init__(
        self,
        members: AllowedUsers,
        endpoint: str,
        accounts: AccountRegistry,
        opener: VaultOpener,
        grants: GrantRegistry,
        mint: GrantIssuer,
        journal: JournalWriter,
        upstream: UpstreamClient,
        lockdown: Lockdown,
        rotation: TokenRotation,
        projects: ProjectTrust,
        counts: Counters,
    ) -> None:
        self._members, self._endpoint = members, endpoint
        self._accounts, self._grants, self._mint = accounts, grants, mint
        self._journal, self._upstream = journal, upstream
        self._lockdown, self._rotation, self._counts = lockdown, rotation, counts
        self._opener, self._projects = opener, projects
        self._adoption = TokenImporter(accounts, journal, upstream)
        self._started_at = now()
        self._serving: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
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
            _, uid = peer_uid.unix_peer(connection)
            if self._members.allows(uid):
                async for answer in self._replies(reader, connection):
                    writer.write(wire.encode(answer, "backslashreplace"))
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _replies(self, reader: asyncio.StreamReader, connection: socket.socket) -> AsyncIterator[wire.Message]:
        try:
            async with asyncio.timeout(LINE_SECONDS):
                message = messages.decode(await _line(reader))
            if isinstance(message, messages.StatusRequest):
                yield self._status(peer_uid.unix_peer(connection)[1])
                return
            async for answer in self._dispatch(message, identify(message, connection, self._grants)):
                yield answer
        except HFProxyError as error:
            yield {"error": str(error), "code": 2 if isinstance(error, UsageError) else 1}
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("control_failed")
            yield {"error": "the daemon failed at this; its log says why (please report it)", "code": 1}

    async def _dispatch(  # noqa: C901, PLR0912  (one case a command, and nothing else)
        self, message: messages.ControlRequest, caller: Caller
    ) -> AsyncIterator[wire.Message]:
        match message:
            case messages.MetricsRequest():
                yield {"text": exposition([*self._counts.families(), *self._gauges()])}
            case messages.DoctorRequest():
                yield await self._doctor(caller)
            case messages.LoginRequest():
                yield await self._login(message, caller)
            case messages.ImportTokenRequest():
                refresh = None if message.refresh is None else _token(message.refresh)
                yield await self._adoption.import_token(caller.uid, _token(message.token), refresh, dry=message.dry)
            case messages.AccountsRequest():
                held = await self._accounts.load(caller.uid)
                yield {"accounts": [one.account.public() for one in held.values()]}
            case messages.LogoutRequest():
                yield await self._logout(message, caller)
            case messages.UnlockRequest():
                yield await self._unlock(message, caller)
            case messages.SealRequest():
                yield await self._seal(message, caller)
            case messages.LockRequest():
                self._grants.abort_transfers()
                self._accounts.lock()
                yield {"locked": True}
            case messages.LockdownRequest():
                yield await (
                    self._lockdown_preview(message, caller) if message.dry else self._lock_down(message, caller)
                )
            case messages.RotateRequest():
                yield await self._rotation.rotate(caller.uid, message.account, _token(message.token))
            case messages.MintRequest():
                yield await self._mint.issue(message, caller.pid, caller.uid, caller.enclosing_grant)
            case messages.TrustProjectRequest():
                yield await self._projects.trust(message.project, caller.uid, dry=message.dry)
            case messages.UntrustProjectRequest():
                yield await self._projects.untrust(message.path, caller.uid)
            case messages.GrantsRequest():
                for grant in caller.visible_grants(self._grants):
                    yield grant_json(grant)
                yield {}
            case messages.RenewRequest():
                yield await self._renew(message, caller)
            case messages.RevokeRequest():
                yield await self._revoke(message, caller)
            case messages.AuditRequest():
                async for entry in query(self._journal, _journal_query(message, caller)):
                    yield entry
            case messages.AnchorRequest():
                head = await self._journal.flush()
                yield {"seq": head.seq, "hash": head.hash}
            case messages.CheckMacsRequest():
                key, fit = self._journal.check_macs(message.macs)
                yield {"key": key, "fit": fit}

    def _status(self, uid: int) -> wire.Message:
        known = self._accounts.known(uid)
        return {
            "version": hfproxy.__version__,
            "pid": os.getpid(),
            "endpoint": self._endpoint,
            "hub": self._upstream.origin.url,
            "bridge": self._mint.bridge,
            "vault": self._accounts.vault.name,
            "locked": self._accounts.locked_to(uid),
            "opened": self._accounts.opened,
            "lockdown": self._lockdown.is_active(uid),
            "journal": "failed" if self._journal.failed else "ok",
            "accounts": [{"name": one.name, "user": one.user, "role": one.role} for one in known],
            "profiles": self._mint.profiles,
            "grants": self._grants.broker.count(visible_uid(uid)),
            "requests": self._counts.total,
            "denied": self._counts.denied,
            "started_at": self._started_at,
            "dedicated": self._members.group is not None,
        }

    def _gauges(self) -> Iterator[Family]:
        yield gauge("build_info", "The version, as a label", 1, version=hfproxy.__version__)
        yield gauge("start_time_seconds", "When the daemon started, in seconds since the epoch", self._started_at)
        yield gauge("grants", "Grants that are alive", self._grants.broker.count())
        yield gauge("vault_locked", "Whether the vault is closed", self._accounts.locked)
        yield gauge("lockdown", "Whether everything is locked down", self._lockdown.is_active(os.getuid()))
        yield gauge(
            "journal_failed", "Whether the journal cannot be written, so that nothing is served", self._journal.failed
        )
        yield gauge("journal_waiting_lines", "Lines of the journal that are not written yet", self._journal.waiting)

    async def _doctor(self, caller: Caller) -> wire.Message:
        """Tokens are asked about only where the Hub can be asked and the vault is open."""
        network = await check.check_hub(self._upstream)
        if network["why"] is not None or self._accounts.locked_to(caller.uid):
            return {"network": network, "tokens": []}
        held = await self._accounts.load(caller.uid)
        tokens = await asyncio.gather(*(check.check_token(self._upstream, one) for one in held.values()))
        return {"network": network, "tokens": tokens}

    async def _login(self, message: messages.LoginRequest, caller: Caller) -> wire.Message:
        key = AccountKey(caller.uid, _name(message.account))
        self._accounts.vault.user_is_present()  # somebody is there who wants to be asked
        await self._accounts.load(key.uid)  # a locked or absent vault is found before the token is used
        held = await identify_token(self._upstream, key, _token(message.token))
        left = await self._rotation.finish_pending(key)
        await self._journal.append_durably(_of_account(EventKind.LOGIN, key))
        await self._accounts.put(held)
        return {**held.account.public(), "warnings": [*held.account.warnings, *left]}

    async def _logout(self, message: messages.LogoutRequest, caller: Caller) -> wire.Message:
        account = await self._accounts.select(caller.uid, message.account)
        left = await self._rotation.finish_pending(account.key)
        await self._journal.append_durably(_of_account(EventKind.LOGOUT, account.key))
        await self._accounts.remove(account.key)
        self._grants.abort_transfers(*account.key)
        return {"account": account.name, "warnings": left}

    async def _unlock(self, message: messages.UnlockRequest, caller: Caller) -> wire.Message:
        vault = self._accounts.vault
        keep = None if message.keep is None else duration(message.keep)
        passphrase = Secret(message.passphrase) if message.passphrase is not None else None
        closed: wire.Message = {"locked": True, "exists": vault.exists}
        if passphrase is None and vault.locked and (passphrase := self._opener.passphrase()) is None:
            return closed
        try:
            recalled = await self._lockdown.unlock(passphrase, caller.uid)
        except PassphraseError as error:
            raise error if message.passphrase is not None else self._opener.wrong_passphrase() from None
        except VaultLockedError:
            if passphrase is None and vault.locked:  # as it turned out: its mark was gone
                return closed
            raise
        self._journal.append_best_effort(EventKind.UNLOCK)
        if keep is not None:
            self._opener.cache_key(keep)
        return {
            "locked": self._accounts.locked_to(caller.uid),
            "exists": True,
            "recalled": _outcomes_json(recalled, caller.visible_uid),
        }

    async def _seal(self, message: messages.SealRequest, caller: Caller) -> wire.Message:
        """The vault is everybody's: how it is kept is for those to say who keep it."""
        if caller.visible_uid is not None:
            raise RefusedError("only root may seal the vault that all share: sudo hf-proxy vault seal")
        await self._accounts.seal(Secret(message.passphrase), undo=message.undo)
        self._opener.drop_cached_key()  # a key that opened what was there before
        return {"vault": self._accounts.vault.name, "locked": self._accounts.locked}

    async def _lockdown_preview(self, message: messages.LockdownRequest, caller: Caller) -> wire.Message:
        """What a lockdown would do. `tokens` is null where a closed vault hides whose there are."""
        held = {} if not message.recall else None if self._accounts.locked else await self._accounts.load_all()
        owner = caller.visible_uid if message.account is None else caller.uid
        wanted = [
            one.account
            for key, one in (held or {}).items()
            if owner in {None, key.uid} and message.account in {None, key.name}
        ]
        return {
            "grants": [grant_json(grant) for grant in self._grants.of_user(caller.visible_uid)],
            "tokens": None
            if held is None
            else [{"account": one.name, "user": one.user, "origin": one.origin.url} for one in wanted],
        }

    async def _lock_down(self, message: messages.LockdownRequest, caller: Caller) -> wire.Message:
        ended, recalled, recorded = await self._lockdown.engage(
            recall=message.recall, account=message.account, uid=caller.uid
        )
        return {"ended": ended, "recalled": _outcomes_json(recalled, caller.visible_uid), "recorded": recorded}

    async def _renew(self, message: messages.RenewRequest, caller: Caller) -> wire.Message:
        self._require_visible(caller, message.id)
        return grant_json(await self._grants.renew(message.id, self._mint.ttl(message.ttl)))

    async def _revoke(self, message: messages.RevokeRequest, caller: Caller) -> wire.Message:
        wanted = [grant.id for grant in caller.visible_grants(self._grants)] if message.all else list(message.ids)
        if not wanted and not message.all:
            raise UsageError("name the grants to revoke, or --all; see: hf-proxy grants")
        for grant_id in wanted:
            self._require_visible(caller, grant_id)  # all of them exist, or none is touched
        return {"revoked": await self._grants.revoke(wanted)}

    def _require_visible(self, caller: Caller, grant_id: str) -> None:
        """Raises RefusedError, in the same words for one that is not there and one that is out of reach."""
        if not caller.can_see(self._grants, grant_id):
            raise RefusedError(f"no living grant '{grant_id[:64]}'; see: hf-proxy grants")


def _journal_query(message: messages.AuditRequest, caller: Caller) -> JournalQuery:
    return JournalQuery(
        since=None if message.since is None else now() - duration(message.since),
        grant=message.grant,
        repo=message.repo,
        action=message.action,
        denied=message.denied,
        follow=message.follow,
        root=caller.subtree_root,
        uid=caller.visible_uid,
    )


def _of_account(kind: EventKind, key: AccountKey) -> dict[str, object]:
    return {"at": now(), "kind": kind.value, "uid": key.uid, "account": key.name}


def _outcomes_json(outcomes: list[RevocationOutcome], whose: int | None) -> list[wire.Message]:
    """What became of tokens, as far as they are the caller's."""
    return [
        {"account": one.account, "state": one.state, "why": one.why}
        for one in outcomes
        if whose is None or one.uid == whose
    ]


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        raise ConnectionResetError from None
    except asyncio.LimitOverrunError:
        raise UsageError(f"the request is longer than {wire.MAX_LINE} bytes; see: hf-proxy --help") from None


def _name(text: str) -> str:
    if not text or len(text) > 64 or not all(char.isalnum() or char in "._-" for char in text):
        raise UsageError("an account's name is at most 64 letters, digits, '.', '_' and '-': --account NAME")
    return text


def _token(text: str) -> Secret:
    """A token is sent in a header, so it is one word of visible ASCII
    (docs/hub-protocol.md#credential-shape)."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("this is not a token: it must be one word; copy it again from huggingface.co/settings/tokens")
    if text.startswith("hf_px_"):
        raise UsageError("this is a credential of hf-proxy, not a token; log in with one of the Hub's: hf-proxy login")
    return Secret(text)
