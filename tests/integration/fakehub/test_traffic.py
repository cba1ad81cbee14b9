"""Switches for tests of traffic: everything on record, nothing in memory, silence, and long headers."""

import asyncio
import hashlib
import random
from pathlib import Path

import aiohttp
import pytest
from fakehub import FakeHub, in_thread
from fakehub.bulk import BLOCK_BYTES, MadeUp
from fakehub.presign import presign
from hub_clients.people import REAL
from hub_clients.plain import ask, asking
from hub_clients.python import Client

SIZE = 64 * BLOCK_BYTES + 12_345


class TestEcho:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    @pytest.mark.parametrize("token", [REAL, "hf_nobody", None])
    async def test_every_request_is_answered_and_kept_as_it_came(self, method: str, token: str | None) -> None:
        target = "/api/models/a%2Fb/../x//y?expand=a&expand[]=b&c=%23#"
        body = b"\x1f\x8b not really gzip \x00" * 1000
        async with FakeHub(echo=True) as hub:
            # Written by hand: a client would tidy the target.
            reader, writer = await asking(hub)
            head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nx-ODD-case: \u00fc\r\nContent-Encoding: gzip\r\nConnection: close\r\n"
            head += f"Authorization: Bearer {token}\r\n" if token else ""
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)
            answer = await reader.read()
            writer.close()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"" if method == "HEAD" else b"{}")
        [record] = hub.requests
        assert (record.method, record.target, record.body) == (method, target, body)
        assert record.headers[1] == ("x-ODD-case", "\u00fc")
        assert hub.unknown == []


class TestBulk:
    def test_made_up_content_follows_from_its_position(self) -> None:
        whole = MadeUp(3 * BLOCK_BYTES + 5)
        assert len(whole[0 : len(whole)]) == len(whole)
        assert (
            whole[BLOCK_BYTES - 3 : BLOCK_BYTES + 20] == whole[0 : 2 * BLOCK_BYTES][BLOCK_BYTES - 3 : BLOCK_BYTES + 20]
        )
        assert whole[0:8] != whole[BLOCK_BYTES : BLOCK_BYTES + 8]

    def test_a_made_up_file_is_downloaded(self, hub: FakeHub, client: Client, tmp_path: Path) -> None:
        hub.add_made_up("me/model", "huge.bin", SIZE)
        path = client('result = hf_hub_download("me/model", "huge.bin")')
        data = Path(path).read_bytes()
        assert data == MadeUp(SIZE)[0:SIZE]

    async def test_and_in_ranges(self, hub: FakeHub) -> None:
        hub.add_made_up("me/model", "huge.bin", 10**13)
        _, _, headers = await ask(hub, "GET", "/me/model/resolve/main/huge.bin", REAL)
        assert headers["X-Linked-Size"] == str(10**13)
        last = f"bytes={10**13 - 10}-"
        status, data, headers = await ask(hub, "GET", headers["Location"], Range=last)
        assert (status, data) == (206, MadeUp(10**13)[10**13 - 10 : 10**13])
        assert headers["Content-Length"] == "10"

    @pytest.mark.parametrize("part", [None, 1_000_000])
    def test_an_upload_is_hashed_and_discarded(self, client: Client, tmp_path: Path, part: int | None) -> None:
        data = random.Random(3).randbytes(3_500_000)
        (tmp_path / "up.bin").write_bytes(data)
        with in_thread(discard_uploads=True, multipart_bytes=part) as hub:
            hub.add_user("me", REAL)
            hub.add_repo("model", "me/model")
            client.hub = hub
            upload = 'api.upload_file(path_or_fileobj="up.bin", path_in_repo="up.bin", repo_id="me/model")'
            client(upload, HF_HUB_DISABLE_XET="1")
            entry = hub.repo("me/model").find("main").tree["up.bin"]
            puts = hub.recorder.select("storage", "PUT")
            assert (entry.size, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
            assert sum(put.length for put in puts) == len(data)
            assert all(len(put.body) <= 64 * 1024 for put in puts)
            assert hub.crashes == []

    async def test_a_broken_upload_is_refused_all_the_same(self) -> None:
        async with FakeHub(discard_uploads=True) as hub:
            url = presign(hub.world, "PUT", f"objects/{'0' * 64}")
            assert (await ask(hub, "PUT", url, body=b"something else"))[0] == 400


class TestStreams:
    @pytest.mark.parametrize("target", ["/api/spaces/me/demo/events", "/api/buckets/me/store/events"])
    async def test_a_stream_is_silent_until_woken(self, target: str) -> None:
        async with FakeHub(idle_seconds=60) as hub:
            hub.add_user("me", REAL)
            hub.add_space("me/demo")
            hub.add_bucket("me/store")
            asked = asyncio.create_task(ask(hub, "GET", target, REAL))
            while not any(r.status for r in hub.requests):
                await asyncio.sleep(0)
            assert not asked.done()
            hub.wake()
            status, body, _ = await asked
        assert status == 200
        assert body.endswith(b'event: awake\ndata: {"woken": true}\n\n')

    async def test_or_for_a_set_time(self) -> None:
        async with FakeHub(idle_seconds=0.1) as hub:
            hub.add_user("me", REAL)
            hub.add_space("me/demo")
            assert b'"woken": false' in (await ask(hub, "GET", "/api/spaces/me/demo/events", REAL))[1]

    async def test_a_long_header(self) -> None:
        """`xet_token_padding` makes one; a client has to be told to take it."""
        async with FakeHub(xet_token_padding=40_000) as hub:
            hub.add_user("me", REAL)
            hub.add_repo("model", "me/model")
            target = "/api/models/me/model/xet-read-token/main"
            with pytest.raises(aiohttp.ClientError):
                await ask(hub, "GET", target, REAL)
            reader, writer = await asking(hub, limit=1 << 20)
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {REAL}\r\nConnection: close\r\n\r\n".encode()
            )
            head = (await reader.read()).partition(b"\r\n\r\n")[0]
            writer.close()
        assert max(map(len, head.split(b"\r\n"))) > 40_000
