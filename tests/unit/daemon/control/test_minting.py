"""From what was typed to a grant: the config's limits, and bounds on all that goes into the journal."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfproxy import config, wire
from hfproxy.core.policy.access import Action
from hfproxy.core.policy.caveats import InTree
from hfproxy.daemon.accounts.model import Account, AccountToken, Origin
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.control.requests import MintRequest as Asked
from hfproxy.daemon.control.caller import Caller
from hfproxy.daemon.control.minting import Endpoints, GrantIssuer, grant_json
from hfproxy.daemon.control.projects import ProjectTrust
from hfproxy.daemon.grants.store import GrantStore
from hfproxy.errors import AccountError, RefusedError, UsageError
from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault

TOKEN = "hf_" + "Mint" * 8 + "ab"
SETTINGS = config.Config(
    grants=config.GrantSettings(default_ttl="10m", max_ttl="1h", ceiling=("read", "write:me/*")),
    profiles={"space": config.ProfileSettings(scopes=("write:spaces/me/demo", "run:spaces/me/demo"))},
)

ENDPOINTS = Endpoints("http://127.0.0.1:4880", "https://hub")


def account(name: str) -> Account:
    return Account(name=name, origin=Origin("https://hub"), user="me", user_id="1", fullname="Me", role="read")


class Daemon:
    """What minting needs, with an account in it."""

    def __init__(self, directory: Path) -> None:
        self.journal = JournalWriter(directory / "journal")
        self.store = GrantStore(directory)
        self.grants = GrantRegistry(self.journal, self.store, 3600)
        self.accounts = AccountRegistry(MemoryVault())
        projects = ProjectTrust(directory, self.accounts, self.journal)
        self.mint = GrantIssuer(SETTINGS, ENDPOINTS, self.accounts, self.grants, projects)

    async def asked(self, pid: int | None = None, **what: object) -> dict[str, object]:
        """Mint, and the grant as `grants --json` shows it; with the answer's members."""
        answer = await self.mint.issue(Asked(**what), Caller(os.getpid() if pid is None else pid, os.getuid(), None))  # type: ignore[arg-type]
        return {**grant_json(self.grants.broker.grant(str(answer["id"]))), **answer}


@pytest.fixture
async def daemon(tmp_path: Path) -> "Daemon":
    daemon = Daemon(tmp_path)
    await daemon.accounts.put(AccountToken(account("default"), Secret(TOKEN)))
    yield daemon
    await daemon.grants.revoke([grant.id for grant in daemon.grants.broker.grants()])
    daemon.store.close()
    daemon.journal.close()


async def test_what_was_not_said_is_what_the_config_says(daemon: Daemon) -> None:
    found = await daemon.asked()
    assert (found["scopes"], found["account"], found["bind"], found["pid"]) == (["read"], "default", "none", None)
    assert int(str(found["expires_at"])) - int(str(found["minted_at"])) == 600
    assert found["endpoint"] == "http://127.0.0.1:4880"


async def test_scopes_and_those_of_a_profile_add_up_without_repetition(daemon: Daemon) -> None:
    found = await daemon.asked(scopes=("read:a", "run:spaces/me/demo", "read:a"), profile="space")
    assert found["scopes"] == ["read:a", "run:spaces/me/demo", "write:spaces/me/demo"]


async def test_to_learn_is_all_that_there_is_a_way_to_and_so_it_is_for_what_is_made_from_it(daemon: Daemon) -> None:
    found = await daemon.asked(learn=True, scopes=("read:a",))
    assert found["scopes"] == [action.value for action in Action if action not in {Action.INFER, Action.ENDPOINTS}]
    learning = daemon.grants.broker.grant(str(found["id"]))
    child = await daemon.mint.issue(Asked(scopes=("read",)), Caller(os.getpid(), os.getuid(), learning))
    assert daemon.grants.broker.grant(str(child["id"])).terms.learns
    assert not daemon.grants.broker.grant(str((await daemon.asked())["id"])).terms.learns


@pytest.mark.parametrize("scopes", [("infer",), ("read", "endpoints:me")])
async def test_what_there_is_no_way_to_is_not_granted(daemon: Daemon, scopes: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError, match="no way to that service"):
        await daemon.asked(scopes=scopes)


async def test_no_lifetime_above_the_longest(daemon: Daemon) -> None:
    await daemon.asked(ttl="1h")
    with pytest.raises(RefusedError, match=r"--ttl 61m .* 1h; raise max_ttl"):
        await daemon.asked(ttl="61m")


@pytest.mark.parametrize("uses", [0, -1])
async def test_a_credential_for_no_use_is_a_mistake(daemon: Daemon, uses: int) -> None:
    with pytest.raises(UsageError, match="--max-uses"):
        await daemon.asked(max_uses=uses)
    assert daemon.grants.broker.grants() == ()


async def test_an_account_that_is_not_there_gets_nothing(daemon: Daemon) -> None:
    with pytest.raises(AccountError, match="no account 'x'"):
        await daemon.asked(account="x")
    await daemon.accounts.put(AccountToken(account("work"), Secret(TOKEN)))
    assert (await daemon.asked(account="work"))["account"] == "work"


@pytest.mark.parametrize("bind", ["none", "pid"])
async def test_ambient_needs_a_tree(daemon: Daemon, bind: str) -> None:
    with pytest.raises(UsageError, match="--bind tree"):
        await daemon.asked(bind=bind, ambient=True)


async def test_bound_to_a_tree_it_objects_to_whoever_is_not_in_it(daemon: Daemon) -> None:
    found = await daemon.asked(bind="tree", ambient=True)
    grant = daemon.grants.broker.grant(str(found["id"]))
    assert InTree() in grant.caveats
    assert grant.terms.ambient


@pytest.mark.parametrize("bind", ["pid", "tree"])
async def test_bound_to_the_caller_or_to_its_parent(daemon: Daemon, bind: str) -> None:
    assert (await daemon.asked(bind=bind))["pid"] == os.getpid()
    child = subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    found = await daemon.asked(child.pid, bind=bind, of="parent")
    child.communicate(b"\n")
    assert (found["bind"], found["pid"]) == (bind, os.getpid())


@pytest.mark.parametrize("of", ["caller", "parent"])
async def test_who_has_ended_gets_nothing_rather_than_something_unbound(daemon: Daemon, of: str) -> None:
    child = subprocess.Popen([sys.executable, "-I", "-c", ""])
    child.wait()
    with pytest.raises(RefusedError, match="has ended"):
        await daemon.asked(child.pid, bind="pid", of=of)
    assert daemon.grants.broker.grants() == ()


async def test_of_what_the_caller_found_only_tokens_of_the_vault_are_named(daemon: Daemon) -> None:
    found = await daemon.asked(found=("hf_something", TOKEN, TOKEN[:-1], ""))
    assert found["replace"] == [TOKEN]


async def test_nothing_that_is_asked_makes_a_journal_line_too_long_to_be_read_back(daemon: Daemon) -> None:
    """Such a line would end `audit`, `audit verify` and the next start of the daemon: any program of ours could send it."""
    endless = "\u00e9" * 400_000
    scopes = tuple(f"read:{'n' * 240}/{number}{'x' * 240}" for number in range(200))
    await daemon.asked(program=endless, label=endless, scopes=scopes)
    await daemon.journal.flush()
    (line,) = daemon.journal.files()[0].read_bytes().splitlines()
    assert len(line) < wire.MAX_LINE // 4
    assert (
        len(wire.encode({"grants": [grant_json(grant) for grant in daemon.grants.broker.grants()]}))
        < wire.MAX_LINE // 4
    )


@pytest.mark.parametrize("scopes", [("read:" + "n" * 600,), ("read:a/b@" + "r" * 600,)])
async def test_a_scope_without_end_is_a_mistake(daemon: Daemon, scopes: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="500 characters"):
        await daemon.asked(scopes=scopes)


async def test_too_many_scopes_are_a_mistake(daemon: Daemon) -> None:
    with pytest.raises(UsageError, match="200"):
        await daemon.asked(scopes=tuple(f"read:n/{number}" for number in range(201)))


async def test_the_journal_holds_the_scopes_and_the_program_and_not_the_credential(daemon: Daemon) -> None:
    found = await daemon.asked(scopes=("read:a",), program="python")
    await daemon.journal.flush()
    text = daemon.journal.files()[0].read_text()
    line = json.loads(text)
    assert (line["kind"], line["scopes"], line["program"]) == ("minted", ["read:a"], "python")
    assert line["grant"] == found["id"]
    assert str(found["credential"]) not in text
    assert TOKEN not in text


async def test_many_at_once_are_all_different(daemon: Daemon) -> None:
    minted = await asyncio.gather(*(daemon.asked() for _ in range(50)))
    assert len({str(one["credential"]) for one in minted}) == len({str(one["id"]) for one in minted}) == 50
