"""Lockdown: everything ends at once, and nothing begins until somebody unlocks.

It is in force in memory first, where nothing has to be waited for, and on disk before anybody is told so: a file in the
state directory, which a daemon that starts finds. Whatever fails on the way (a full disk, a dead Hub, a keyring that
does not answer), the rest is done, and what failed is said.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from hfproxy import durable
from hfproxy.core.audit import Kind
from hfproxy.daemon.accounts import Accounts, Held
from hfproxy.daemon.clock import now
from hfproxy.daemon.grants import Grants
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.recall import FILE as WAITING
from hfproxy.daemon.recall import Outcome, Recalls
from hfproxy.errors import HFProxyError, JournalError, RefusedError, VaultError
from hfproxy.secret import Secret

log = structlog.get_logger()
FILE: Final = "lockdown"
# A vault that asks a person who is not there must not keep the answer back: nothing is given out by then.
VAULT_SECONDS: Final = 10


class Lockdown:
    """The one switch, and its way back. `on`: whether it is in force."""

    def __init__(self, state: Path, accounts: Accounts, grants: Grants, journal: Journal, recalls: Recalls) -> None:
        self._marker = state / FILE
        self._accounts, self._grants, self._journal, self._recalls = accounts, grants, journal, recalls
        self.on = os.path.lexists(self._marker)
        self._times = 0
        self._switching = asyncio.Lock()
        self._unwritten = False  # grants ended that another daemon might still take for living ones

    async def resume(self) -> None:
        """At the start: stay as an earlier daemon was left."""
        if self.on:
            self._accounts.shut()
            await self._end_all()
            self._accounts.lock()
            log.warning("locked_down", way_out="hf-proxy unlock")

    async def engage(self, *, recall: bool, account: str | None) -> tuple[list[str], list[Outcome], bool]:
        """End everything; with `recall` also the token of an account, or all tokens, at the Hub.

        Returns the ids of the grants that ended, what became of the tokens, and whether the journal has it.

        Raises:
            RefusedError: all that was done, but a daemon that starts anew might not know of it.
        """
        self.on = True
        self._times += 1
        held = self._accounts.shut()
        written, ended = await asyncio.gather(self._write_down(recall=recall, account=account), self._end_all())
        outcomes = await self._recall(held, account) if recall else []
        self._accounts.lock()
        recorded = await self._record(outcomes)
        if not written:
            raise RefusedError(
                f"all grants ended and the vault is locked{_in_words(outcomes)}, but {self._marker} could not be"
                " written: a daemon that is started anew would not know; make room, then again: hf-proxy lockdown"
            )
        return ended, outcomes, recorded

    async def unlock(self, passphrase: Secret | None) -> list[Outcome]:
        """Open the vault and lift the lockdown; then send what could not be sent before.

        Raises:
            PassphraseError: it is the wrong one; nothing has changed.
            RefusedError: what had ended is not on disk yet, or somebody locked down in the meantime.
        """
        if self._unwritten:
            raise RefusedError("the end of some grants could not be written down; make room, start the daemon again")
        before = self._times
        await self._accounts.unlock(passphrase)
        if self.on:
            await self._lift(before)
        return await self.send_waiting()

    async def resend(self) -> None:
        """At the start, beside everything else: what an earlier daemon could not send."""
        for one in await self.send_waiting():
            log.warning("revoked_at_the_hub", account=one.account, state=one.state, reason=one.why)

    async def send_waiting(self) -> list[Outcome]:
        """Revoke at the Hub what is still to be revoked, if the vault is open; may open a keyring."""
        if not self._recalls.wanted or self._accounts.locked:
            return []
        try:
            return await self._recalls.carry_out(await self._accounts.open())
        except VaultError as error:
            log.warning("still_to_be_revoked", reason=str(error))
            return []

    async def _lift(self, before: int) -> None:
        async with self._switching:
            try:
                if self._times != before:
                    raise RefusedError("it was locked again in the meantime; run: hf-proxy unlock")
                await asyncio.to_thread(durable.remove, self._marker)
                self.on = self._times != before
            except (OSError, RefusedError) as error:
                self._accounts.lock()
                await self._end_all()  # what was minted while it was open
                why = (
                    f"{self._marker} cannot be removed; see: ls -l {self._marker}"
                    if isinstance(error, OSError)
                    else str(error)
                )
                raise RefusedError(f"it stays locked, so once more: hf-proxy unlock ({why})") from None

    async def _write_down(self, *, recall: bool, account: str | None) -> bool:
        if recall:
            try:
                await self._recalls.ask(account)
            except OSError as error:  # it is sent now all the same
                log.warning("not_written", file=WAITING, reason=error.strerror)
        try:
            async with self._switching:
                await asyncio.to_thread(durable.write, self._marker, b"hf-proxy unlock\n")
        except OSError as error:
            log.warning("not_written", file=FILE, reason=error.strerror)
            return False
        return True

    async def _end_all(self) -> list[str]:
        living = [grant.id for grant in self._grants.broker.grants()]
        try:
            await self._grants.revoke(living)
        except HFProxyError as error:
            self._unwritten = True
            log.warning("not_recorded", kind=Kind.REVOKED.value, reason=str(error))
        return living

    async def _recall(self, held: Mapping[str, Held] | None, account: str | None) -> list[Outcome]:
        name = account or "every account"
        try:
            async with asyncio.timeout(VAULT_SECONDS):
                held = held if held is not None else await self._accounts.look()
            return await self._recalls.carry_out(held)
        except VaultError:
            return [Outcome(name, "waiting", "the vault was locked already")]
        except TimeoutError:
            return [Outcome(name, "waiting", "the vault does not answer")]

    async def _record(self, outcomes: list[Outcome]) -> bool:
        event: dict[str, object] = {"at": now(), "kind": Kind.LOCKDOWN.value}
        if outcomes:
            event["revoked_upstream"] = [one.account for one in outcomes if one.state == "revoked"]
            event["to_revoke"] = [one.account for one in outcomes if one.state == "waiting"]
        try:
            await self._journal.record(event)
        except JournalError:
            log.warning("not_recorded", kind=Kind.LOCKDOWN.value)
            return False
        return True


def _in_words(outcomes: list[Outcome]) -> str:
    return "".join(
        f"; token of {one.account} {'revoked at the Hub' if one.state == 'revoked' else f'NOT revoked ({one.why})'}"
        for one in outcomes
    )
