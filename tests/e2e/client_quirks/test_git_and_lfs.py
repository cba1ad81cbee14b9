"""Traps 5 and 6: what git-lfs and its kin are told to do next, and what they do when they may not."""

import base64
import json
from pathlib import Path

import pytest
from e2e.clients.matrix.rows import NODE
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import Client
from wire_client import ask, bearer

pytestmark = [pytest.mark.needs("curl", "git-lfs", "node"), pytest.mark.shared_daemon]

WRITE = ("--scope", "write:me/*", "--scope", "create:me", "--scope", "create:spaces/me")
OBJECT = {"oid": "1" * 64, "size": 60_000}
PUSH = """
set -e
export GIT_AUTHOR_NAME=me GIT_AUTHOR_EMAIL=me@example.com GIT_COMMITTER_NAME=me GIT_COMMITTER_EMAIL=me@example.com
git lfs install --skip-repo
GIT_LFS_SKIP_SMUDGE=1 git clone https://huggingface.co/me/secret-model "$1" && cd "$1"
seq 20000 >large.bin
git add . && git commit --message large
git push origin HEAD:main
"""


LFS_JSON = {"Content-Type": "application/vnd.git-lfs+json"}


def batch_of(origin: str, transfer: str) -> bytes:
    """A batch of a Hub that knows itself by this name, and gives out a token for the next step."""
    theirs = base64.b64encode(b"me:hf_jwt_made_for_this_upload").decode()
    upload = {"href": f"{origin}/api/complete_multipart?uploadId=1", "header": {"chunk_size": "20000"}}
    verify = {
        "href": f"{origin}/me/secret-model.git/info/lfs/objects/verify",
        "header": {"Authorization": f"Basic {theirs}"},
    }
    item = {**OBJECT, "authenticated": True, "actions": {"upload": upload, "verify": verify}}
    return json.dumps({"transfer": transfer, "objects": [item]}).encode()


@pytest.mark.parametrize("transfer", ["basic", "xet", "multipart"])
@pytest.mark.parametrize("origin", ["https://huggingface.co", "the Hub's own"])
def test_trap_05_an_lfs_batch_sends_the_credential_to_huggingface_co(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, transfer: str, origin: str
) -> None:
    """Each address of the Hub in it is the proxy's, and each Authorization is the client's own."""
    hub.world.settings.multipart_bytes = 20_000
    asked = {"operation": "upload", "transfers": [transfer], "objects": [OBJECT]}
    if origin.startswith("https:"):
        hub.inject("POST", "/me/secret-model.git", 200, headers=LFS_JSON, body=batch_of(origin, transfer))
    script = (
        "curl -sS --fail-with-body -H 'Content-Type: application/vnd.git-lfs+json'"
        f' -u "me:$HF_TOKEN" -d \'{json.dumps(asked)}\' "$HF_ENDPOINT/me/secret-model.git/info/lfs/objects/batch"'
        '; echo; echo "$HF_ENDPOINT $HF_TOKEN"'
    )
    answer, ours = shell.proxied(daemon, script, options=WRITE).splitlines()
    endpoint, credential = ours.split()
    (answered,) = json.loads(answer)["objects"]
    assert hub.url not in answer
    assert "https://huggingface.co" not in answer
    assert answered["actions"]["verify"]["href"].startswith(f"{endpoint}/me/secret-model.git/")
    if origin.startswith("https:"):
        assert answered["actions"]["upload"]["href"] == f"{endpoint}/api/complete_multipart?uploadId=1"
    own = base64.b64encode(f"hf_user:{credential}".encode()).decode()
    headers = [
        action["header"] for action in answered["actions"].values() if "Authorization" in action.get("header", {})
    ]
    assert [header["Authorization"] for header in headers] == [f"Basic {own}"]


def test_trap_05_a_client_that_rewrites_nothing_asks_the_proxy_alone(
    hub: FakeHub, daemon: DaemonFixture, tmp_path: Path
) -> None:
    """@huggingface/hub, by xet and by plain LFS."""
    Client("node", hub, tmp_path / "clients").proxied(daemon, NODE, "work", options=(*WRITE, "--scope", "read"))
    assert not hub.saw(b"hf_px_")


def test_trap_06_a_push_whose_credential_dies_before_the_batch_ends(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, tmp_path: Path
) -> None:
    """git has its answer, then the credential is revoked, then git-lfs asks: it is told no, and does not ask for ever."""
    answer = hub.world.lookup

    def last_answer(kind: str, repo_id: str) -> object:
        if hub.recorder.requests[-1].target.endswith("service=git-receive-pack"):
            daemon.must("revoke", "--all")
        return answer(kind, repo_id)

    hub.world.lookup = last_answer  # type: ignore[method-assign,assignment]
    ends_refused(hub, daemon, shell, tmp_path)


def test_trap_06_a_push_whose_credential_dies_during_the_transfer_ends(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, tmp_path: Path
) -> None:
    """The file is in storage, and nobody may say so any more."""
    store = hub.world.store_large

    def store_and_revoke(data: bytes, sha256: str) -> None:
        store(data, sha256)
        daemon.must("revoke", "--all")

    hub.world.store_large = store_and_revoke  # type: ignore[method-assign]
    ends_refused(hub, daemon, shell, tmp_path)


@pytest.mark.parametrize("address", ["batch", "verify", "an-upload-to-the-hub-itself"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_trap_06_a_dead_credential_is_not_answered_401(daemon: DaemonFixture, address: str, method: str) -> None:
    """It is what git-lfs 3.3 asks again after, without limit where it uploads."""
    minted = daemon.mint(*WRITE)
    daemon.must("revoke", minted["id"])
    headers = bearer(minted["credential"]) | LFS_JSON
    target = f"/me/secret-model.git/info/lfs/objects/{address}"
    assert ask(minted["endpoint"], method, target, headers, json.dumps(OBJECT).encode()).status == 403


def ends_refused(hub: FakeHub, daemon: DaemonFixture, shell: Client, tmp_path: Path) -> None:
    """Push, in vain and without asking for ever."""
    before = hub.repo("me/secret-model").branches["main"]
    done = shell.attempt(daemon, PUSH, "push", str(tmp_path / "clone"), options=WRITE)
    assert done.returncode != 0
    assert hub.repo("me/secret-model").branches["main"] == before
    assert "revoked" in done.stderr
    assert len(daemon.audit("--denied")) < 20
