"""Accounts: which one is meant, what is kept of them and where, and that a change is whole or not at all."""

import asyncio
import json
import os
import threading
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from hfproxy.daemon.accounts.model import Account, AccountToken, AccountKey, Origin
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.errors import AccountError, RefusedError, VaultError, VaultLockedError
from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault

ME = os.getuid()
TOKEN = "hf_" + "AcCounts" * 4 + "ab"


def held(name: str, token: str = TOKEN, **more: object) -> AccountToken:
    known = {"user": "me", "user_id": "1", "fullname": "Me", "role": "fineGrained", **more}
    return AccountToken(Account(name=name, origin=Origin("https://hub", "ab"), **known), Secret(token))  # type: ignore[arg-type]


class FailingVault(MemoryVault):
    """One whose disk is full, once it is told so."""

    failing = False

    def write(self, document: Secret) -> None:
        if self.failing:
            raise VaultError("no room")
        super().write(document)


@pytest.fixture
def vault() -> FailingVault:
    return FailingVault()


@pytest.fixture
def accounts(vault: FailingVault) -> AccountRegistry:
    return AccountRegistry(vault)


async def test_what_was_put_is_there_for_the_next_daemon_as_it_was(
    accounts: AccountRegistry, vault: FailingVault
) -> None:
    mine = held("default", orgs=(("acme", "7"),), scopes=("model me/x: repo.write",))
    await accounts.put(mine)
    again = (await AccountRegistry(vault).load(ME))["default"]
    assert again.account == replace(mine.account, login=again.account.login)
    assert again.account.login
    assert again.token == mine.token


async def test_nothing_is_known_before_the_vault_was_opened(accounts: AccountRegistry, vault: FailingVault) -> None:
    """A request never opens it: a keyring may ask a person."""
    await accounts.put(held("default"))
    later = AccountRegistry(vault)
    assert later.cache.get(AccountKey(ME, "default")) is None
    assert later.cache.known(ME) == []
    await later.load(ME)
    assert later.cache.get(AccountKey(ME, "default")) is not None


class TestWhichOne:
    @pytest.mark.parametrize(
        ("there", "asked", "found"),
        [
            (["default"], None, "default"),
            (["default", "work"], None, "default"),
            (["work"], None, "work"),
            (["default", "work"], "work", "work"),
        ],
        ids=str,
    )
    async def test_is_meant(self, accounts: AccountRegistry, there: list[str], asked: str | None, found: str) -> None:
        for name in there:
            await accounts.put(held(name))
        assert (await accounts.select(ME, asked)).name == found

    @pytest.mark.parametrize(
        ("there", "asked", "said"),
        [
            ([], None, "there is no account yet; run: hf-proxy login"),
            ([], "work", "there is no account yet; run: hf-proxy login"),
            (["default"], "wrok", "no account 'wrok'; run: hf-proxy login --account wrok"),
            (["work", "home"], None, "choose one: --account home|work"),
        ],
        ids=str,
    )
    async def test_cannot_be_said(
        self, accounts: AccountRegistry, there: list[str], asked: str | None, said: str
    ) -> None:
        for name in there:
            await accounts.put(held(name))
        with pytest.raises(AccountError) as caught:
            await accounts.select(ME, asked)
        assert said in str(caught.value)


class TestChanges:
    async def test_one_of_the_same_name_takes_its_place(self, accounts: AccountRegistry) -> None:
        await accounts.put(held("default", "hf_old"))
        await accounts.put(held("default", "hf_new"))
        assert [one.token.reveal() for one in (await accounts.load(ME)).values()] == ["hf_new"]

    async def test_what_is_removed_is_gone_and_the_rest_stays(
        self, accounts: AccountRegistry, vault: FailingVault
    ) -> None:
        await accounts.put(held("default", "hf_first"))
        await accounts.put(held("work", "hf_second"))
        await accounts.remove(AccountKey(ME, "default"))
        document = vault.read()
        assert document is not None
        assert "hf_first" not in document.reveal()
        assert list(await AccountRegistry(vault).load(ME)) == ["work"]
        with pytest.raises(AccountError, match="no account 'default'; see: hf-proxy accounts"):
            await accounts.remove(AccountKey(ME, "default"))

    @pytest.mark.parametrize(
        "change", [lambda accounts: accounts.put(held("work")), lambda accounts: accounts.remove(AccountKey(ME, "default"))], ids=["put", "remove"]
    )  # fmt: skip
    async def test_one_that_the_vault_does_not_take_did_not_happen(
        self, accounts: AccountRegistry, vault: FailingVault, change: Callable[[AccountRegistry], object]
    ) -> None:
        await accounts.put(held("default"))
        vault.failing = True
        with pytest.raises(VaultError, match="no room"):
            await change(accounts)  # type: ignore[misc]
        assert list(await accounts.load(ME)) == list(await AccountRegistry(vault).load(ME)) == ["default"]

    async def test_many_at_once_lose_none(self, accounts: AccountRegistry, vault: FailingVault) -> None:
        await asyncio.gather(*(accounts.put(held(f"a{number}")) for number in range(20)))
        assert len(await AccountRegistry(vault).load(ME)) == 20


class TestLocked:
    async def test_nothing_is_given_out_until_it_is_opened_again(self, accounts: AccountRegistry) -> None:
        await accounts.put(held("default"))
        accounts.lock()
        assert accounts.cache.locked
        assert accounts.cache.get(AccountKey(ME, "default")) is None
        for using in (
            accounts.load(ME),
            accounts.select(ME, None),
            accounts.put(held("x")),
            accounts.remove(AccountKey(ME, "default")),
        ):
            with pytest.raises(VaultLockedError, match="hf-proxy unlock"):
                await using
        await accounts.unlock(None)
        assert not accounts.cache.locked
        assert accounts.cache.get(AccountKey(ME, "default")) is not None


@pytest.mark.parametrize(
    "document",
    ["not json", "{}", "[]", '{"version":1}', '{"version":1,"accounts":[{}]}', '{"version":1,"accounts":[],"more":1}'],
)
async def test_a_document_of_another_program_is_not_overwritten(vault: FailingVault, document: str) -> None:
    vault.write(Secret(document))
    for using in (AccountRegistry(vault).load(ME), AccountRegistry(vault).put(held("default"))):
        with pytest.raises(VaultError, match="was not written by this hf-proxy") as caught:
            await using
        assert document not in str(caught.value)
    kept = vault.read()
    assert kept is not None
    assert kept.reveal() == document


@pytest.mark.parametrize("role", ["read", "write", "god"])
def test_a_classic_token_is_warned_of_with_the_page_for_a_better_one(role: str) -> None:
    (warning,) = held("default", role=role).account.warnings
    assert f"'{role}'" in warning
    assert "https://huggingface.co/settings/tokens/new?tokenType=fineGrained" in warning
    assert held("default").account.warnings == []


def test_what_is_shown_of_an_account_holds_no_token() -> None:
    shown = held("default", orgs=(("acme", "7"),), scopes=("a: b",)).account.public()
    assert shown == {
        "name": "default",
        "user": "me",
        "role": "fineGrained",
        "orgs": ["acme"],
        "scopes": ["a: b"],
        "origin": "https://hub",
        "warnings": [],
    }
    assert TOKEN not in json.dumps(shown) + repr(held("default").__dict__)


class TestWhose:
    OTHER = ME + 1

    async def test_two_users_have_one_each_under_the_same_name(
        self, accounts: AccountRegistry, vault: FailingVault
    ) -> None:
        await accounts.put(held("default", "hf_mine"))
        await accounts.put(held("default", "hf_theirs", uid=self.OTHER))
        for known in (accounts, AccountRegistry(vault)):
            assert [one.token.reveal() for one in (await known.load(ME)).values()] == ["hf_mine"]
            assert [one.token.reveal() for one in (await known.load(self.OTHER)).values()] == ["hf_theirs"]
            assert list(known.cache.usable(self.OTHER)) == ["default"]
            assert len(known.cache.known(ME)) == 1
        await accounts.remove(AccountKey(self.OTHER, "default"))
        assert [one.token.reveal() for one in (await AccountRegistry(vault).load(ME)).values()] == ["hf_mine"]

    async def test_another_login_continues_one_s_own_and_no_other(self, accounts: AccountRegistry) -> None:
        await accounts.put(held("default"))
        await accounts.put(held("default", uid=self.OTHER))
        mine, theirs = (await accounts.select(ME, None)).login, (await accounts.select(self.OTHER, None)).login
        assert mine != theirs
        await accounts.put(held("default", "hf_newer"))
        assert (await accounts.select(ME, None)).login == mine

    async def test_a_token_dead_at_the_hub_is_one_user_s(self, accounts: AccountRegistry) -> None:
        for uid in (ME, self.OTHER):
            await accounts.put(held("work", uid=uid))
        assert await accounts.mark_revoked(held("work", uid=self.OTHER), 1_800_000_000)
        assert list(accounts.cache.usable(ME)) == ["work"]
        assert list(accounts.cache.usable(self.OTHER)) == []

    async def test_what_an_older_version_wrote_is_the_daemon_s_own_user_s(self, vault: FailingVault) -> None:
        vault.write(
            Secret(
                '{"version":1,"accounts":[{"account":{"name":"default","origin":{"url":"https://hub"},"user":"me",'
                '"user_id":"1","fullname":"Me","role":"read"},"token":"hf_x"}]}'
            )
        )
        accounts = AccountRegistry(vault)
        assert list(await accounts.load(ME)) == ["default"]
        assert list(await accounts.load(self.OTHER)) == []
        await accounts.put(held("default", uid=self.OTHER))
        assert list(await AccountRegistry(vault).load(ME)) == ["default"]

    async def test_one_who_is_barred_gets_nothing_and_the_others_do(self, accounts: AccountRegistry) -> None:
        for uid in (ME, self.OTHER):
            await accounts.put(held("default", uid=uid))
        accounts.cache.suspend(self.OTHER)
        assert accounts.cache.locked_to(self.OTHER)
        assert accounts.cache.get(AccountKey(self.OTHER, "default")) is None
        assert accounts.cache.usable(self.OTHER) == {}
        assert accounts.cache.known(self.OTHER) == []
        for using in (accounts.load(self.OTHER), accounts.select(self.OTHER, None)):
            with pytest.raises(VaultLockedError, match="hf-proxy unlock"):
                await using
        assert not accounts.cache.locked_to(ME)
        assert accounts.cache.get(AccountKey(ME, "default")) is not None
        accounts.cache.reinstate(self.OTHER)
        assert accounts.cache.get(AccountKey(self.OTHER, "default")) is not None

    async def test_one_who_is_barred_while_the_vault_is_opened_gets_nothing(self) -> None:
        vault = SlowVault()
        accounts = AccountRegistry(vault)
        opening = asyncio.create_task(accounts.load(self.OTHER))
        await asyncio.to_thread(vault.asked.wait, 20)
        accounts.cache.suspend(self.OTHER)
        vault.answer.set()
        with pytest.raises(VaultLockedError):
            await opening


class SlowVault(MemoryVault):
    """One that answers when it is told to: a keyring that asks a person first."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = threading.Event(), threading.Event()

    def read(self) -> Secret | None:
        self.asked.set()
        assert self.answer.wait(20)
        return super().read()


class RefusingVault(SlowVault):
    """One whose owner says no."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts = 0

    def read(self) -> Secret | None:
        self.prompts += 1
        super().read()
        raise VaultLockedError("dismissed")


class TestManyAtOnce:
    """A burst of `exec`, while the keyring is locked."""

    async def test_ask_once_and_share_the_answer(self) -> None:
        vault = RefusingVault()
        accounts = AccountRegistry(vault)
        burst = [asyncio.create_task(accounts.select(ME, None)) for _ in range(50)]
        await asyncio.to_thread(vault.asked.wait, 20)
        late = asyncio.create_task(accounts.select(ME, None))
        await asyncio.sleep(0)
        vault.answer.set()
        outcomes = await asyncio.gather(*burst, late, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["dismissed"] * 51
        assert vault.prompts == 1

    async def test_one_that_gives_up_does_not_end_it_for_the_others(self) -> None:
        vault = SlowVault()
        vault.write(Secret('{"version":1,"accounts":[]}'))
        accounts = AccountRegistry(vault)
        first, second = asyncio.create_task(accounts.load(ME)), asyncio.create_task(accounts.load(ME))
        await asyncio.to_thread(vault.asked.wait, 20)
        first.cancel()
        vault.answer.set()
        assert await second == {}
        assert accounts.cache.opened


class TestShut:
    async def test_it_waits_for_nobody_and_what_was_asked_before_gives_nothing_out(self) -> None:
        vault = SlowVault()
        accounts = AccountRegistry(vault)
        opening = asyncio.create_task(accounts.select(ME, None))
        await asyncio.to_thread(vault.asked.wait, 20)
        assert accounts.forget_tokens() is None
        vault.answer.set()
        with pytest.raises(VaultLockedError):
            await opening
        assert accounts.cache.get(AccountKey(ME, "default")) is None
        assert accounts.cache.known(ME) == []

    async def test_a_vault_that_is_being_opened_does_not_hold_a_lock_up(self) -> None:
        vault = SlowVault()
        accounts = AccountRegistry(vault)
        opening = asyncio.create_task(accounts.load(ME))
        await asyncio.to_thread(vault.asked.wait, 20)
        accounts.lock()
        assert accounts.cache.locked
        vault.answer.set()
        with pytest.raises(VaultLockedError):
            await opening

    async def test_a_lock_while_somebody_unlocks_stays(self) -> None:
        vault = SlowVault()
        vault.unlock = lambda passphrase: vault.read() and None  # type: ignore[method-assign,assignment]
        accounts = AccountRegistry(vault)
        unlocking = asyncio.create_task(accounts.unlock(Secret("x")))
        await asyncio.to_thread(vault.asked.wait, 20)
        accounts.lock()
        vault.answer.set()
        with pytest.raises(RefusedError, match="locked again in the meantime"):
            await unlocking
        assert accounts.cache.locked

    async def test_it_returns_what_was_open_for_what_has_to_be_done_about_it(self, accounts: AccountRegistry) -> None:
        await accounts.put(held("default"))
        was = accounts.forget_tokens()
        assert was is not None
        assert was[AccountKey(ME, "default")].token.reveal() == TOKEN
        assert accounts.forget_tokens() is None
        assert (await accounts.read_while_locked())[AccountKey(ME, "default")].token.reveal() == TOKEN
        assert accounts.cache.locked
        assert accounts.cache.get(AccountKey(ME, "default")) is None

    async def test_a_change_under_way_does_not_open_it(self, accounts: AccountRegistry) -> None:
        await accounts.load(ME)
        changing = asyncio.create_task(accounts.put(held("default")))
        while not accounts._changing.locked():
            await asyncio.sleep(0)
        accounts.forget_tokens()
        with pytest.raises(VaultLockedError):
            await changing
        assert accounts.cache.get(AccountKey(ME, "default")) is None


class TestRevokedAtTheHub:
    async def test_is_kept_in_the_vault_and_said_with_what_helps(
        self, accounts: AccountRegistry, vault: FailingVault
    ) -> None:
        await accounts.put(held("work"))
        assert await accounts.mark_revoked(held("work"), 1_800_000_000)
        account = (await AccountRegistry(vault).load(ME))["work"].account
        (warning,) = account.warnings
        assert warning == account.revoked
        assert "hf-proxy rotate --account work" in warning
        assert "hf-proxy login --account work" in warning
        assert TOKEN not in warning

    @pytest.mark.parametrize("there", [held("work", "hf_newer"), held("home")], ids=["another token", "gone"])
    async def test_is_not_said_of_another_token(self, accounts: AccountRegistry, there: AccountToken) -> None:
        await accounts.put(there)
        assert not await accounts.mark_revoked(held("work"), 1_800_000_000)
        assert there.account.name in await accounts.load(ME)
        assert all(one.account.revoked is None for one in (await accounts.load(ME)).values())

    async def test_a_document_from_before_is_read(self, vault: FailingVault) -> None:
        vault.write(
            Secret(
                '{"version":1,"accounts":[{"account":{"name":"default","origin":{"url":"https://hub"},"user":"me",'
                '"user_id":"1","fullname":"Me","role":"read"},"token":"hf_x"}]}'
            )
        )
        assert (await AccountRegistry(vault).load(ME))["default"].account.revoked is None


class TestJournalKey:
    async def test_it_is_made_with_the_first_account_and_stays(
        self, accounts: AccountRegistry, vault: FailingVault
    ) -> None:
        await accounts.load(ME)
        assert accounts.cache.journal_key is None
        await accounts.put(held("default"))
        made = accounts.cache.journal_key
        assert made is not None
        assert len(made.reveal()) == 64
        await accounts.put(held("work"))
        await accounts.remove(AccountKey(ME, "default"))
        await accounts.remove(AccountKey(ME, "work"))
        assert accounts.cache.journal_key == made
        later = AccountRegistry(vault)
        assert later.cache.journal_key is None
        await later.load(ME)
        assert later.cache.journal_key == made

    async def test_every_vault_has_its_own(self) -> None:
        keys = []
        for _ in range(2):
            accounts = AccountRegistry(MemoryVault())
            await accounts.put(held("default"))
            keys.append(accounts.cache.journal_key)
        assert keys[0] != keys[1]

    async def test_a_document_of_before_opens_and_gets_one_when_it_is_written(
        self, accounts: AccountRegistry, vault: FailingVault
    ) -> None:
        await accounts.put(held("default"))
        document = json.loads(vault.read().reveal())  # type: ignore[union-attr]
        del document["journal_key"]
        vault.write(Secret(json.dumps(document)))
        later = AccountRegistry(vault)
        assert list(await later.load(ME)) == ["default"]
        assert later.cache.journal_key is None
        await later.put(held("work"))
        assert later.cache.journal_key is not None

    async def test_it_is_gone_while_the_vault_is_locked(self, accounts: AccountRegistry) -> None:
        await accounts.put(held("default"))
        made = accounts.cache.journal_key
        accounts.lock()
        assert accounts.cache.journal_key is None
        await accounts.unlock(None)
        assert accounts.cache.journal_key == made

    async def test_whoever_shuts_the_vault_it_is_still_there_when_that_is_written_down(self) -> None:
        seen: list[bool] = []
        accounts = AccountRegistry(MemoryVault(), lambda: seen.append(accounts.cache.journal_key is not None))
        await accounts.put(held("default"))
        accounts.forget_tokens()
        accounts.lock()
        assert seen == [True]
        await accounts.unlock(None)
        accounts.lock()
        assert seen == [True, True]

    async def test_one_that_could_not_be_stored_is_not_used(
        self, accounts: AccountRegistry, vault: FailingVault
    ) -> None:
        vault.failing = True
        with pytest.raises(VaultError):
            await accounts.put(held("default"))
        assert accounts.cache.journal_key is None
