"""Grants in the daemon: their journal lines, and their ends."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfproxy.core.broker import Bind, Order
from hfproxy.core.caveats import InScopes
from hfproxy.core.scope import parse
from hfproxy.daemon.grants import Grants
from hfproxy.daemon.journal import Journal
from hfproxy.daemon.reading import entries
from hfproxy.daemon.messages import Audit
from hfproxy.errors import RefusedError

SCOPES = (parse("read:me/*"),)


def order(**more: object) -> Order:
    return Order(**{"account": "default", "scopes": SCOPES, "ttl": 60, "caveats": (InScopes(SCOPES),)} | more)  # type: ignore[arg-type]


@pytest.fixture
async def grants(tmp_path: Path) -> "Grants":
    journal = Journal(tmp_path / "journal")
    grants = Grants(journal)
    grants.journal = journal  # type: ignore[attr-defined]
    yield grants
    journal.close()


async def kinds(grants: Grants) -> list[object]:
    return [entry.get("kind") async for entry in entries(grants.journal, Audit()) if entry]  # type: ignore[attr-defined]


async def until(condition: "object") -> None:
    async with asyncio.timeout(5):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_a_grant_is_in_the_journal_before_its_credential_is_given_away(grants: Grants) -> None:
    await grants.mint(order())
    assert await kinds(grants) == ["minted"]


async def test_a_grant_bound_to_a_process_ends_with_it_by_whatever_signal(grants: Grants) -> None:
    process = subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    await grants.mint(order(bind=Bind.PID, pid=process.pid))
    assert grants.broker.grants()
    process.kill()
    process.communicate()
    await until(lambda: not grants.broker.grants())
    assert await kinds(grants) == ["minted", "revoked"]


async def test_a_process_that_is_gone_gets_no_grant(grants: Grants) -> None:
    process = subprocess.Popen([sys.executable, "-I", "-c", ""])
    process.wait()
    with pytest.raises(RefusedError, match="has ended"):
        await grants.mint(order(bind=Bind.PID, pid=process.pid))
    assert await kinds(grants) == []


async def test_revoking_twice_is_no_error_and_is_recorded_once(grants: Grants) -> None:
    grant, _ = await grants.mint(order(bind=Bind.PID, pid=os.getpid()))
    assert await grants.revoke([grant.id]) == [grant.id]
    assert await grants.revoke([grant.id]) == []
    assert await kinds(grants) == ["minted", "revoked"]


async def test_what_is_over_is_swept_away_and_recorded(grants: Grants) -> None:
    await grants.mint(order(ttl=1))
    sweep = asyncio.create_task(grants.sweep())
    await until(lambda: not grants.broker.grants())
    sweep.cancel()
    assert await kinds(grants) == ["minted", "expired"]
