"""The one page, in process: real listener, grants, journal and upstream, and a Hub that answers everything alike."""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hfproxy.config import UpstreamSettings
from hfproxy.core.policy import admission
from hfproxy.core.policy.broker import Broker
from hfproxy.core.policy.caveats import Caveat, InScopes, MaxUses
from hfproxy.core.policy.grant import Grant, GrantTerms
from hfproxy.core.policy.scope import parse
from hfproxy.daemon.accounts.cache import AccountCache
from hfproxy.daemon.accounts.model import Account, AccountKey, AccountToken, Origin
from hfproxy.daemon.accounts.registry import AccountRegistry
from hfproxy.daemon.grants.registry import GrantRegistry
from hfproxy.daemon.grants.store import GrantStore
from hfproxy.daemon.journal.reader import JournalQuery, query
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.daemon.listen.limits import ConnectionLimiter
from hfproxy.daemon.listen.listener import HttpListener
from hfproxy.daemon.proxy import handler
from hfproxy.daemon.proxy.handler import ProxyHandler
from hfproxy.daemon.proxy.push import PushBody
from hfproxy.daemon.proxy.recorder import RequestRecorder
from hfproxy.daemon.runtime.users import AllowedUsers
from hfproxy.daemon.tokens.health import TokenHealth
from hfproxy.daemon.upstream.client import UpstreamClient
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.secret import Secret
from hfproxy.vault.memory import MemoryVault

ME = os.getuid()
TOKEN = "hf_" + "OnePage" * 4 + "abcd"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
MODEL = "/api/models/me/a"
ZERO, OLD, NEW = "0" * 40, "1" * 40, "2" * 40


def packet(line: str) -> bytes:
    return b"%04x%s" % (len(line) + 4, line.encode())


def pushes(old: str, new: str) -> bytes:
    """A push of one branch, with a pack that proves nothing."""
    return packet(f"{old} {new} refs/heads/main\0report-status\n") + b"0000PACK"


class Scene:
    """A daemon's data plane; `asks` counts what every request asked the broker and the clock."""

    def __init__(self, grants: GrantRegistry, accounts: AccountRegistry, journal: JournalWriter, port: int) -> None:
        self.grants, self.accounts, self.journal, self.port = grants, accounts, journal, port
        self.hub: list[bytes] = []
        self.asks: Counter[str] = Counter()

    async def mint(self, *scopes: str, caveats: tuple[Caveat, ...] = (), **terms: Any) -> tuple[Grant, str]:
        """A grant of the account `default`."""
        account = self.accounts.cache.get(AccountKey(ME, "default"))
        assert account is not None
        parsed = tuple(map(parse, scopes))
        return await self.grants.mint(
            GrantTerms(
                "default", parsed, 600, (InScopes(parsed), *caveats), login=account.account.login, uid=ME, **terms
            )
        )

    async def ask(
        self, target: str = MODEL, bearer: str | None = None, body: bytes | None = None, *more: str, method: str = ""
    ) -> tuple[int, str, str]:
        """One request: the status, the refusal and the body of its answer."""
        self.asks.clear()
        fields = [f"Host: 127.0.0.1:{self.port}", *([f"Authorization: Bearer {bearer}"] if bearer else []), *more]
        method = method or ("GET" if body is None else "POST")
        fields += [] if body is None else [f"Content-Length: {len(body)}"]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode() + (body or b""))
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        named = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        text = await reader.readexactly(0 if method == "HEAD" else int(named.get("content-length", "0")))
        writer.close()
        return int(head.split()[1]), named.get("x-hf-proxy-refusal", ""), text.decode()

    async def entries(self) -> list[dict[str, Any]]:
        """The journal's lines on requests."""
        lines = [entry async for entry in query(self.journal, JournalQuery()) if entry]
        return [line for line in lines if line["kind"] in {"decided", "completed"}]


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with _serving(tmp_path) as scene:
        for name in ("evaluate", "count_use"):
            monkeypatch.setattr(Broker, name, _counted(scene.asks, name, vars(Broker)[name]))
        for name in ("get", "locked_to"):
            monkeypatch.setattr(AccountCache, name, _counted(scene.asks, name, vars(AccountCache)[name]))
        monkeypatch.setattr(handler, "now", _counted(scene.asks, "now", handler.now))
        yield scene


def _counted(counts: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*given: Any) -> Any:
        counts[name] += 1
        return function(*given)

    return counted


@asynccontextmanager
async def _serving(tmp_path: Path) -> AsyncIterator[Scene]:
    heard: list[bytes] = []

    async def hub(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"chunked" in head.lower():
                    await reader.readuntil(b"0\r\n\r\n")
                elif b"content-length: " in head.lower():
                    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
                heard.append(head)
                writer.write(OK)
        writer.close()

    server = await asyncio.start_server(hub, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    journal, store = JournalWriter(tmp_path / "journal"), GrantStore(tmp_path)
    grants, accounts = GrantRegistry(journal, store, 43_200), AccountRegistry(MemoryVault())
    account = Account(name="default", origin=Origin(origin), user="me", user_id="1", fullname="Me", role="write")
    await accounts.put(AccountToken(account, Secret(TOKEN)))
    upstream, recorder = UpstreamClient(UpstreamSettings(hub=origin)), RequestRecorder(journal)
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    page = ProxyHandler(
        admission.loopback(port),
        tmp_path,
        upstream,
        accounts.cache,
        grants,
        recorder,
        TokenHealth(HubApi(upstream), accounts, journal),
        {},
    )
    listener = HttpListener(bound, ConnectionLimiter(AllowedUsers()), page.handle)
    await listener.start()
    scene = Scene(grants, accounts, journal, port)
    scene.hub = heard
    try:
        yield scene
    finally:
        await listener.drain(0)
        await upstream.close()
        server.close()
        await grants.close()
        store.close()
        journal.close()


async def test_an_allowed_request_is_evaluated_once_as_of_one_moment(scene: Scene) -> None:
    grant, bearer = await scene.mint("read:me/a")
    for used in (1, 2):
        assert await scene.ask(MODEL, bearer) == (200, "", "{}")
        # `now` twice: when it was received, and when it was decided
        assert scene.asks == {"evaluate": 1, "count_use": 1, "get": 1, "locked_to": 1, "now": 2}
        assert grant.uses == used
    assert TOKEN.encode() in scene.hub[-1]
    assert [(line["kind"], line.get("decision"), line["action"]) for line in await scene.entries()] == [
        ("decided", "allow", "read"),
        ("completed", None, "read"),
    ] * 2


async def test_a_read_outside_of_the_scope_goes_without_the_token_and_is_evaluated_once(scene: Scene) -> None:
    _, bearer = await scene.mint("read:me/b")
    assert await scene.ask(MODEL, bearer) == (200, "", "{}")
    assert scene.asks["evaluate"] == 1
    assert b"authorization" not in scene.hub[-1].lower()
    assert [line.get("decision") for line in await scene.entries()] == ["anonymous", None]


async def test_a_refused_request_counts_no_use_and_reaches_no_hub(scene: Scene) -> None:
    grant, bearer = await scene.mint("read:me/b", strict=True, caveats=(InScopes((parse("read:me/b"),), strict=True),))
    status, refusal, _ = await scene.ask(MODEL, bearer)
    assert (status, refusal) == (403, "strict")
    assert scene.asks == {"evaluate": 1, "get": 1, "locked_to": 1, "now": 2}
    assert (grant.uses, scene.hub) == (0, [])
    [line] = await scene.entries()
    assert (line["decision"], line["refusal"], line["repo"]) == ("deny", "strict", "models/me/a")


async def test_the_last_use_is_the_last(scene: Scene) -> None:
    _, bearer = await scene.mint("read:me/*", caveats=(MaxUses(1),))
    assert (await scene.ask(MODEL, bearer))[0] == 200
    assert (await scene.ask(MODEL, bearer))[:2] == (403, "limit")


async def test_a_dead_token_refuses_what_needs_it_and_not_what_goes_without(scene: Scene) -> None:
    _, wide = await scene.mint("read:me/a")
    _, narrow = await scene.mint("read:me/b")
    _, strict = await scene.mint("read:me/b", caveats=(InScopes((parse("read:me/b"),), strict=True),))
    held = scene.accounts.cache.get(AccountKey(ME, "default"))
    assert held is not None
    await scene.accounts.mark_revoked(held, 1)
    status, refusal, text = await scene.ask(MODEL, wide)
    assert (status, refusal) == (403, "account")
    assert "hf-proxy rotate --account default" in text
    assert (await scene.ask(MODEL, narrow))[:2] == (200, "")
    # what is refused anyway is told of the account first: no scope would help
    assert (await scene.ask(MODEL, strict))[:2] == (403, "account")
    assert (await scene.ask("/api/whoami-v2", narrow))[:2] == (403, "account")
    assert len(scene.hub) == 1


async def test_a_locked_account_is_refused_before_the_caveats_are_asked(scene: Scene) -> None:
    _, bearer = await scene.mint("read:me/b")
    scene.accounts.cache.suspend(ME)
    for target in (MODEL, "/api/whoami-v2"):
        assert (await scene.ask(target, bearer))[:2] == (403, "locked")
        assert scene.asks["evaluate"] == 0
    assert scene.hub == []


async def test_whoami_needs_no_scope_and_is_no_use(scene: Scene) -> None:
    grant, bearer = await scene.mint("read:me/b", caveats=(MaxUses(1),))
    status, _, text = await scene.ask("/api/whoami-v2", bearer)
    assert (status, '"name": "me"' in text) == (200, True)
    assert scene.asks == {"evaluate": 1, "get": 1, "locked_to": 1, "now": 2}
    assert (grant.uses, scene.hub) == (0, [])
    [line] = await scene.entries()
    assert (line["kind"], line["decision"], line.get("action")) == ("decided", "allow", None)
    await scene.ask(MODEL, bearer)
    assert (await scene.ask("/api/whoami-v2", bearer))[:2] == (403, "limit")


async def test_telemetry_is_answered_here_and_not_recorded(scene: Scene) -> None:
    _, bearer = await scene.mint("read:me/b")
    for given in (bearer, None, "hf_px_" + "a" * 33):
        assert await scene.ask("/api/telemetry/x", given, method="HEAD") == (200, "", "")
        assert scene.asks["evaluate"] == 0
    assert (scene.hub, await scene.entries()) == ([], [])


async def test_a_browser_without_a_credential_is_sent_to_the_hub_and_one_with_a_wrong_credential_is_not(
    scene: Scene,
) -> None:
    html = "Accept: text/html"
    assert (await scene.ask("/me/a", None, None, html))[0] == 302
    assert (await scene.ask("/me/a/../b", None, None, html))[:2] == (400, "bad_target")
    assert (await scene.ask(MODEL, "hf_px_" + "a" * 33, None, html))[:2] == (401, "unknown_credential")
    assert scene.hub == []


async def test_a_strangers_body_is_not_read(scene: Scene) -> None:
    """The length is a lie: were the body waited for, there would be no answer."""
    lie = "Transfer-Encoding: chunked"
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    host = f"Host: 127.0.0.1:{scene.port}"
    writer.write(
        f"POST /api/repos/create HTTP/1.1\r\n{host}\r\nContent-Type: application/json\r\n{lie}\r\n\r\n".encode()
    )
    assert b" 401 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_a_push_that_is_allowed_as_it_stands_is_not_spooled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled: Counter[str] = Counter()
    monkeypatch.setattr(
        PushBody, "prove_fast_forward", _counted(spooled, "prove", vars(PushBody)["prove_fast_forward"])
    )
    _, bearer = await scene.mint("write:me/a", "delete:me/a")
    assert (await scene.ask("/me/a.git/git-receive-pack", bearer, pushes(OLD, NEW)))[0] == 200
    assert (scene.asks["evaluate"], scene.asks["count_use"], spooled["prove"]) == (2, 1, 0)


async def test_a_push_that_no_proof_could_allow_is_not_spooled(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    spooled: Counter[str] = Counter()
    monkeypatch.setattr(
        PushBody, "prove_fast_forward", _counted(spooled, "prove", vars(PushBody)["prove_fast_forward"])
    )
    _, bearer = await scene.mint("read:me/a")
    _, refusal, _ = await scene.ask("/me/a.git/git-receive-pack", bearer, pushes(OLD, NEW))
    assert refusal == "scope"
    assert (scene.asks["evaluate"], spooled["prove"], scene.hub) == (3, 0, [])


async def test_a_push_that_a_proof_could_allow_is_spooled_and_evaluated_anew_and_its_spool_is_closed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools: list[Any] = []
    prove = PushBody.prove_fast_forward

    async def kept(self: PushBody, directory: Path) -> Any:
        proven = await prove(self, directory)
        spools.append(self._spool)
        return proven

    monkeypatch.setattr(PushBody, "prove_fast_forward", kept)
    grant, bearer = await scene.mint("write:me/a")
    await scene.ask("/me/a.git/git-receive-pack", bearer, pushes(OLD, NEW))
    assert scene.asks["evaluate"] == 3  # as it stands, at best, and with what was proven: nothing
    assert [spool.closed for spool in spools] == [True]
    assert (grant.uses, scene.hub) == (0, [])


async def test_the_less_powerful_account_is_chosen_and_named_in_the_journal(scene: Scene) -> None:
    held = scene.accounts.cache.get(AccountKey(ME, "default"))
    assert held is not None
    reader = AccountToken(replace(held.account, name="reader", role="read"), Secret("hf_" + "Reader" * 5 + "abcd"))
    await scene.accounts.put(reader)
    _, bearer = await scene.mint("read:me/a", "write:me/a")
    await scene.ask(MODEL, bearer)
    assert b"hf_ReaderReader" in scene.hub[-1]
    assert [line["account"] for line in await scene.entries()] == ["reader", "reader"]
    _, named = await scene.mint("read:me/a", named=True)
    await scene.ask(MODEL, named)
    assert TOKEN.encode() in scene.hub[-1]
