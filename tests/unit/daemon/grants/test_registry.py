"""Grants in the daemon: their journal lines, and their ends."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.core.policy.grant import Bind, GrantTerms
from hfproxy.core.policy.caveats import InScopes
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.grants import registry
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.journal.reader import JournalQuery, query
from hfproxy.daemon.proxy.recorder import RequestRecorder
from hfproxy.daemon.grants.store import GrantStore
from hfproxy.daemon.runtime.clock import now
from hfproxy.errors import HFProxyError, JournalError, RefusedError

SCOPES = (parse("read:me/*"),)


def order(**more: object) -> GrantTerms:
    return GrantTerms(**{"account": "default", "scopes": SCOPES, "ttl": 60, "caveats": (InScopes(SCOPES),)} | more)  # type: ignore[arg-type]


@pytest.fixture
async def grants(tmp_path: Path) -> "GrantRegistry":
    journal = JournalWriter(tmp_path / "journal")
    store = GrantStore(tmp_path)
    grants = GrantRegistry(journal, store, 43_200)
    grants.journal = journal  # type: ignore[attr-defined]
    yield grants
    await grants.close()
    store.close()
    journal.close()


async def kinds(grants: GrantRegistry) -> list[object]:
    return [entry.get("kind") async for entry in query(grants.journal, JournalQuery()) if entry]  # type: ignore[attr-defined]


@contextmanager
def full_disk(journal: JournalWriter) -> Iterator[None]:
    """No file grows any further."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.files()[0].stat().st_size + 10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def fail(grants: GrantRegistry) -> None:
    """Let the journal run into a full disk, after which it takes nothing any more."""
    journal: JournalWriter = grants.journal  # type: ignore[attr-defined]
    with full_disk(journal), pytest.raises(JournalError):
        await journal.append_durably({"at": 1, "kind": "x"})


async def until(condition: "object") -> None:
    async with asyncio.timeout(5):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_a_grant_is_in_the_journal_before_its_credential_is_given_away(grants: GrantRegistry) -> None:
    await grants.mint(order())
    assert await kinds(grants) == ["minted"]


async def test_a_grant_bound_to_a_process_ends_with_it_by_whatever_signal(grants: GrantRegistry) -> None:
    process = subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    await grants.mint(order(bind=Bind.PID, pid=process.pid))
    assert grants.broker.grants()
    process.kill()
    process.communicate()
    await until(lambda: not grants.broker.grants())
    async with asyncio.timeout(5):
        while await kinds(grants) != ["minted", "revoked"]:
            await asyncio.sleep(0.01)


async def test_a_process_that_is_gone_gets_no_grant(grants: GrantRegistry) -> None:
    process = subprocess.Popen([sys.executable, "-I", "-c", ""])
    process.wait()
    with pytest.raises(RefusedError, match="has ended"):
        await grants.mint(order(bind=Bind.PID, pid=process.pid))
    assert await kinds(grants) == []


async def test_a_refused_mint_leaves_no_descriptor_open(grants: GrantRegistry) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(RefusedError, match="no living grant"):
        await grants.mint(order(bind=Bind.PID, pid=os.getppid(), parent="0" * 16))
    assert os.listdir("/proc/self/fd") == before


async def test_a_process_is_inside_of_its_own_user_s_grants_only(grants: GrantRegistry) -> None:
    """Everybody's processes descend from some that anybody can name."""
    hers, _ = await grants.mint(order(bind=Bind.PID, pid=os.getppid(), uid=1001))
    assert grants.membership.enclosing_grant(os.getpid(), 1001) is hers
    assert grants.membership.enclosing_grant(os.getpid(), 1002) is None
    his, _ = await grants.mint(order(bind=Bind.PID, pid=os.getppid(), uid=1002))
    assert grants.membership.enclosing_grant(os.getpid(), 1002) is his
    assert (grants.of_user(1001), grants.of_user(None)) == ([hers], [hers, his])
    await grants.revoke([hers.id, his.id])


async def test_revoking_twice_is_no_error_and_is_recorded_once(grants: GrantRegistry) -> None:
    grant, _ = await grants.mint(order(bind=Bind.PID, pid=os.getpid()))
    assert await grants.revoke([grant.id]) == [grant.id]
    assert await grants.revoke([grant.id]) == []
    assert await kinds(grants) == ["minted", "revoked"]


async def test_what_is_over_is_swept_away_and_recorded(grants: GrantRegistry) -> None:
    await grants.mint(order(ttl=1))
    sweep = asyncio.create_task(grants.sweep())
    await until(lambda: not grants.broker.grants())
    async with asyncio.timeout(5):
        while await kinds(grants) != ["minted", "expired"]:
            await asyncio.sleep(0.01)
    sweep.cancel()


async def test_when_the_journal_has_failed_grants_still_end(
    grants: GrantRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    """The daemon lives on, to refuse and to say why; it would be dead by the first grant that is over."""
    bound = subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    await grants.mint(order(ttl=1))
    await grants.mint(order(bind=Bind.PID, pid=bound.pid))
    await fail(grants)
    with pytest.raises(JournalError):
        await grants.mint(order())
    assert len(grants.broker.grants()) == 2
    sweep = asyncio.create_task(grants.sweep())
    bound.communicate(b"\n")
    await until(lambda: not grants.broker.grants())
    said = ""
    async with asyncio.timeout(5):
        while said.count("not_recorded") < 2:
            await asyncio.sleep(0.01)
            said += capsys.readouterr().out
    assert not sweep.done()
    sweep.cancel()


async def test_when_the_journal_has_failed_counts_of_strangers_go_to_the_log(
    grants: GrantRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = RequestRecorder(grants.journal)  # type: ignore[attr-defined]
    await fail(grants)
    recorder.count_unidentified(Deny(Refusal.PEER, "no"))
    recorder.flush_counts()
    assert "not_recorded" in capsys.readouterr().out


async def restored(grants: GrantRegistry, tmp_path: Path) -> GrantRegistry:
    """As the next daemon finds them."""
    store = GrantStore(tmp_path)
    again = GrantRegistry(grants.journal, store, 43_200)  # type: ignore[attr-defined]
    await again.restore(store.load())
    store.close()
    return again


@pytest.mark.parametrize("ask", ["verify", "find", "renew", "subtree", "mint", "of_user", "revoke", "expire"])
async def test_a_grant_of_an_earlier_daemon_answers_every_question_first(
    grants: GrantRegistry, tmp_path: Path, ask: str
) -> None:
    """Whichever it is, the grant is loaded for it: none passes an unloaded grant off as one that does not exist."""
    parent, _ = await grants.mint(order(ttl=2 if ask == "expire" else 60))
    child, bearer = await grants.mint(order(parent=parent.id))
    store = GrantStore(tmp_path)
    again = GrantRegistry(grants.journal, store, 43_200)  # type: ignore[attr-defined]
    await again.restore(store.load())
    assert again.loaded_of_user(None) == []
    match ask:
        case "verify":
            assert await again.verify(bearer, now()) == child
        case "find":
            assert again.find(child.id) == again.grant(child.id) == child
        case "renew":
            assert (await again.renew(parent.id, 600)).expires_at > parent.expires_at
        case "subtree":
            assert again.subtree(parent.id) == (parent, child)
        case "mint":
            grandchild, _ = await again.mint(order(parent=child.id))
            assert again.broker.lineage(grandchild)[1:] == (child, parent)
        case "of_user":
            assert {grant.id for grant in again.of_user(None)} == {parent.id, child.id}
        case "revoke":
            assert await again.revoke([parent.id]) == [child.id, parent.id]
        case "expire":
            while now() < parent.expires_at:
                await asyncio.sleep(0.1)
            assert again.broker.count() == 2
            await again.expire_due()
            assert again.broker.count() == 0
            dead = await again.verify(bearer, now())
            assert isinstance(dead, Deny)
            assert dead.refusal is Refusal.EXPIRED
    store.close()


async def test_what_is_revoked_while_it_is_being_renewed_stays_revoked(grants: GrantRegistry, tmp_path: Path) -> None:
    grant, bearer = await grants.mint(order())
    renewing = asyncio.create_task(grants.renew(grant.id, 3600))
    await asyncio.sleep(0)  # it waits for the journal now
    await grants.revoke([grant.id])
    with pytest.raises(RefusedError):
        await renewing
    again = await restored(grants, tmp_path)
    assert again.broker.count() == 0
    dead = await again.verify(bearer, now())
    assert isinstance(dead, Deny)
    assert dead.refusal is Refusal.REVOKED


async def test_a_grant_that_ends_while_another_is_renewed_is_no_reason_to_stop(grants: GrantRegistry) -> None:
    """It stopped the sweep, and with it the daemon."""
    children = [subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE) for _ in range(3)]
    minted = [(await grants.mint(order(bind=Bind.PID, pid=child.pid, ttl=60, renews=True)))[0] for child in children]
    before = minted[0].expires_at
    for grant in minted:
        grant.expires_at -= 40
    renewing = asyncio.create_task(grants._renew_bound())
    await asyncio.sleep(0)  # it waits for the journal now
    await grants.revoke([minted[1].id])
    await renewing
    assert [grant.expires_at >= before for grant in minted] == [True, False, True]
    for child in children:
        child.communicate(b"\n")


async def test_without_descriptors_the_sweep_goes_on_and_forgets_nobody(grants: GrantRegistry) -> None:
    child = subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    grant, _ = await grants.mint(order(bind=Bind.TREE, pid=child.pid))
    short, _ = await grants.mint(order(ttl=2))
    tree = grants._leases.tree(grant.id)
    assert tree is not None
    tree.refresh()
    assert len(tree.seen) == 1
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    sweep = asyncio.create_task(grants.sweep())
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        await until(lambda: short not in grants.broker.grants() or sweep.done())
        await asyncio.sleep(1.1)  # one more round
        assert not sweep.done()
        assert len(tree.seen) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        sweep.cancel()
        child.communicate(b"\n")


async def test_what_cannot_be_renewed_any_further_is_not_written_down_again_and_again(grants: GrantRegistry) -> None:
    """One below a grant with a set end, which is near."""
    child = subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    outer, _ = await grants.mint(order(ttl=60))
    await grants.mint(order(bind=Bind.PID, pid=child.pid, ttl=3600, renews=True, parent=outer.id))
    for _ in range(3):
        await grants._renew_bound()
    assert await kinds(grants) == ["minted", "minted"]
    child.communicate(b"\n")


async def test_a_revocation_that_the_disk_had_no_room_for_is_made_up_for_when_it_has(
    grants: GrantRegistry, tmp_path: Path
) -> None:
    grant, _ = await grants.mint(order())
    with full_disk(grants.journal), pytest.raises(HFProxyError):  # type: ignore[attr-defined]
        await grants.revoke([grant.id])
    assert grants.broker.grants() == ()
    await grants.close()
    assert (await restored(grants, tmp_path)).broker.count() == 0


async def test_when_it_stops_it_writes_down_what_time_it_is(grants: GrantRegistry, tmp_path: Path) -> None:
    """What the next daemon compares its clock with, though nothing was used for long."""
    store = GrantStore(tmp_path)
    await store.save([], 5)
    await grants.close()
    kept = store.load()
    store.close()
    assert kept.at > 5


ORPHAN = """
import os, sys
if os.fork() == 0:
    leaf = os.fork()
    if leaf:
        print(leaf, flush=True)
        sys.stdin.readline()  # the process in the middle exits
        os._exit(0)
    os.read(int(sys.argv[1]), 1)
    os._exit(0)
os.wait()
print(flush=True)
os.read(int(sys.argv[1]), 1)
"""


async def test_a_sweep_sees_a_process_before_its_parent_exits(
    grants: GrantRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SWEEP_SECONDS", 0.05)
    stays, stop = os.pipe()
    root = subprocess.Popen(
        [sys.executable, "-I", "-c", ORPHAN, str(stays)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[stays],
    )
    assert root.stdin is not None
    assert root.stdout is not None
    grant, _ = await grants.mint(order(bind=Bind.TREE, pid=root.pid, uid=os.getuid()))
    leaf = int(root.stdout.readline())
    sweep = asyncio.create_task(grants.sweep())
    await until(lambda: len(grants._leases.tree(grant.id).seen) == 3)  # type: ignore[union-attr]
    root.stdin.write(b"\n")
    root.stdin.flush()
    root.stdout.readline()  # the leaf's parent has exited
    assert grants.membership.enclosing_grant(leaf, os.getuid()) is grant
    sweep.cancel()
    os.close(stop)
    root.communicate()
    os.close(stays)


async def test_the_time_is_written_once_a_minute_while_a_grant_lives(
    grants: GrantRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, moment = registry.now(), 0
    monkeypatch.setattr(registry, "now", lambda: start + moment)

    async def written() -> int:
        await grants._save_dirty()
        other = GrantStore(tmp_path)
        try:
            return other.load().at - start
        finally:
            other.close()

    await grants.mint(order(ttl=3600))
    assert await written() == 0
    for moment, at in ((30, 0), (59, 0), (60, 60), (119, 60), (120, 120)):
        assert await written() == at
    await grants.revoke([grant.id for grant in grants.broker.grants()])
    moment = 500
    assert await written() == 120
