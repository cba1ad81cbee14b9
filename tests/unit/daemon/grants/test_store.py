"""The store: what it has returned from is on disk, and what it cannot read it refuses."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hfproxy.core.policy.decision import Refusal
from hfproxy.core.policy.grant import NO_UID, Grant, GrantTerms
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.grants.store import STORE_DIRECTORY, DATABASE_FILE, VERSION, GrantStore
from hfproxy.errors import StartError, StoreError

SCOPES = (parse("read:me/*"),)


def minted(count: int = 1) -> list[Grant]:
    broker = Broker()
    return [broker.mint(GrantTerms("me", SCOPES, 60), number.to_bytes(24), 100)[0] for number in range(count)]


async def filled(folder: Path, count: int = 3) -> list[Grant]:
    store, grants = GrantStore(folder), minted(count)
    await store.save(grants, 100)
    store.close()
    return grants


async def test_what_was_kept_is_there_again_in_its_order(tmp_path: Path) -> None:
    grants = await filled(tmp_path)
    store = GrantStore(tmp_path)
    grants[0].uses = 7
    await store.save([grants[0]], 101)
    await store.save_ended([(grants[1], Refusal.REVOKED)], 102)
    store.close()
    again = GrantStore(tmp_path)
    kept = again.load()
    assert kept.summaries == (grants[0].summary, grants[2].summary)
    assert [again.grant(brief.id) for brief in kept.summaries] == [grants[0], grants[2]]
    again.close()
    assert kept.ended == ((grants[1].digest, Refusal.REVOKED),)
    assert kept.at == 102


async def test_a_grant_in_the_row_of_one_that_ended_is_not_taken_for_that(tmp_path: Path) -> None:
    *first, last, new = minted(4)
    store = GrantStore(tmp_path)
    await store.save([*first, last], 100)
    await store.save_ended([(last, Refusal.REVOKED)], 101)
    await store.save([new], 102)
    kept = store.load()
    store.close()
    assert kept.summaries == tuple(grant.summary for grant in (*first, new))


async def test_ended_credentials_are_remembered_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfproxy.daemon.grants.store.MAX_ENDED", 2)
    grants = minted(5)
    store = GrantStore(tmp_path)
    for grant in grants:
        await store.save_ended([(grant, Refusal.EXPIRED)], 100)
    kept = store.load()
    store.close()
    assert [digest for digest, _ in kept.ended] == [grant.digest for grant in grants[3:]]


def test_it_is_for_nobody_else(tmp_path: Path) -> None:
    GrantStore(tmp_path).close()
    assert (tmp_path / STORE_DIRECTORY).stat().st_mode & 0o077 == 0


def damage(file: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(file.read_bytes())
    change(data)
    file.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.__setitem__(slice(0, 16), b"x" * 16),
        lambda data: data.__setitem__(slice(4096, None), b""),
        lambda data: data.__setitem__(slice(4096, 8192), b"\xff" * 4096),
        lambda data: data.__setitem__(slice(0, None), b"not a database" * 100),
    ],
    ids=["header", "cut", "page", "other"],
)
async def test_a_damaged_file_is_refused_and_the_message_names_the_way_out(
    tmp_path: Path, change: Callable[[bytearray], None]
) -> None:
    await filled(tmp_path, 50)
    damage(tmp_path / STORE_DIRECTORY / DATABASE_FILE, change)
    with pytest.raises(StartError, match=r"cannot be used .*; to start without them: mv .*grants .*grants\.bad"):
        store = GrantStore(tmp_path)
        try:
            store.load()
        finally:
            store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE grants SET spelled = '{}'",
        "UPDATE grants SET spelled = replace(spelled, '\"strict\": false', '\"strict\": true') WHERE rowid = 99;"
        "UPDATE grants SET spelled = replace(spelled, '\"expires_at\": 160', '\"expires_at\": 999')",
        "UPDATE grants SET spelled = replace(spelled, '160', '99999999999')  WHERE 1; UPDATE grants SET spelled = 'x'",
        "INSERT INTO ended VALUES (x'00', 'a-word-of-the-future')",
        f"PRAGMA user_version = {VERSION + 1}",
    ],
)
async def test_what_this_version_did_not_write_is_refused(tmp_path: Path, statement: str) -> None:
    await filled(tmp_path)
    file = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE)
    file.executescript(statement)
    file.close()
    with pytest.raises(StartError):
        store = GrantStore(tmp_path)
        try:
            store.load()
        finally:
            store.close()


async def test_grants_of_a_version_that_knew_one_user_are_the_daemon_s_own_user_s(tmp_path: Path) -> None:
    await filled(tmp_path)
    file = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE)
    file.executescript("UPDATE grants SET spelled = json_remove(spelled, '$.order.uid'); PRAGMA user_version = 2")
    file.close()
    for _ in range(2):
        store = GrantStore(tmp_path)
        kept = store.load()
        grants = [store.grant(brief.id) for brief in kept.summaries]
        store.close()
        assert [brief.uid for brief in kept.summaries] == [os.getuid()] * 3
        assert [grant and grant.terms.uid for grant in grants] == [os.getuid()] * 3
        assert [grant and grant.digest for grant in grants] == [grant.digest for grant in minted(3)]


async def test_a_file_of_a_version_that_read_all_grants_at_the_start_says_the_same(tmp_path: Path) -> None:
    grants = await filled(tmp_path)
    file = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE)
    file.executescript("DROP TABLE briefs; PRAGMA user_version = 3")
    file.close()
    store = GrantStore(tmp_path)
    kept = store.load()
    assert [store.grant(brief.id) for brief in kept.summaries] == [
        replace(grant, terms=replace(grant.terms, uid=NO_UID)) for grant in grants
    ]
    store.close()


async def test_a_file_whose_briefs_were_found_by_their_ids_says_the_same(tmp_path: Path) -> None:
    grants = await filled(tmp_path)
    file = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE)
    file.executescript(
        "CREATE TABLE before (id TEXT PRIMARY KEY, expires_at INTEGER, parent TEXT, uid INTEGER, pid INTEGER);"
        "INSERT INTO before SELECT id, expires_at, parent, uid, pid FROM briefs;"
        "DROP TABLE briefs; ALTER TABLE before RENAME TO briefs; PRAGMA user_version = 4"
    )
    file.close()
    store = GrantStore(tmp_path)
    assert store.load().summaries == tuple(grant.summary for grant in grants)
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE briefs SET expires_at = 999",
        "UPDATE briefs SET parent = 'another'",
        "UPDATE briefs SET uid = 0",
        "UPDATE briefs SET pid = 1",
        "DELETE FROM briefs WHERE rowid = 2",
        "DELETE FROM grants WHERE rowid = 2",
        "UPDATE grants SET id = 'another' WHERE rowid = 2",
    ],
)
async def test_what_is_known_of_a_grant_before_it_is_read_has_to_be_what_is_written_in_it(
    tmp_path: Path, statement: str
) -> None:
    await filled(tmp_path)
    file = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE)
    file.executescript(statement)
    file.close()
    store = GrantStore(tmp_path)
    with pytest.raises(StartError, match="contradicts itself"):
        store.load()
    store.close()


async def test_a_grant_that_is_not_understood_when_it_is_read_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grants = await filled(tmp_path)
    file = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE)
    file.executescript("UPDATE grants SET spelled = replace(spelled, 'read:me', 'own:me') WHERE rowid = 2")
    file.close()
    store = GrantStore(tmp_path)
    kept = store.load()
    assert [store.grant(brief.id) for brief in kept.summaries] == [grants[0], None, grants[2]]
    assert grants[1].id in capsys.readouterr().out
    store.close()


async def test_a_grant_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Unlike one that is not understood: it may be there the next time."""
    grants = await filled(tmp_path)
    store = GrantStore(tmp_path)
    other = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE, isolation_level=None)
    other.execute("ALTER TABLE grants RENAME TO elsewhere")
    with pytest.raises(StoreError, match="cannot be read"):
        store.grant(grants[0].id)
    other.execute("ALTER TABLE elsewhere RENAME TO grants")
    other.close()
    assert store.grant(grants[0].id) == grants[0]
    store.close()


async def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    store = GrantStore(tmp_path)
    other = sqlite3.connect(tmp_path / STORE_DIRECTORY / DATABASE_FILE, isolation_level=None)
    other.execute("DROP TABLE grants")
    other.close()
    with pytest.raises(StoreError, match="cannot be written"):
        await store.save(minted(), 100)
    store.close()


KILLED = """
import asyncio, os, sys
sys.path[:0] = sys.argv[2:]
from unit.daemon.grants.test_store import minted
from pathlib import Path
from hfproxy.core.policy.decision import Refusal
from hfproxy.daemon.grants.store import GrantStore

async def main():
    store, grants = GrantStore(Path(sys.argv[1])), minted(2)
    await store.save(grants, 100)
    await store.save_ended([(grants[0], Refusal.REVOKED)], 100)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_what_it_has_returned_from_survives_being_killed(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(root), str(root / "tests")])
    assert done.returncode == -9
    store = GrantStore(tmp_path)
    kept = store.load()
    store.close()
    assert [brief.id for brief in kept.summaries] == [minted(2)[1].id]
    assert kept.ended == ((minted(2)[0].digest, Refusal.REVOKED),)
