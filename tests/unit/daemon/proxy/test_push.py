"""The body of a push: read to its ref updates, forwarded byte for byte, and spooled only to be proven."""

import hashlib
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import vectors

from hfproxy.core.policy.access import Access, Action, Need, RepoType, Target
from hfproxy.core.policy.decision import Deny, Refusal
from hfproxy.daemon.proxy import push
from hfproxy.daemon.proxy.push import PushBody

REPO = Target(RepoType.MODELS, "me", "a")
COMMIT = 1


def commit(*parents: str) -> bytes:
    lines = ["tree " + "0" * 40, *(f"parent {parent}" for parent in parents), "author a <a> 1 +0000"]
    return "\n".join([*lines, "committer a <a> 1 +0000", "", "x"]).encode()


def object_id(content: bytes) -> str:
    return hashlib.sha1(b"commit %d\0%b" % (len(content), content)).hexdigest()


def pack(*contents: bytes) -> bytes:
    """A pack of commits (gitformat-pack(5))."""
    entries = []
    for content in contents:
        size, head = len(content) >> 4, [COMMIT << 4 | len(content) & 15]
        while size:
            head[-1] |= 0x80
            head.append(size & 0x7F)
            size >>= 7
        entries.append(bytes(head) + zlib.compress(content))
    data = b"PACK" + (2).to_bytes(4) + len(contents).to_bytes(4) + b"".join(entries)
    return data + hashlib.sha1(data).digest()


OLD = commit()
NEW = commit(object_id(OLD))
UPDATE = f"{object_id(OLD)} {object_id(NEW)} refs/heads/main"
BODY = vectors.command_list([UPDATE]) + pack(NEW)


class Parts(AsyncIterator[bytes]):
    """A body as it arrives. No generator: one that is not read to its end warns when it is collected."""

    def __init__(self, body: bytes, size: int = 7) -> None:
        self._rest = iter([body[start : start + size] for start in range(0, len(body), size)])

    async def __anext__(self) -> bytes:
        for part in self._rest:
            return part
        raise StopAsyncIteration


async def read(body: bytes, size: int = 7) -> PushBody:
    found = await push.read(Parts(body, size), REPO)
    assert isinstance(found, PushBody)
    return found


async def sent(body: PushBody) -> bytes:
    return b"".join([part async for part in body.body()])


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_a_push_that_needs_no_proof_passes_byte_for_byte(size: int) -> None:
    found = await read(BODY, size)
    assert found.deny is None
    assert await sent(found) == BODY
    found.close()


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_a_spooled_push_passes_byte_for_byte_and_leaves_no_file(tmp_path: Path, size: int) -> None:
    found = await read(BODY, size)
    (update,) = found.unproven
    assert await found.prove_fast_forward(tmp_path) == {update}
    assert os.listdir(tmp_path) == []
    assert await sent(found) == BODY
    before = len(os.listdir("/proc/self/fd"))
    found.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


async def test_a_pack_that_does_not_lead_back_proves_nothing(tmp_path: Path) -> None:
    for body in (pack(commit()), pack(), b"garbage"):
        found = await read(vectors.command_list([UPDATE]) + body)
        assert await found.prove_fast_forward(tmp_path) == frozenset()
        found.close()


async def test_a_proof_takes_the_need_to_delete_and_nothing_else(tmp_path: Path) -> None:
    found = await read(BODY)
    billing = Need(Action.BILLING, Target(None, "acme"))
    access = Access((*found.needs(), billing), bill_to="acme")
    assert Action.DELETE in {need.action for need in access.needs}
    proven = await found.prove_fast_forward(tmp_path)
    assert isinstance(proven, frozenset)
    left = found.access(access, proven)
    assert {need.action for need in left.needs} == {Action.WRITE, Action.BILLING}
    assert left.needs == (*found.needs(proven), billing)
    assert left.bill_to == "acme"
    assert found.access(access, frozenset()).needs == access.needs
    found.close()


async def test_a_pack_beyond_the_limit_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, fits in ((len(BODY), True), (len(BODY) - 1, False)):
        monkeypatch.setattr(push, "MAX_PACK_BYTES", limit)
        found = await read(BODY)
        verdict = await found.prove_fast_forward(tmp_path)
        assert isinstance(verdict, Deny) is not fits
        if isinstance(verdict, Deny):
            assert verdict.refusal is Refusal.LIMIT
            assert str(limit) in verdict.why
            assert verdict.why.endswith("--scope delete:REPO")
        found.close()


async def test_a_refusal_is_a_report_for_git_and_the_rest_is_read() -> None:
    rest = Parts(BODY)
    found = await push.read(rest, REPO)
    assert isinstance(found, PushBody)
    response = await found.refusal_response(Deny(Refusal.SCOPE, "why not"))
    assert response is not None
    assert response.status == 200
    assert response.content_type == "application/x-git-receive-pack-result"
    assert response.headers["X-HF-Proxy-Refusal"] == "scope"
    assert response.headers["Cache-Control"] == "no-cache"
    assert isinstance(response.body, bytes)
    assert b"hf-proxy: why not" in response.body
    assert b"ng refs/heads/main" in response.body
    assert [part async for part in rest] == []


async def test_a_client_that_takes_no_report_gets_none() -> None:
    line = UPDATE.encode() + b"\0 agent=x"
    found = await read(vectors.packet(line) + b"0000" + pack(NEW))
    assert await found.refusal_response(Deny(Refusal.SCOPE, "why not")) is None


async def test_a_list_without_an_end_or_a_form_is_a_bad_body() -> None:
    for body in (vectors.command_list([UPDATE])[:-4], b"", b"zzzz"):
        found = await push.read(Parts(body), REPO)
        assert isinstance(found, Deny)
        assert found.refusal is Refusal.BAD_BODY
