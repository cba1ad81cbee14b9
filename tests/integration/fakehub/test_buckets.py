"""Buckets under the real client, hf_xet included."""

import json
from pathlib import Path

import pytest
from fakehub import FakeHub
from hub_clients.people import BIG, OTHER, READER, REAL
from hub_clients.plain import ask
from hub_clients.python import Client

XET = {"xetHash": "0" * 64}


@pytest.fixture(autouse=True)
def buckets(hub: FakeHub) -> None:
    """A private bucket with one file, and a public one of someone else."""
    hub.add_bucket("me/store", private=True, files={"logs/a.txt": b"aaa", "logs.json": b"{}"})
    hub.add_bucket("you/public", files={"big.dat": BIG})


def test_the_life_of_a_bucket(hub: FakeHub, client: Client, tmp_path: Path) -> None:
    """Create, fill, look, load, move, publish, delete."""
    (tmp_path / "big.dat").write_bytes(BIG)
    result = client("""
        url = api.create_bucket("fresh", private=True)
        api.create_bucket("me/fresh", exist_ok=True)
        files = [("big.dat", "dir/big.dat"), (b"text", "note.txt"), (b"x", "gone")]
        api.batch_bucket_files("me/fresh", add=files)
        api.batch_bucket_files("me/fresh", delete=["gone"])
        tree = [f.path for f in api.list_bucket_tree("me/fresh", recursive=True)]
        top = [(f.type, f.path) for f in api.list_bucket_tree("me/fresh")]
        api.download_bucket_files("me/fresh", [("dir/big.dat", "out/big"), ("note.txt", "out/note")])
        info = api.bucket_info("me/fresh")
        api.move_bucket("me/fresh", "acme/moved")
        api.update_bucket_settings("acme/moved", private=False)
        names = [b.id for b in api.list_buckets("acme")]
        public = api.bucket_info("acme/moved").private
        api.delete_bucket("acme/moved")
        api.delete_bucket("acme/moved", missing_ok=True)
        result = [url.bucket_id, tree, top, info.private, info.total_files, info.size, names, public]
    """)
    assert result[:3] == ["me/fresh", ["dir/big.dat", "note.txt"], [["directory", "dir"], ["file", "note.txt"]]]
    assert result[3:] == [True, 2, len(BIG) + 4, ["acme/moved"], False]
    assert (tmp_path / "out/big").read_bytes() == BIG
    assert (tmp_path / "out/note").read_bytes() == b"text"
    assert [r for r in hub.requests if r.host == "cas" and "reconstructions" in r.path]
    assert set(hub.world.buckets) == {"me/store", "you/public"}


def test_copies(hub: FakeHub, client: Client) -> None:
    """From another bucket and from a repository, without moving bytes; a file system reads what is there."""
    hub.add_repo("dataset", "you/data", files={"a/train.parquet": BIG}, xet=True)
    result = client("""
        api.copy_files("hf://buckets/you/public/big.dat", "hf://buckets/me/store/copies/")
        api.copy_files("hf://datasets/you/data/a", "hf://buckets/me/store/data/")
        fs = HfFileSystem()
        result = [sorted(fs.find("buckets/me/store")), len(fs.cat("buckets/me/store/copies/big.dat"))]
    """)
    assert hub.bucket_files("me/store")["copies/big.dat"] == BIG
    assert [path for path in hub.bucket_files("me/store") if path.endswith("train.parquet")]
    assert result[1] == len(BIG)


def test_pages_and_lexical_prefixes(client: Client, hub: FakeHub) -> None:
    """`logs` finds `logs.json` too, and a long list comes in pages."""
    hub.add_bucket("me/many", files={f"d/{n}.txt": b"x" for n in range(7)})
    result = client("""
        result = [[f.path for f in api.list_bucket_tree("me/store", prefix="logs")],
                  [f.path for f in api.list_bucket_tree("me/many", recursive=True)]]
    """)
    assert result == [["logs.json", "logs/a.txt"], [f"d/{n}.txt" for n in range(7)]]
    assert [r for r in hub.requests if "cursor=" in r.target]


@pytest.mark.parametrize("token", [None, OTHER])
def test_a_private_bucket_is_unknown_to_others(client: Client, token: str | None) -> None:
    assert client.failure('api.bucket_info("me/store")', token)[0] == "BucketNotFoundError"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/api/buckets/me/store/batch"),
        ("GET", "/api/buckets/me/store/xet-write-token"),
        ("PUT", "/api/buckets/me/store/settings"),
        ("DELETE", "/api/buckets/me/store"),
        ("POST", "/api/buckets/me/new"),
    ],
)
async def test_a_reader_changes_nothing(hub: FakeHub, method: str, target: str) -> None:
    assert (await ask(hub, method, target, READER, body=b"{}"))[0] == 403
    assert set(hub.bucket_files("me/store")) == {"logs/a.txt", "logs.json"}


async def test_a_batch_says_what_failed(hub: FakeHub) -> None:
    """Content nobody uploaded, a copy out of a bucket that is not readable, a file that is not there."""
    hub.add_bucket("you/secret", private=True, files={"s": b"secret"})
    secret = hub.world.buckets["you/secret"].files["s"].xet
    lines = [
        {"type": "addFile", "path": "a", **XET, "mtime": 1},
        {"type": "addFile", "path": "b", "xetHash": secret, "mtime": 1},
        {"type": "copyFile", "path": "c", "xetHash": secret, "sourceRepoType": "bucket", "sourceRepoId": "you/secret"},
        {"type": "deleteFile", "path": "nothing"},
    ]
    gone = {"type": "deleteFile", "path": "logs.json"}
    for changes, status in ((lines, 422), ([*lines, gone], 200)):
        body = "\n".join(map(json.dumps, changes)).encode()
        answer = await ask(hub, "POST", "/api/buckets/me/store/batch", REAL, body=body)
        assert answer[0] == status
        assert [item["path"] for item in json.loads(answer[1])["failed"]] == ["a", "b", "c", "nothing"]
    assert set(hub.bucket_files("me/store")) == {"logs/a.txt"}
    assert (await ask(hub, "POST", "/api/buckets/me/store/batch", REAL, body=b"{"))[0] == 400


async def test_no_such_file(hub: FakeHub) -> None:
    status, _, headers = await ask(hub, "HEAD", "/buckets/me/store/resolve/nope", REAL)
    assert (status, headers["X-Error-Code"]) == (404, "EntryNotFound")
