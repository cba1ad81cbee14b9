"""The fake Hub, driven by the real client: what the other tests stand on must itself stand."""

import json
import os
import ssl
import struct
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fakehub import FakeHub, FakeHubProcess, environment, in_thread, lz4, xorb
from fakehub.shard import File, Term
from fakehub.xetstore import XetStore
from fakehub.xorb import Scheme
from yarl import URL

CLIENT_PYTHON = str(Path(__file__).parents[3] / ".venvs" / "hub24" / "bin" / "python")
REAL = "hf_RealTokenOfMe0123456789"
READER = "hf_ReadOnlyTokenOfMe0123456789"
OTHER = "hf_TokenOfSomeoneElse0123456789"
# hf_xet picks one compression per xorb: floats make it group bytes, text does not, noise stays as it is.
TEXT = os.urandom(300_000) + b"what is said three times is true " * 10_000
BIG = TEXT + struct.pack("<90000f", *(i / 7 for i in range(90_000)))
UPLOAD = 'api.upload_file(path_or_fileobj=%s, path_in_repo="%s", repo_id="me/secret-model")'

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not Path(CLIENT_PYTHON).exists(), reason=f"NO REAL CLIENT at {CLIENT_PYTHON}"),
]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub with one user and her private model; afterwards, the invariants every test must keep."""
    with in_thread(lfs_threshold=10_000, page_size=3) as hub:
        seed(hub)
        yield hub
        assert hub.unknown == []
        assert hub.crashes == []
        assert not [r for r in hub.requests if r.host == "storage" and r.header("Authorization")]
        assert not hub.saw(REAL.encode(), "storage")
        assert not hub.saw(REAL.encode(), "cas")


def seed(hub: Any) -> None:
    """Give a hub the accounts and repositories the tests speak of."""
    hub.add_user("me", REAL, orgs=("acme",))
    hub.add_user("me", READER, role="read")
    hub.add_user("you", OTHER)
    hub.add_repo("model", "me/secret-model", private=True, files={"config.json": b'{"a": 1}\n', "model.bin": BIG})


def client(hub: Any, folder: Path, script: str, token: str | None = REAL, *, xet: bool = True, **env: str) -> Any:
    """Run a script in the real client's interpreter; return what it leaves in `result`."""
    head = "import json, sys, os\nfrom huggingface_hub import *\napi = HfApi()\nresult = None\n"
    tail = "\nprint('RESULT' + json.dumps(result))\n"
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HOME": str(folder / "hf")}
    variables |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment(hub.url, hub.ca_path, token)}
    variables |= {} if xet else {"HF_HUB_DISABLE_XET": "1"}
    command = [CLIENT_PYTHON, "-c", head + textwrap.dedent(script) + tail]
    done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert "RESULT" in done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout.rpartition("RESULT")[2])


def failure(hub: Any, folder: Path, script: str, token: str | None = REAL) -> list[str]:
    """Run a script that must fail; return the exception's name and text."""
    body = textwrap.indent(textwrap.dedent(script), "    ")
    wrapped = f"try:{body}\nexcept Exception as e:\n    result = [type(e).__name__, str(e)]\n"
    result = client(hub, folder, wrapped, token)
    assert result is not None, "nothing failed"
    return list(result)


def schemes(hub: FakeHub) -> set[Scheme]:
    """Return the compression schemes of all chunks that came through Xet."""
    return {chunk.scheme for layout in hub.world.xet.layouts.values() for chunk in layout}


class TestReading:
    def test_a_private_model_downloads_with_the_token(self, hub: FakeHub, tmp_path: Path) -> None:
        """Regular file by 307, large file by 302 to storage."""
        result = client(hub, tmp_path, """
            paths = [hf_hub_download("me/secret-model", name) for name in ("config.json", "model.bin")]
            result = [open(path, "rb").read().hex() for path in paths]
        """)  # fmt: skip
        assert [bytes.fromhex(data) for data in result] == [b'{"a": 1}\n', BIG]
        assert {r.status for r in hub.requests if "/resolve/" in r.target} >= {302, 307}

    @pytest.mark.parametrize(
        ("token", "name"),
        [
            (None, "RepositoryNotFoundError"),
            (OTHER, "RepositoryNotFoundError"),
            ("hf_px_123", "HfHubHTTPError"),
            ("hf_nobody", "HfHubHTTPError"),
        ],
    )
    def test_and_not_without_it(self, hub: FakeHub, tmp_path: Path, token: str | None, name: str) -> None:
        """Anonymous, a stranger, the proxy's own credential, an unknown token."""
        script = '\nhf_hub_download("me/secret-model", "config.json")'
        assert failure(hub, tmp_path, script, token)[0] == name

    def test_a_revoked_token_is_dead(self, hub: FakeHub, tmp_path: Path) -> None:
        """The very token that worked is refused."""
        hub.revoke_token(REAL)
        name, text = failure(hub, tmp_path, "\napi.whoami()")
        assert "Invalid" in text, name

    def test_a_gated_model_is_known_but_not_read(self, hub: FakeHub, tmp_path: Path) -> None:
        """Metadata is public; content needs a grant."""
        hub.add_repo("model", "acme/gated", gated=True, files={"a.txt": b"a"}, granted=("nobody",))
        script = '\nassert api.model_info("acme/gated").gated == "manual"\nhf_hub_download("acme/gated", "a.txt")'
        assert failure(hub, tmp_path, script, OTHER)[0] == "GatedRepoError"

    def test_a_renamed_model_is_found(self, hub: FakeHub, tmp_path: Path) -> None:
        """The old name redirects, on the API and on files; so does another case."""
        hub.rename_repo("me/secret-model", "me/new-name")
        result = client(hub, tmp_path, """
            path = hf_hub_download("me/secret-model", "config.json")
            ids = [api.model_info(name).id for name in ("me/secret-model", "ME/New-Name")]
            result = [open(path).read(), *ids]
        """)  # fmt: skip
        assert result == ['{"a": 1}\n', "me/new-name", "me/new-name"]

    def test_pages_follow_each_other(self, hub: FakeHub, tmp_path: Path) -> None:
        """Lists, trees and histories longer than a page come whole, by absolute links."""
        for number in range(7):
            hub.add_repo("dataset", f"me/d{number}", files={f"dir/f{i}.txt": b"x" for i in range(5)})
        result = client(hub, tmp_path, """
            listed = [d.id for d in api.list_datasets(author="me")]
            tree = [f.path for f in api.list_repo_tree("me/d1", repo_type="dataset", recursive=True)]
            result = [listed, tree, len(api.list_repo_commits("me/d1", repo_type="dataset"))]
        """)  # fmt: skip
        assert result[0] == [f"me/d{n}" for n in range(7)]
        assert result[1] == ["dir", ".gitattributes", *(f"dir/f{i}.txt" for i in range(5))]
        assert result[2] == 2
        assert [r for r in hub.requests if "cursor=" in r.target]

    def test_the_file_system_reads(self, hub: FakeHub, tmp_path: Path) -> None:
        """ls, find, glob, info, cat, and a range read in the middle of a large file."""
        result = client(hub, tmp_path, """
            fs = HfFileSystem()
            with fs.open("me/secret-model/model.bin", block_size=1000) as f:
                f.seek(1000)
                part = f.read(10)
            root = "me/secret-model"
            result = [sorted(fs.ls(root, detail=False)), len(fs.find(root)), fs.glob(root + "/*.json"),
                      fs.info(root + "/model.bin")["size"], fs.cat(root + "/config.json").decode(),
                      part.hex(), fs.exists(root + "/nothing")]
        """)  # fmt: skip
        names = [f"me/secret-model/{n}" for n in (".gitattributes", "config.json", "model.bin")]
        assert result == [names, 3, [names[1]], len(BIG), '{"a": 1}\n', BIG[1000:1010].hex(), False]
        assert [r for r in hub.requests if r.host == "storage" and r.status == 206]

    def test_small_questions(self, hub: FakeHub, tmp_path: Path) -> None:
        """whoami, existence, auth checks, refs, paths."""
        result = client(hub, tmp_path, """
            me = api.whoami()
            model = "me/secret-model"
            refs = api.list_repo_refs(model, include_pull_requests=True)
            paths = api.get_paths_info(model, ["config.json", "x"])
            result = [me["name"], me["orgs"][0]["name"], me["auth"]["accessToken"]["role"],
                      api.repo_exists("me/nope"),
                      *(api.file_exists(model, name) for name in ("config.json", "x")),
                      [branch.name for branch in refs.branches], [path.path for path in paths]]
            api.auth_check(model, write=True)
            RepoCard("---\\nlicense: mit\\n---\\n").validate()
        """)  # fmt: skip
        assert result == ["me", "acme", "fineGrained", False, True, False, ["main"], ["config.json"]]


class TestWriting:
    def test_a_small_file(self, hub: FakeHub, tmp_path: Path) -> None:
        """preupload and commit, nothing else."""
        oid = client(hub, tmp_path, "result = " + UPLOAD % ('b"hello"', "a/b.txt") + ".oid")
        assert hub.files("me/secret-model")["a/b.txt"] == b"hello"
        assert hub.repo("me/secret-model").find("main").id == oid

    @pytest.mark.parametrize("xet", [True, False])
    def test_a_big_file_there_and_back(self, hub: FakeHub, tmp_path: Path, xet: bool) -> None:
        """Through Xet and through LFS; and what went up one way comes down both ways."""
        (tmp_path / "big.bin").write_bytes(BIG[::-1] + BIG)
        client(hub, tmp_path, UPLOAD % ('"big.bin"', "big.bin"), xet=xet)
        assert hub.files("me/secret-model")["big.bin"] == BIG[::-1] + BIG
        down = """
            folder = snapshot_download("me/secret-model", cache_dir="cache%s")
            result = open(folder + "/big.bin", "rb").read() == open("big.bin", "rb").read()
        """
        assert client(hub, tmp_path, down % "1", xet=True)
        assert bool([r for r in hub.requests if r.host == "cas"]) == xet
        assert schemes(hub) == ({Scheme.NONE, Scheme.BYTE_GROUPED_LZ4} if xet else set())
        assert client(hub, tmp_path, down % "2", xet=False)

    @pytest.mark.parametrize("old", [True, False])
    def test_xet_in_other_dialects(self, tmp_path: Path, old: bool) -> None:
        """Without grants and streaming shards; and with long access tokens and absolute redirects."""
        older: dict[str, Any] = {"xet_grants": False, "xet_shards_v2": False, "gzip": False}
        longer: dict[str, Any] = {"xet_token_padding": 40_000, "absolute_redirects": True}
        with in_thread(lfs_threshold=10_000, **(older if old else longer)) as hub:
            seed(hub)
            (tmp_path / "big.bin").write_bytes(TEXT)
            script = (
                UPLOAD % ('"big.bin"', "up.bin")
                + """
folder = snapshot_download("me/secret-model")
result = open(folder + "/up.bin", "rb").read() == open("big.bin", "rb").read()
"""
            )
            assert client(hub, tmp_path, script)
            assert schemes(hub) == {Scheme.NONE, Scheme.LZ4}
            assert bool(hub.recorder.select("cas", "POST", "/v1/xorbs/")) == old
            assert hub.unknown == []

    def test_a_big_file_in_parts(self, hub: FakeHub, tmp_path: Path) -> None:
        """Multipart LFS: the completion is asked for without a credential."""
        hub.world.settings.multipart_bytes = 100_000
        (tmp_path / "big.bin").write_bytes(BIG + b"!")
        client(hub, tmp_path, UPLOAD % ('"big.bin"', "big.bin"), xet=False)
        assert hub.files("me/secret-model")["big.bin"] == BIG + b"!"
        [completion] = hub.recorder.select(path="/api/complete_multipart")
        assert completion.header("Authorization") is None

    def test_a_folder_a_pull_request_and_deletions(self, hub: FakeHub, tmp_path: Path) -> None:
        """upload_folder, create_pr, delete_file, delete_folder, parent_commit."""
        (tmp_path / "src" / "sub").mkdir(parents=True)
        for name, data in {"a.txt": b"a", "sub/b.txt": b"b", "sub/c.bin": BIG}.items():
            (tmp_path / "src" / name).write_bytes(data)
        result = client(hub, tmp_path, """
            from huggingface_hub import errors
            first = api.upload_folder(repo_id="me/secret-model", folder_path="src")
            here = {"repo_id": "me/secret-model"}
            pr = api.upload_file(path_or_fileobj=b"p", path_in_repo="p.txt", create_pr=True, **here)
            api.delete_file("a.txt", "me/secret-model")
            api.delete_folder("sub", "me/secret-model")
            try:
                api.upload_file(path_or_fileobj=b"q", path_in_repo="q", parent_commit=first.oid, **here)
            except errors.HfHubHTTPError as error:
                late = error.response.status_code
            result = [pr.pr_revision, late]
        """)  # fmt: skip
        assert result == ["refs/pr/1", 412]
        assert set(hub.files("me/secret-model")) == {".gitattributes", "config.json", "model.bin"}
        assert hub.files("me/secret-model", rev="refs/pr/1")["p.txt"] == b"p"

    def test_a_reader_may_not_write(self, hub: FakeHub, tmp_path: Path) -> None:
        """403 at preupload, with the Hub's sentence."""
        name, text = failure(hub, tmp_path, "\n" + UPLOAD % ('b"x"', "x"), READER)
        assert name == "HfHubHTTPError"
        assert "create_pr=1" in text

    def test_repositories_branches_and_tags(self, hub: FakeHub, tmp_path: Path) -> None:
        """Create, branch, tag, move, squash, set private, delete."""
        result = client(hub, tmp_path, """
            url = api.create_repo("me/fresh", private=True)
            api.create_repo("fresh", exist_ok=True)
            api.create_branch("me/fresh", branch="dev/x")
            api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id="me/fresh", revision="dev/x")
            api.create_tag("me/fresh", tag="v1", revision="dev/x")
            refs = api.list_repo_refs("me/fresh")
            api.move_repo("me/fresh", "acme/fresh")
            api.super_squash_history("acme/fresh", branch="dev/x")
            api.update_repo_settings("acme/fresh", private=False)
            info = api.model_info("acme/fresh", files_metadata=True)
            api.delete_tag("acme/fresh", tag="v1")
            api.delete_branch("acme/fresh", branch="dev/x")
            api.delete_repo("acme/fresh")
            result = [url.repo_id, [b.name for b in refs.branches], [t.name for t in refs.tags], info.private,
                      api.repo_exists("acme/fresh")]
        """)  # fmt: skip
        assert result == ["me/fresh", ["main", "dev/x"], ["v1"], False, False]

    def test_a_narrow_token(self, hub: FakeHub, tmp_path: Path) -> None:
        """Scoped to one repository, it reads and writes there and sees nothing else."""
        entity = {"type": "model", "name": "me/secret-model"}
        hub.add_user("me", "hf_narrow", scoped=[{"entity": entity, "permissions": ["repo.write"]}])
        hub.add_repo("model", "me/other", private=True)
        client(hub, tmp_path, UPLOAD % ('b"n"', "n"), "hf_narrow")
        assert failure(hub, tmp_path, '\napi.model_info("me/other")', "hf_narrow")[0] == "RepositoryNotFoundError"
        assert "rights" in failure(hub, tmp_path, '\napi.create_repo("me/new")', "hf_narrow")[1]

    def test_a_discussion_and_a_merge(self, hub: FakeHub, tmp_path: Path) -> None:
        """Open, comment, close; and merge a pull request made by a commit."""
        result = client(hub, tmp_path, """
            model = "me/secret-model"
            opened = api.create_discussion(model, "A title", description="Text")
            api.comment_discussion(model, opened.num, "A comment")
            api.change_discussion_status(model, opened.num, "closed")
            pr = api.upload_file(path_or_fileobj=b"m", path_in_repo="m", repo_id=model, create_pr=True)
            api.merge_pull_request(model, pr.pr_num)
            after = api.get_discussion_details(model, opened.num)
            merged = api.get_discussion_details(model, pr.pr_num)
            result = [[e.type for e in after.events], after.status, merged.status, merged.is_pull_request]
        """)  # fmt: skip
        assert result == [["comment", "comment", "status-change"], "closed", "merged", True]
        assert hub.files("me/secret-model")["m"] == b"m"


class TestSpaces:
    def test_the_life_of_a_space(self, hub: FakeHub, tmp_path: Path) -> None:
        """Create, upload, secrets, variables, hardware, restart, wait for RUNNING, logs, pause."""
        result = client(hub, tmp_path, """
            api.create_repo("me/demo", repo_type="space", space_sdk="gradio")
            demo = {"repo_id": "me/demo", "repo_type": "space"}
            api.upload_file(path_or_fileobj=b"print(1)", path_in_repo="app.py", **demo)
            api.add_space_secret("me/demo", "KEY", "s3cret")
            api.add_space_variable("me/demo", "MODE", "fast")
            api.request_space_hardware("me/demo", "cpu-upgrade", sleep_time=60)
            api.set_space_sleep_time("me/demo", 120)
            stages = [api.restart_space("me/demo").stage]
            while stages[-1] != "RUNNING":
                stages.append(api.get_space_runtime("me/demo").stage)
            mode = api.get_space_variables("me/demo")["MODE"].value
            logs = [list(api.fetch_space_logs("me/demo", build=build)) for build in (True, False)]
            result = [list(api.get_space_secrets("me/demo")), mode, stages, *logs,
                      api.space_info("me/demo").runtime.hardware, api.pause_space("me/demo").stage]
            api.delete_space_secret("me/demo", "KEY")
        """)  # fmt: skip
        assert result[:2] == [["KEY"], "fast"]
        assert (result[2][0], result[2][-1]) == ("BUILDING", "RUNNING")
        assert result[3] == hub.space("me/demo").build_log
        assert result[4] == hub.space("me/demo").run_log
        assert result[5:] == ["cpu-upgrade", "PAUSED"]
        assert hub.space("me/demo").secrets == {}
        assert hub.saw(b"s3cret", "hub")


class TestTheRecord:
    def test_planted_answers(self, hub: FakeHub, tmp_path: Path) -> None:
        """An injected 503 is retried by the client, and then the real answer comes."""
        hub.inject("GET", "/api/models/me/secret-model/tree", 503)
        script = 'result = len(list(api.list_repo_tree("me/secret-model")))'
        assert client(hub, tmp_path, script) == 3
        assert [r.status for r in hub.recorder.select(path="/api/models/me/secret-model/tree")] == [503, 200]

    def test_nothing_hides(self, hub: FakeHub, tmp_path: Path) -> None:
        """A needle is found in a Basic credential, and an unknown route is remembered."""
        client(hub, tmp_path, """
            import base64
            from huggingface_hub.utils import get_session
            basic = "Basic " + base64.b64encode(b"user:hf_px_leaked").decode()
            url = os.environ["HF_ENDPOINT"] + "/no/such/page/here"
            get_session().get(url, headers={"Authorization": basic})
        """)  # fmt: skip
        assert hub.saw(b"hf_px_leaked")
        assert hub.unknown == ["GET /no/such/page/here"]
        hub.recorder.clear()

    def test_from_another_process(self, tmp_path: Path) -> None:
        """The same calls over the control channel."""
        with FakeHubProcess(lfs_threshold=1000) as hub:
            seed(hub)
            assert client(hub, tmp_path, 'result = api.whoami()["name"]') == "me"
            client(
                hub,
                tmp_path,
                'api.upload_file(path_or_fileobj=b"y", path_in_repo="y", repo_id="me/secret-model")',
            )
            assert hub.files("me/secret-model")["y"] == b"y"
            assert hub.saw(REAL.encode())
            assert not hub.saw(b"hf_px_")
            assert hub.unknown == []
            assert [r["status"] for r in hub.requests if r["target"] == "/api/whoami-v2"] == [200]
        assert not hub.ca_path.exists()


class TestOnTheWire:
    """What no Python client shows, asked with a plain HTTP client."""

    async def test_storage_refuses_a_credential_and_a_changed_url(self) -> None:
        """400 with any Authorization, 403 for one changed byte, 206 and 416 for ranges."""
        async with FakeHub(lfs_threshold=10) as hub, _session(hub) as session:
            hub.add_repo("model", "me/open", files={"a.bin": b"0123456789"})
            async with session.get(f"{hub.url}/me/open/resolve/main/a.bin", allow_redirects=False) as answer:
                url = answer.headers["Location"]
                assert (answer.status, answer.headers["X-Linked-Size"]) == (302, "10")
            bearer, part, past = {"Authorization": "Bearer x"}, {"Range": "bytes=2-4"}, {"Range": "bytes=10-"}
            assert await _get(session, url) == (200, b"0123456789")
            assert (await _get(session, url, bearer))[0] == 400
            assert (await _get(session, url.replace("filename", "filenam3")))[0] == 403
            assert await _get(session, url, part) == (206, b"234")
            assert (await _get(session, url, past))[0] == 416

    async def test_the_record_keeps_the_raw_target(self) -> None:
        """Percent-encoding arrives as sent, and a revision may hold an encoded slash."""
        async with FakeHub() as hub, _session(hub) as session:
            hub.add_repo("model", "me/open", files={"a b.txt": b"x"})
            hub.repo("me/open").pulls[1] = hub.repo("me/open").find("main").id
            target = "/me/open/resolve/refs%2Fpr%2F1/a%20b.txt"
            assert (await _get(session, hub.url + target))[0] == 200
            assert hub.requests[0].target == target

    async def test_the_cas_wants_its_own_token(self) -> None:
        """A Hub token is nobody's there, and a read token does not write."""
        async with FakeHub(xet_token_seconds=-1) as hub, _session(hub) as session:
            hub.add_user("me", REAL)
            url = f"{hub.cas_url}/v1/reconstructions/{'0' * 64}"
            assert (await _get(session, url, {"Authorization": f"Bearer {REAL}"}))[0] == 401
            for seconds, wanted in ((-1, 401), (60, 404)):
                value, _ = hub.world.xet.mint(("model", "me/x"), write=False, seconds=seconds, padding=0)
                assert (await _get(session, url, {"Authorization": f"Bearer {value}"}))[0] == wanted


def _session(hub: FakeHub) -> aiohttp.ClientSession:
    trust = ssl.create_default_context(cadata=hub.ca_pem.decode())
    connector = aiohttp.TCPConnector(ssl=trust)
    return aiohttp.ClientSession(connector=connector, requote_redirect_url=False)


async def _get(session: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    async with session.get(URL(url, encoded=True), headers=headers) as answer:
        return answer.status, await answer.read()


class TestFormats:
    def test_a_range_is_planned_by_chunks(self) -> None:
        """Whole chunks that cover the range, and how far into them it starts."""
        store = XetStore()
        for name, sizes in (("a", (10, 20, 30)), ("b", (5, 5))):
            data = b"".join(bytes([0, n, 0, 0, 0, n, 0, 0]) + b"x" * n for n in sizes)
            assert store.add_xorb(name, data)
        file = File("f", (Term("a", 0, 3, 60), Term("b", 1, 2, 5)), None)
        assert store.content(file) == b"x" * 65
        assert [(p.xorb, p.start, p.end, p.size) for p in store.pieces(file, 0, 64)[1]] == [
            ("a", 0, 3, 60),
            ("b", 1, 2, 5),
        ]
        offset, [piece] = store.pieces(file, 12, 29)
        assert (offset, piece.start, piece.end, piece.size) == (2, 1, 2, 20)
        offset, [piece] = store.pieces(file, 61, 64)
        assert (offset, piece.xorb, piece.start, piece.end) == (1, "b", 1, 2)

    def test_byte_grouping_is_undone(self) -> None:
        """Lengths that are no multiple of four give the first lanes one byte more."""
        assert xorb.ungroup(b"aeibfcgdh") == b"abcdefghi"

    def test_lz4_repeats_what_it_just_wrote(self) -> None:
        """A match longer than its offset."""
        block = bytes([0x15, ord("x"), 1, 0, 0x10, ord("y")])
        frame = lz4.MAGIC.to_bytes(4, "little") + bytes([0x60, 0x40, 0]) + len(block).to_bytes(4, "little") + block
        assert lz4.decompress(frame + bytes(4)) == b"x" * 10 + b"y"
