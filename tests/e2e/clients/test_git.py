"""The real git and git-lfs under `exec`: what a push may do, and how a no reads at the terminal."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY, Client

pytestmark = [pytest.mark.needs("git-lfs"), pytest.mark.shared_daemon]

ME = {
    name: "me@example.com" if "EMAIL" in name else "me"
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
}
CLONE = "git clone -q https://huggingface.co/me/secret-model model && cd model"
ALL_REFS = ("--scope", "write:me/secret-model")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A clone of me/secret-model, with a commit of its own on top."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def run(hub: FakeHub, daemon: DaemonFixture, tmp_path: Path, work: Path) -> Run:
    """Run lines of a shell in the folder, under `exec` with these options."""
    client = Client("bash", hub, tmp_path / "clients")

    def attempt(script: str, *options: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return client.attempt(daemon, f"set -eu; cd '{work}'; {script}", options=options, **ME, **more)

    return attempt


def done(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(result: "subprocess.CompletedProcess[str]") -> str:
    """What git printed of our no, which is on lines that begin with `remote:`."""
    assert result.returncode != 0, result.stdout
    said = " ".join(re.findall(r"^remote: (.*?)\s*$", result.stderr, re.MULTILINE))
    assert "hf-proxy" in said, result.stderr
    return said


def landed(hub: FakeHub) -> list[str]:
    return [push.ref for push in hub.pushes]


# --- what a push may do ----------------------------------------------------------------------------------------------


def test_a_branch_moves_forward_with_write_alone(run: Run, hub: FakeHub) -> None:
    done(run(f"{CLONE}; echo a >a; git add a; git commit -qm a; git push -q origin HEAD:main", *ALL_REFS))
    done(run("cd model; git commit -q --allow-empty -m b; git commit -q --allow-empty -m c; git push -q", *ALL_REFS))
    assert landed(hub) == ["refs/heads/main", "refs/heads/main"]
    assert hub.files("me/secret-model")["a"] == b"a\n"


def test_a_merge_moves_a_branch_forward(run: Run, hub: FakeHub) -> None:
    script = (
        f"{CLONE}; git checkout -qb side; git commit -q --allow-empty -m s; git checkout -q main;"
        " git commit -q --allow-empty -m m; git merge -q --no-edit side; git push -q origin main"
    )
    done(run(script, *ALL_REFS))
    assert landed(hub) == ["refs/heads/main"]


def test_a_rewritten_branch_needs_delete(run: Run, hub: FakeHub) -> None:
    script = f"{CLONE}; git commit -q --amend -m rewritten; git push --force origin HEAD:main"
    said = refused(run(script, *ALL_REFS))
    assert "delete:models/me/secret-model" in said
    assert landed(hub) == []
    done(run("cd model; git push -q --force origin HEAD:main", *ALL_REFS, "--scope", "delete:me/secret-model"))
    assert landed(hub) == ["refs/heads/main"]


def test_a_branch_turned_back_needs_delete(run: Run, hub: FakeHub) -> None:
    script = (
        f"{CLONE}; git commit -q --allow-empty -m a; git push -q origin HEAD:main; git push --force origin HEAD~:main"
    )
    assert "delete:models/me/secret-model" in refused(run(script, *ALL_REFS))
    assert landed(hub) == ["refs/heads/main"]


def test_an_unrelated_history_needs_delete(run: Run, hub: FakeHub) -> None:
    script = (
        f"{CLONE}; git checkout -q --orphan other; git commit -q --allow-empty -m o; git push --force origin HEAD:main"
    )
    assert "delete:models/me/secret-model" in refused(run(script, *ALL_REFS))
    assert landed(hub) == []


def test_a_branch_and_a_tag_can_be_made_but_not_deleted(run: Run, hub: FakeHub) -> None:
    make = f"{CLONE}; git tag v1; git push -q origin HEAD:refs/heads/new v1"
    done(run(make, *ALL_REFS))
    assert sorted(landed(hub)) == ["refs/heads/new", "refs/tags/v1"]
    for ref in ("refs/heads/new", "refs/tags/v1"):
        assert "delete:" in refused(run(f"cd model; git push origin :{ref}", *ALL_REFS))
    moved = "cd model; git commit -q --allow-empty -m x; git tag -f v1 >/dev/null; git push -f origin v1"
    assert "delete:" in refused(run(moved, *ALL_REFS))
    assert len(landed(hub)) == 2
    done(run("cd model; git push -q origin :new", *ALL_REFS, "--scope", "delete:me/secret-model"))


def test_of_a_push_with_one_bad_ref_nothing_lands(run: Run, hub: FakeHub) -> None:
    script = f"{CLONE}; git commit -q --amend -m r; git push --force origin HEAD:main HEAD:refs/heads/new"
    refused(run(script, *ALL_REFS))
    assert landed(hub) == []


@pytest.mark.parametrize("ref", ["refs/replace/abc", "refs/notes/commits", "refs/meta/config"])
def test_a_ref_that_is_no_branch_and_no_tag_is_refused(run: Run, hub: FakeHub, ref: str) -> None:
    refused(run(f"{CLONE}; git push origin HEAD:{ref}", *ALL_REFS, "--scope", "delete:me/secret-model"))
    assert landed(hub) == []


def test_a_scope_with_a_ref_admits_that_ref_alone(run: Run, hub: FakeHub) -> None:
    scope = ("--scope", "write:me/secret-model@dev/*")
    done(run(f"{CLONE}; git push -q origin HEAD:refs/heads/dev/a", *scope))
    refused(run("cd model; git push origin HEAD:refs/heads/other", *scope))
    refused(run("cd model; git commit -q --allow-empty -m x; git push origin HEAD:main", *scope))
    assert landed(hub) == ["refs/heads/dev/a"]


def test_a_pack_larger_than_git_s_buffer_is_looked_into_as_well(run: Run, hub: FakeHub) -> None:
    grow = "for n in $(seq 100); do head -c 30000 /dev/urandom >part$n; done; git add .; git commit -qm big"
    done(run(f"{CLONE}; {grow}; git push -q origin HEAD:main", *ALL_REFS))
    said = refused(
        run(f"cd model; {grow}; git reset -q --soft HEAD~2; git commit -qm r; git push -f origin HEAD:main", *ALL_REFS)
    )
    assert "delete:" in said
    assert landed(hub) == ["refs/heads/main"]


def test_what_is_held_back_leaves_nothing_behind(run: Run, daemon: DaemonFixture) -> None:
    before = sorted(path.name for path in daemon.state.iterdir())
    refused(run(f"{CLONE}; git commit -q --amend -m r; git push --force origin HEAD:main", *ALL_REFS))
    assert sorted(path.name for path in daemon.state.iterdir()) == before


# --- large files -----------------------------------------------------------------------------------------------------

LARGE = f"{CLONE}; git lfs install --local >/dev/null; seq 40000 >large.bin; git add .; git commit -qm large"
AGAIN = "git clone -q https://huggingface.co/me/secret-model again; cmp again/large.bin model/large.bin"


def test_a_large_file_goes_to_storage_and_comes_back(run: Run, hub: FakeHub) -> None:
    done(run(f"{LARGE}; git push -q origin HEAD:main; cd ..; {AGAIN}", *ALL_REFS))
    assert hub.recorder.select("storage", "PUT")
    assert hub.recorder.select("hub", "POST", "/me/secret-model.git/info/lfs/objects/verify")


def test_a_very_large_file_goes_in_parts(run: Run, hub: FakeHub, hub24_python: str) -> None:
    """By `hf lfs-enable-largefiles`, whose agent completes the upload without a credential
    (docs/hub-protocol.md#multipart-completion)."""
    hub.world.settings.multipart_bytes = 50_000
    path = f"{Path(hub24_python).parent}:{os.environ['PATH']}"
    agent = "hf lfs-enable-largefiles . >/dev/null"
    done(run(f"{LARGE}; {agent}; git push -q origin HEAD:main; cd ..; {AGAIN}", *ALL_REFS, PATH=path))
    (completion,) = hub.recorder.select("hub", "POST", "/api/complete_multipart")
    assert completion.header("Authorization") is None
    assert len(hub.recorder.select("storage", "PUT")) > 2


# --- reading, and how a no reads -------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["https://huggingface.co/", "https://hf.co/", "git@hf.co:", "ssh://git@hf.co/"])
def test_every_address_of_the_hub_is_served(run: Run, address: str) -> None:
    assert done(run(f"git ls-remote {address}me/secret-model.git HEAD")).endswith("HEAD\n")


def test_the_credential_is_written_nowhere(run: Run, work: Path, hub: FakeHub) -> None:
    done(
        run(
            f'{CLONE}; seq 20000 >x.bin; git add .; git commit -qm x; git push -q; git remote -v; echo "$HF_TOKEN" >../mine',
            *ALL_REFS,
        )
    )
    credential = (work / "mine").read_text().strip()
    (work / "mine").unlink()
    for path in work.rglob("*"):
        if path.is_file():
            assert credential.encode() not in path.read_bytes(), path
            assert CANARY.encode() not in path.read_bytes(), path
    assert "127.0.0.1" not in (work / "model/.git/config").read_text().partition("[remote")[2].partition("[")[0]


def test_a_public_repository_is_fetched_without_the_token(run: Run, hub: FakeHub) -> None:
    hub.recorder.clear()
    done(run("git clone -q https://huggingface.co/you/public-model", "--scope", "read:me/*"))
    assert not hub.saw(CANARY.encode())


def test_a_private_one_outside_the_scope_is_refused_at_once(run: Run) -> None:
    said = refused(
        run("git clone https://huggingface.co/me/secret-model", "--scope", "read:me/other", GIT_ASKPASS="false")
    )
    assert "hf-proxy exec --scope read:models/me/secret-model" in said


def test_a_push_outside_the_scope_is_refused_before_anything_is_sent(run: Run, hub: FakeHub) -> None:
    assert "write:models/me/secret-model" in refused(
        run(f"{CLONE}; git push origin HEAD:refs/heads/x", "--scope", "read")
    )
    assert landed(hub) == []


def test_a_dead_credential_ends_a_push_with_large_files_at_once(run: Run, daemon: DaemonFixture, hub: FakeHub) -> None:
    """A 401 would make git-lfs ask again without end (docs/hub-protocol.md#trap-6)."""
    script = f"{CLONE}; git lfs install --local >/dev/null; seq 20000 >x.bin; git add .; git commit -qm x;"
    revoke = f"{' '.join(map(repr, daemon.hfproxy))} revoke --all >/dev/null; timeout 20 git push origin HEAD:main"
    result = run(script + revoke, *ALL_REFS)
    assert result.returncode not in {0, 124}, result.stderr
    assert "hf-proxy" in result.stderr
    assert landed(hub) == []


def test_without_a_credential_git_is_asked_for_one(daemon: DaemonFixture) -> None:
    env = {"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", "HOME": str(daemon.root)}
    url = f"{daemon.status()['endpoint']}/me/secret-model"
    result = subprocess.run(["git", "ls-remote", url], env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0
    assert "could not read Username" in result.stderr
