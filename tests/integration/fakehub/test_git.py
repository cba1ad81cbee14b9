"""The fake Hub under the real git and git-lfs."""

import gzip
import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakehub import FakeHub, FakeHubProcess
from fakehub.gitstore import ABSENT
from hub_clients.git import Git
from hub_clients.people import BIG, OTHER, READER, REAL
from hub_clients.plain import ask

GitOf = Callable[[str | None], Git]


class TestFetching:
    @pytest.mark.parametrize("suffix", ["", ".git"])
    def test_a_private_repository_is_cloned_with_the_token(self, hub: FakeHub, git: GitOf, suffix: str) -> None:
        """Git asks anonymously first and sends Basic after the 401. Large files come from storage."""
        tree = git(REAL).clone(f"{hub.url}/me/model{suffix}")
        assert (tree / "config.json").read_bytes() == b'{"a": 1}\n'
        assert (tree / "model.bin").read_bytes() == BIG
        statuses = [r.status for r in hub.requests if r.path.endswith("/info/refs")]
        assert statuses == [401, 200]
        assert [r for r in hub.requests if r.host == "storage" and r.status == 200]

    def test_git_sees_the_commits_of_the_api(self, hub: FakeHub, git: GitOf) -> None:
        """Commit ids, branches, tags and pull requests are the world's own."""
        repo = hub.repo("me/open", "dataset")
        repo.branches["dev/x"] = repo.tags["v1"] = repo.pulls[1] = repo.find("main").id
        me = git(None)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        late = hub.commit("me/open", {"dir/b.txt": b"b"}, "dataset", rev="dev/x")
        me.must("fetch", "origin", "refs/pr/1:pr", cwd=tree)
        me.must("pull", "--quiet", "origin", "dev/x", cwd=tree)
        assert me.must("rev-parse", "HEAD", cwd=tree) == late
        assert me.must("rev-parse", "v1", "pr", cwd=tree).split() == [repo.tags["v1"], repo.pulls[1]]
        assert me.must("fsck", "--strict", cwd=tree) == ""

    @pytest.mark.parametrize("suffix", ["", ".git"])
    def test_a_space_is_cloned_and_pushed_to(self, hub: FakeHub, git: GitOf, suffix: str) -> None:
        hub.add_space("me/demo", private=True)
        me = git(REAL)
        tree = me.clone(f"{hub.url}/spaces/me/demo{suffix}")
        me.commit(tree, {"app.py": b"print(1)"})
        me.must("push", cwd=tree)
        assert hub.files("me/demo", "space")["app.py"] == b"print(1)"

    def test_a_public_repository_needs_no_credential(self, hub: FakeHub, git: GitOf) -> None:
        git(None).clone(f"{hub.url}/datasets/me/open")
        assert not [r for r in hub.requests if r.header("Authorization")]

    @pytest.mark.parametrize("token", [None, "hf_nobody", OTHER, "hf_px_123"])
    def test_others_do_not_get_in(self, hub: FakeHub, git: GitOf, token: str | None) -> None:
        done = git(token).run("clone", f"{hub.url}/me/model", "clone")
        assert done.returncode != 0
        assert ("not found" in done.stderr) == (token == OTHER)
        assert not [r for r in hub.requests if r.method == "POST"]

    def test_a_gated_repository_says_so(self, hub: FakeHub, git: GitOf) -> None:
        hub.add_repo("model", "acme/gated", gated=True, files={"a.txt": b"a"})
        assert "not in the authorized list" in git(OTHER).run("clone", f"{hub.url}/acme/gated").stderr

    def test_a_renamed_repository_is_followed(self, hub: FakeHub, git: GitOf) -> None:
        """A public one: git 2.39 forgets a redirect that only came after the 401."""
        hub.rename_repo("me/open", "me/new", "dataset")
        assert (git(None).clone(f"{hub.url}/datasets/me/open") / "a.txt").read_bytes() == b"open\n"
        assert 307 in {r.status for r in hub.requests}

    def test_a_compressed_request_is_understood(self, hub: FakeHub, git: GitOf) -> None:
        """Git compresses the list of what it has, once that is long."""
        me = git(None)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        for number in range(40):
            date = f"{2_000_000_000 + number} +0000"  # younger than what the hub has, so that git names them first
            me.must("commit", "--allow-empty", "--quiet", "--message", "x", cwd=tree, GIT_COMMITTER_DATE=date)
        hub.commit("me/open", {"b.txt": b"b"}, "dataset")
        me.must("fetch", cwd=tree)
        zipped = [r for r in hub.requests if r.header("Content-Encoding") == "gzip"]
        assert zipped
        assert all(b"command=fetch" in gzip.decompress(r.whole) for r in zipped)
        assert {r.header("Git-Protocol") for r in hub.requests} == {"version=2"}


class TestPushing:
    def test_the_world_has_what_was_pushed(self, hub: FakeHub, git: GitOf) -> None:
        """Branches, tags, a pull request, modes and names that are not plain; and the API commits on top."""
        repo = hub.repo("me/open", "dataset")
        first = repo.pulls[1] = repo.find("main").id
        me = git(REAL)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        (tree / "run.sh").write_text("#!/bin/sh\n")
        (tree / "run.sh").chmod(0o755)
        pushed = me.commit(tree, {"dir/ä b.txt": b"x"}, "A title\n\nAnd text.")
        me.must("tag", "-a", "v1", "-m", "one", cwd=tree)
        me.must("push", "origin", "main", "main:dev", "v1", "main:refs/pr/1", cwd=tree)
        assert {(p.ref, p.old, p.who) for p in hub.pushes} == {
            ("refs/heads/main", first, "me"),
            ("refs/heads/dev", ABSENT, "me"),
            ("refs/tags/v1", ABSENT, "me"),
            ("refs/pr/1", first, "me"),
        }
        assert {repo.branches["dev"], repo.tags["v1"], repo.pulls[1], repo.find("main").id} == {pushed}
        assert hub.files("me/open", "dataset")["dir/ä b.txt"] == b"x"
        assert (repo.find("main").title, repo.find("main").message) == ("A title", "And text.")
        later = hub.commit("me/open", {"c.txt": b"c"}, "dataset")
        me.must("pull", "--quiet", cwd=tree)
        assert me.must("rev-parse", "HEAD", cwd=tree) == later
        assert (tree / "run.sh").stat().st_mode & 0o111

    def test_force_and_delete(self, hub: FakeHub, git: GitOf) -> None:
        """A push that is not a fast-forward is refused by git, forced it lands; main is not deleted."""
        me = git(REAL)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        theirs = hub.commit("me/open", {"theirs.txt": b"t"}, "dataset")
        mine = me.commit(tree, {"mine.txt": b"m"})
        assert me.run("push", "origin", "main", cwd=tree).returncode != 0
        assert hub.pushes == []
        me.must("push", "--force", "origin", "main", "main:gone", cwd=tree)
        me.must("push", "origin", ":gone", cwd=tree)
        assert [(p.ref, p.old, p.new) for p in hub.pushes if p.ref == "refs/heads/main"] == [
            ("refs/heads/main", theirs, mine)
        ]
        assert hub.pushes[-1].new == ABSENT
        assert set(hub.repo("me/open", "dataset").branches) == {"main"}
        assert "theirs.txt" not in hub.files("me/open", "dataset")
        assert "refusing to delete" in me.run("push", "origin", ":main", cwd=tree).stderr
        assert len(hub.pushes) == 3

    @pytest.mark.parametrize(
        ("token", "says"), [(READER, "not authorized to push"), (OTHER, "not authorized"), (None, "")]
    )
    def test_not_without_the_right(self, hub: FakeHub, git: GitOf, token: str | None, says: str) -> None:
        me = git(token)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        me.commit(tree, {"x": b"x"})
        done = me.run("push", "origin", "main", cwd=tree)
        assert done.returncode != 0
        assert says in done.stderr
        assert "x" not in hub.files("me/open", "dataset")
        assert hub.pushes == []

    def test_a_large_push_is_chunked_and_on_record(self, hub: FakeHub, git: GitOf) -> None:
        """Above `http.postBuffer` git sends chunks; the record has every byte."""
        me = git(REAL)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        noise = random.Random(2)
        me.commit(tree, {f"f{n}.txt": noise.randbytes(9_000) for n in range(200)})
        me.must("push", "origin", "main", cwd=tree)
        push = [r for r in hub.requests if r.path.endswith("git-receive-pack") and r.method == "POST"][-1]
        assert push.header("Transfer-Encoding") == "chunked"
        assert push.length == len(push.whole) > 1_800_000
        assert push.saw(b"PACK")
        assert len(hub.files("me/open", "dataset")) == 202

    def test_pushes_at_the_same_time(self, hub: FakeHub, git: GitOf) -> None:
        """Each to a branch of its own, and none is lost."""
        people = [git(REAL) for _ in range(4)]
        trees = [me.clone(f"{hub.url}/datasets/me/open") for me in people]
        tips = [me.commit(tree, {"x": str(n).encode()}) for n, (me, tree) in enumerate(zip(people, trees, strict=True))]
        with ThreadPoolExecutor() as pool:
            done = [
                pool.submit(me.run, "push", "origin", f"main:b{n}", cwd=tree)
                for n, (me, tree) in enumerate(zip(people, trees, strict=True))
            ]
            assert [future.result().returncode for future in done] == [0] * 4
        assert [hub.repo("me/open", "dataset").branches[f"b{n}"] for n in range(4)] == tips
        assert sorted(push.ref for push in hub.pushes) == [f"refs/heads/b{n}" for n in range(4)]

    def test_a_hub_in_another_process_tells_of_pushes(self, tmp_path: Path) -> None:
        with FakeHubProcess() as hub:
            hub.add_user("me", REAL)
            hub.add_repo("model", "me/model", files={"a": b"a"})
            me = Git(tmp_path / "home", hub, REAL)
            tree = me.clone(f"{hub.url}/me/model")
            new = me.commit(tree, {"b": b"b"})
            me.must("push", cwd=tree)
            assert [(push["ref"], push["new"], push["who"]) for push in hub.pushes] == [("refs/heads/main", new, "me")]
            assert hub.files("me/model")["b"] == b"b"
            assert hub.crashes == []

    def test_large_files_have_to_be_lfs(self, hub: FakeHub, git: GitOf) -> None:
        me = git(REAL)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        me.commit(tree, {"large.txt": BIG})
        assert "remote: Your push was rejected because it contains files larger than" in me.run("push", cwd=tree).stderr
        assert hub.pushes == []

    def test_only_known_kinds_of_refs(self, hub: FakeHub, git: GitOf) -> None:
        me = git(REAL)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        for ref in ("refs/pr/7", "refs/secret/x"):
            assert "only branches" in me.run("push", "origin", f"main:{ref}", cwd=tree).stderr

    async def test_not_the_dumb_protocol(self, hub: FakeHub) -> None:
        assert (await ask(hub, "GET", "/datasets/me/open/info/refs"))[0] == 403


class TestLargeFiles:
    @pytest.mark.parametrize("echo", [False, True])
    def test_there_and_back(self, hub: FakeHub, git: GitOf, echo: bool) -> None:
        """git-lfs: batch, storage, verify; the API has the file."""
        hub.world.settings.verify_echoes_auth = echo
        me = git(REAL)
        tree = me.clone(f"{hub.url}/me/model")
        me.must("lfs", "install", "--local", cwd=tree)
        me.commit(tree, {"new.bin": BIG[::-1]})
        me.must("push", cwd=tree)
        entry = hub.repo("me/model").find("main").tree["new.bin"]
        assert entry.lfs
        assert hub.files("me/model")["new.bin"] == BIG[::-1]
        paths = [r.path.removeprefix("/me/model.git") for r in hub.requests if "/lfs/" in r.path]
        assert paths[-1] == "/info/lfs/objects/verify"
        [verify] = [r for r in hub.requests if r.path.endswith("/objects/verify")]
        assert verify.saw(REAL.encode()) == echo
        assert "/info/lfs/locks/verify" in paths
        assert (me.clone(f"{hub.url}/me/model", "again") / "new.bin").read_bytes() == BIG[::-1]
        assert not [r for r in hub.requests if r.host == "storage" and r.header("Authorization")]

    def test_a_pointer_to_nothing_is_refused(self, hub: FakeHub, git: GitOf) -> None:
        me = git(REAL)
        tree = me.clone(f"{hub.url}/me/model")
        me.commit(tree, {"new.bin": BIG[::-1]})
        done = me.run("push", "--no-verify", cwd=tree)
        assert "remote: LFS pointer pointed to a file that does not exist" in done.stderr
        assert hub.pushes == []

    def test_in_parts_by_the_hubs_own_agent(self, hub: FakeHub, git: GitOf, hub24_python: str) -> None:
        """`hf lfs-enable-largefiles`: parts to storage, completion without a credential, no verify missed."""
        hub.world.settings.multipart_bytes = 30_000
        me = git(REAL)
        me.env |= {"SSL_CERT_FILE": str(hub.ca_path), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
        tree = me.clone(f"{hub.url}/me/model")
        me.must("lfs", "install", "--local", cwd=tree)
        hf = str(Path(hub24_python).with_name("hf"))
        me.must("config", "lfs.customtransfer.multipart.path", hf, cwd=tree)
        me.must("config", "lfs.customtransfer.multipart.args", "lfs-multipart-upload", cwd=tree)
        me.commit(tree, {"new.bin": BIG[::-1], "small.bin": b"small"})
        me.must("push", cwd=tree)
        assert hub.files("me/model")["new.bin"] == BIG[::-1]
        assert hub.files("me/model")["small.bin"] == b"small"
        done = hub.recorder.select(path="/api/complete_multipart")
        assert [(r.status, r.header("Authorization")) for r in done] == [(200, None)] * 2
        assert len(hub.recorder.select("storage", "PUT", "/parts/")) == 5

    @pytest.mark.parametrize(("token", "status"), [(None, 401), ("hf_nobody", 401), (READER, 403), (REAL, 200)])
    async def test_a_batch_for_upload_needs_the_right(self, hub: FakeHub, token: str | None, status: int) -> None:
        """Asked plainly: with a helper that repeats itself, git-lfs 3.3.0 repeats a batch answered 401 without end."""
        body = json.dumps({"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}).encode()
        answer = await ask(hub, "POST", "/datasets/me/open.git/info/lfs/objects/batch", token, body=body)
        assert answer[0] == status
        assert ("WWW-Authenticate" in answer[2]) == (status == 401)
        assert (b"X-Amz-Signature" in answer[1]) == (status == 200)

    def test_a_reader_pushes_nothing_to_storage(self, hub: FakeHub, git: GitOf) -> None:
        me = git(READER)
        tree = me.clone(f"{hub.url}/datasets/me/open")
        me.must("lfs", "install", "--local", cwd=tree)
        me.must("lfs", "track", "*.bin", cwd=tree)
        me.commit(tree, {"new.bin": BIG})
        assert me.run("lfs", "push", "origin", "main", cwd=tree).returncode != 0
        assert not [r for r in hub.requests if r.host == "storage"]

    def test_locks_if_wanted(self, hub: FakeHub, git: GitOf) -> None:
        hub.world.settings.lfs_locks = True
        me = git(REAL)
        assert me.must("lfs", "locks", "--remote", "origin", cwd=me.clone(f"{hub.url}/me/model")) == ""
