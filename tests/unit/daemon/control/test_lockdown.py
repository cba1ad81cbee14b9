"""Lockdown where things happen at the same moment, or never answer."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hfproxy.config import UpstreamSettings as Settings
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.control import lockdown as module
from hfproxy.daemon.accounts.model import Account, AccountToken
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.control.lockdown import Lockdown
from hfproxy.daemon.tokens.revocation import PendingRevocations, RevocationRequest
from hfproxy.daemon.grants.store import STORE_DIRECTORY, DATABASE_FILE, GrantStore
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.daemon.runtime.clock import now
from hfproxy.errors import RefusedError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault

ME = os.getuid()
ORDER = GrantTerms(uid=ME, account="default", scopes=(parse("read:me/*"),), ttl=600)
PASSPHRASE = Secret("x")


class Vault(MemoryVault):
    """A sealed one; `read` and `unlock` wait until they may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()

    def read(self) -> Secret | None:
        self._wait()
        return super().read()

    def unlock(self, passphrase: Secret) -> None:
        self._wait()

    def _wait(self) -> None:
        self.asked.set()
        assert self.goes_on.wait(30)

    def stop(self) -> None:
        self.asked.clear()
        self.goes_on.clear()


@dataclass
class Rig:
    vault: Vault
    accounts: AccountRegistry
    grants: GrantRegistry
    lockdown: Lockdown
    recalls: PendingRevocations
    state: Path


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    journal, store = JournalWriter(tmp_path / "journal"), GrantStore(tmp_path)
    upstream = UpstreamClient(Settings(hub="http://127.0.0.1:9"))  # where nobody listens
    vault = Vault()
    accounts, grants, recalls = (
        AccountRegistry(vault),
        GrantRegistry(journal, store, 43_200),
        PendingRevocations(tmp_path, HubApi(upstream)),
    )
    account = Account(name="default", origin=upstream.origin, user="me", user_id="1", fullname="Me", role="read")
    await accounts.put(AccountToken(account, Secret("hf_of_the_lockdown_test")))
    yield Rig(vault, accounts, grants, Lockdown(tmp_path, accounts, grants, journal, recalls), recalls, tmp_path)
    vault.goes_on.set()
    await upstream.close()
    store.close()
    journal.close()


async def test_one_that_comes_while_somebody_unlocks_wins(rig: Rig) -> None:
    await rig.lockdown.engage(revoke_tokens=False, account=None, uid=ME)
    rig.vault.stop()
    unlocking = asyncio.create_task(rig.lockdown.unlock(PASSPHRASE, ME))
    await asyncio.to_thread(rig.vault.asked.wait, 20)
    again = asyncio.create_task(rig.lockdown.engage(revoke_tokens=False, account=None, uid=ME))
    await asyncio.sleep(0)
    rig.vault.goes_on.set()
    with pytest.raises(RefusedError, match="locked again in the meantime"):
        await unlocking
    await again
    assert rig.lockdown.is_active(ME)
    assert rig.accounts.cache.locked
    assert (rig.state / "lockdown").exists()


async def test_what_is_minted_in_the_gap_of_such_an_unlock_ends_as_well(rig: Rig) -> None:
    await rig.lockdown.engage(revoke_tokens=False, account=None, uid=ME)
    rig.vault.stop()
    unlocking = asyncio.create_task(rig.lockdown.unlock(PASSPHRASE, ME))
    await asyncio.to_thread(rig.vault.asked.wait, 20)
    again = asyncio.create_task(rig.lockdown.engage(revoke_tokens=False, account=None, uid=ME))
    await asyncio.sleep(0)

    async def mint() -> None:
        await rig.accounts.select(ME, None)
        await rig.grants.mint(ORDER)

    minting = asyncio.create_task(mint())
    rig.vault.goes_on.set()
    await asyncio.gather(unlocking, again, minting, return_exceptions=True)
    assert rig.grants.broker.grants() == ()
    assert rig.accounts.cache.locked


async def test_a_vault_that_never_answers_keeps_nothing_alive_and_nobody_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VAULT_TIMEOUT_S", 0.05)
    await rig.grants.mint(ORDER)
    rig.accounts.lock()
    await rig.accounts.unlock(None)
    rig.accounts.forget_tokens()  # as a daemon is that has not read its keyring yet
    rig.vault.stop()
    ended, outcomes, recorded = await rig.lockdown.engage(revoke_tokens=True, account=None, uid=ME)
    assert (len(ended), recorded) == (1, True)
    assert [(one.state, one.why) for one in outcomes] == [("waiting", "the vault does not answer")]
    assert rig.accounts.cache.locked
    assert rig.recalls.requests != ()


async def test_what_waits_is_there_for_the_next_daemon_by_name_and_digest_alone(rig: Rig) -> None:
    _, outcomes, _ = await rig.lockdown.engage(revoke_tokens=True, account="default", uid=ME)
    assert [(one.account, one.state) for one in outcomes] == [("default", "waiting")]
    assert "cannot be reached" in outcomes[0].why
    assert "hf_of_the_lockdown_test" not in (rig.state / "to-revoke.json").read_text()
    upstream = UpstreamClient(Settings(hub="http://127.0.0.1:9"))
    (wanted,) = PendingRevocations(rig.state, HubApi(upstream)).requests
    await upstream.close()
    assert wanted.account == "default"
    assert len(wanted.token or "") == 64


async def test_what_is_asked_for_while_another_is_sent_is_not_lost(rig: Rig) -> None:
    held = await rig.accounts.load_all()
    await rig.recalls.add(RevocationRequest("default", uid=ME))
    sending = asyncio.create_task(rig.recalls.send_all(held))
    await asyncio.sleep(0)
    await rig.recalls.add(RevocationRequest("work", uid=ME))
    await sending
    assert {one.account for one in rig.recalls.requests} == {"default", "work"}


async def test_a_marker_that_was_left_is_in_force_before_anything_is_served(rig: Rig) -> None:
    await rig.grants.mint(ORDER)
    (rig.state / "lockdown").touch()
    journal = JournalWriter(rig.state / "other")
    later = Lockdown(rig.state, rig.accounts, rig.grants, journal, rig.recalls)
    await later.resume()
    journal.close()
    assert rig.grants.broker.grants() == ()
    with pytest.raises(VaultLockedError):
        await rig.accounts.load(ME)


class TestOfOneUser:
    """Where one daemon serves several: here another one beside its own user, who has one account and one grant."""

    OTHER = 2**31 - 7

    @pytest.fixture(autouse=True)
    async def _other(self, rig: Rig) -> None:
        origin = (await rig.accounts.select(ME, None)).origin
        theirs = Account(
            name="default", origin=origin, user="o", user_id="2", fullname="O", role="read", uid=self.OTHER
        )
        await rig.accounts.put(AccountToken(theirs, Secret("hf_of_somebody_else")))
        await rig.grants.mint(ORDER)
        await rig.grants.mint(replace(ORDER, uid=self.OTHER))

    async def test_what_is_others_goes_on(self, rig: Rig) -> None:
        ended, _, _ = await rig.lockdown.engage(revoke_tokens=False, account=None, uid=self.OTHER)
        assert len(ended) == 1
        assert [grant.terms.uid for grant in rig.grants.broker.grants()] == [ME]
        assert (rig.lockdown.is_active(self.OTHER), rig.lockdown.is_active(ME)) == (True, False)
        assert (rig.accounts.cache.locked_to(self.OTHER), rig.accounts.cache.locked_to(ME)) == (True, False)
        await rig.lockdown.unlock(None, self.OTHER)
        assert not rig.accounts.cache.locked_to(self.OTHER)
        assert not list(rig.state.glob("lockdown*"))

    async def test_it_is_in_force_for_the_daemon_that_comes_next(self, rig: Rig) -> None:
        await rig.lockdown.engage(revoke_tokens=False, account=None, uid=self.OTHER)
        rig.accounts.cache.reinstate(self.OTHER)
        journal = JournalWriter(rig.state / "other")
        later = Lockdown(rig.state, rig.accounts, rig.grants, journal, rig.recalls)
        await later.resume()
        journal.close()
        assert rig.accounts.cache.locked_to(self.OTHER)
        assert not rig.accounts.cache.locked_to(ME)

    async def test_one_that_comes_while_they_unlock_wins(self, rig: Rig) -> None:
        await rig.lockdown.engage(revoke_tokens=False, account=None, uid=self.OTHER)
        rig.vault.stop()
        unlocking = asyncio.create_task(rig.lockdown.unlock(PASSPHRASE, self.OTHER))
        await asyncio.to_thread(rig.vault.asked.wait, 20)
        again = asyncio.create_task(rig.lockdown.engage(revoke_tokens=False, account=None, uid=self.OTHER))
        await asyncio.sleep(0)
        rig.vault.goes_on.set()
        with pytest.raises(RefusedError, match="locked again"):
            await unlocking
        await again
        assert rig.lockdown.is_active(self.OTHER)
        assert rig.accounts.cache.locked_to(self.OTHER)
        assert not rig.accounts.cache.locked_to(ME)

    async def test_everybody_s_is_not_theirs_to_lift(self, rig: Rig) -> None:
        await rig.lockdown.engage(revoke_tokens=False, account=None, uid=ME)
        assert rig.grants.broker.grants() == ()
        with pytest.raises(RefusedError, match="only root can lift"):
            await rig.lockdown.unlock(PASSPHRASE, self.OTHER)
        assert rig.accounts.cache.locked
        await rig.lockdown.unlock(PASSPHRASE, ME)
        assert not rig.accounts.cache.locked_to(self.OTHER)

    async def test_everybody_s_that_comes_while_they_unlock_wins(self, rig: Rig) -> None:
        rig.accounts.lock()
        rig.vault.stop()
        unlocking = asyncio.create_task(rig.lockdown.unlock(PASSPHRASE, self.OTHER))
        await asyncio.to_thread(rig.vault.asked.wait, 20)
        for_all = asyncio.create_task(rig.lockdown.engage(revoke_tokens=False, account=None, uid=ME))
        while not (rig.state / "lockdown").exists():
            await asyncio.sleep(0.01)
        rig.vault.goes_on.set()
        _, refusal = await asyncio.gather(for_all, unlocking, return_exceptions=True)
        assert isinstance(refusal, RefusedError | VaultLockedError)
        assert rig.accounts.cache.locked
        assert rig.lockdown.is_active(self.OTHER)

    @pytest.mark.parametrize(
        ("account", "uid", "whose"),
        [(None, OTHER, {OTHER}), ("default", OTHER, {OTHER}), ("default", ME, {ME}), (None, ME, {ME, OTHER})],
        ids=["all of theirs", "one of theirs", "one of the daemon's user", "everybody's"],
    )
    async def test_tokens_are_revoked_of_whom_it_is_about(
        self, rig: Rig, account: str | None, uid: int, whose: set[int]
    ) -> None:
        _, outcomes, _ = await rig.lockdown.engage(revoke_tokens=True, account=account, uid=uid)
        assert {(one.uid, one.account, one.state) for one in outcomes} == {(one, "default", "waiting") for one in whose}
        assert {wanted.uid for wanted in rig.recalls.requests} == whose


async def test_a_grant_that_cannot_be_read_keeps_no_other_from_ending(rig: Rig) -> None:
    """As on a bad disk; and nothing is given out again before another daemon has looked."""
    asleep, _ = await rig.grants.mint(ORDER)
    awake, bearer = await rig.grants.mint(ORDER)
    file = sqlite3.connect(rig.state / STORE_DIRECTORY / DATABASE_FILE, isolation_level=None)
    found = rig.grants._store.load()
    rig.grants.broker.__init__()  # type: ignore[misc]  # as after a start: only the one that is asked for is read
    rig.grants.broker.restore(found.summaries)
    assert isinstance(await rig.grants.verify(bearer, now()), Grant)
    file.execute("ALTER TABLE grants RENAME TO elsewhere")
    ended, *_ = await rig.lockdown.engage(revoke_tokens=False, account=None, uid=ME)
    assert ended == [awake.id]
    file.execute("ALTER TABLE elsewhere RENAME TO grants")
    file.close()
    assert asleep.id not in ended
    with pytest.raises(RefusedError, match="start the daemon again"):
        await rig.lockdown.unlock(PASSPHRASE, ME)
