"""The caller of the control socket: what it reaches from outside and from inside of a grant."""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hfproxy.core.policy.caveats import InScopes
from hfproxy.core.policy.grant import Bind, Grant, GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.control import requests
from hfproxy.daemon.control.caller import ALLOWED_INSIDE_GRANT, Caller, identify
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.grants.store import GrantStore
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.errors import RefusedError

SERVED_INSIDE = [
    requests.MintRequest(),
    requests.GrantsRequest(),
    requests.RenewRequest("g", "1h"),
    requests.RevokeRequest(),
    requests.AuditRequest(),
    requests.AnchorRequest(),
]
SCOPES = (parse("read:me/*"),)
ME, OTHER = os.getuid(), 4242
# Connects, says so, and stays until its input ends.
CONNECTS = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def grants(tmp_path: Path) -> AsyncIterator[GrantRegistry]:
    journal, store = JournalWriter(tmp_path / "journal"), GrantStore(tmp_path)
    grants = GrantRegistry(journal, store, 43_200)
    yield grants
    await grants.close()
    store.close()
    journal.close()


async def mint(grants: GrantRegistry, **terms: object) -> Grant:
    known = {"account": "default", "scopes": SCOPES, "ttl": 60, "caveats": (InScopes(SCOPES),), "uid": ME}
    grant, _ = await grants.mint(GrantTerms(**known | terms))  # type: ignore[arg-type]
    return grant


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """A process, and the daemon's end of its connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    command = [sys.executable, "-I", "-c", CONNECTS, tmp_path / "s"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    connection, _ = listener.accept()
    yield process, connection
    process.communicate()
    connection.close()
    listener.close()


class TestReach:
    @pytest.fixture
    async def family(self, grants: GrantRegistry) -> dict[str, Grant]:
        parent = await mint(grants)
        child = await mint(grants, parent=parent.id)
        return {
            "parent": parent,
            "child": child,
            "grandchild": await mint(grants, parent=child.id),
            "sibling": await mint(grants, parent=parent.id),
            "stranger": await mint(grants, uid=OTHER),
        }

    @pytest.mark.parametrize(
        ("enclosing", "uid", "reached"),
        [
            (None, ME + 1, []),
            (None, OTHER, ["stranger"]),
            ("parent", ME, ["parent", "child", "grandchild", "sibling"]),
            ("child", ME, ["child", "grandchild"]),
            ("grandchild", ME, ["grandchild"]),
        ],
    )
    async def test_is_its_user_s_grants_or_the_subtree_of_the_enclosing_one(
        self, grants: GrantRegistry, family: dict[str, Grant], enclosing: str | None, uid: int, reached: list[str]
    ) -> None:
        caller = Caller(1, uid, None if enclosing is None else family[enclosing])
        assert {grant.id for grant in caller.visible_grants(grants)} == {family[name].id for name in reached}
        for name, grant in family.items():
            assert caller.can_see(grants, grant.id) is (name in reached)
        assert caller.subtree_root == (None if enclosing is None else family[enclosing].id)

    async def test_is_nothing_of_a_grant_that_has_ended(self, grants: GrantRegistry, family: dict[str, Grant]) -> None:
        ended = family["child"].id
        await grants.revoke([ended])
        for caller in (Caller(1, OTHER, None), Caller(1, ME, family["parent"])):
            with pytest.raises(RefusedError) as unknown:
                caller.check_visible(grants, "0" * 16)
            with pytest.raises(RefusedError) as over:
                caller.check_visible(grants, ended)
            assert str(over.value).replace(ended, "0" * 16) == str(unknown.value)
        Caller(1, OTHER, None).check_visible(grants, family["stranger"].id)


class TestIdentify:
    async def test_a_process_outside_of_all_grants(
        self, grants: GrantRegistry, peer: tuple[subprocess.Popen[bytes], socket.socket]
    ) -> None:
        process, connection = peer
        await mint(grants, bind=Bind.TREE, pid=process.pid, uid=OTHER)
        assert identify(requests.LockRequest(), connection, grants) == Caller(process.pid, ME, None)

    @pytest.mark.parametrize("message", SERVED_INSIDE, ids=lambda message: type(message).__name__)
    async def test_inside_of_a_grant_one_may_ask_for_less(
        self,
        grants: GrantRegistry,
        peer: tuple[subprocess.Popen[bytes], socket.socket],
        message: requests.ControlRequest,
    ) -> None:
        process, connection = peer
        grant = await mint(grants, bind=Bind.TREE, pid=process.pid)
        assert identify(message, connection, grants).enclosing_grant is grant

    def test_these_are_all_requests_that_are_served_inside(self) -> None:
        assert {type(message) for message in SERVED_INSIDE} == set(ALLOWED_INSIDE_GRANT)

    @pytest.mark.parametrize("program", ["train.py", None])
    async def test_inside_of_a_grant_nothing_else_is_served(
        self, grants: GrantRegistry, peer: tuple[subprocess.Popen[bytes], socket.socket], program: str | None
    ) -> None:
        process, connection = peer
        grant = await mint(grants, bind=Bind.TREE, pid=process.pid, program=program)
        text = f"inside of grant {grant.id}, .* outside of {program or 'that command'}: hf-proxy lock$"
        with pytest.raises(RefusedError, match=text):
            identify(requests.LockRequest(), connection, grants)

    async def test_a_process_that_has_ended_is_refused(
        self, grants: GrantRegistry, peer: tuple[subprocess.Popen[bytes], socket.socket]
    ) -> None:
        process, connection = peer
        process.communicate()
        with pytest.raises(RefusedError, match="has ended"):
            identify(requests.GrantsRequest(), connection, grants)

    async def test_no_descriptor_is_left_open(
        self, grants: GrantRegistry, peer: tuple[subprocess.Popen[bytes], socket.socket]
    ) -> None:
        _, connection = peer
        before = len(os.listdir("/proc/self/fd"))
        identify(requests.GrantsRequest(), connection, grants)
        assert len(os.listdir("/proc/self/fd")) == before
