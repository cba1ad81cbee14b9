"""The way to the Hub, against real servers over real TLS: what is sent, to whom, and what is made of failures."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from hfproxy.config import UpstreamSettings as Settings
from hfproxy.core.http.headers import UpstreamHeaders
from hfproxy.daemon.accounts.model import Account, AccountToken, Origin
from hfproxy.daemon.runtime.eager import EagerCoroutine
from hfproxy.daemon.upstream.client import SKIPPED_AUTO_HEADERS, Body, UpstreamClient
from hfproxy.daemon.upstream.hub_api import HubApi
from hfproxy.errors import AccountError, ConfigError, UpstreamError
from hfproxy.secret import Secret

TOKEN = "hf_" + "UpStream" * 4 + "ab"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


class Server:
    """One that says what it is told to, and keeps every byte of every request."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self, context: ssl.SSLContext | None = None) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head + await self._body(head, reader))
                writer.write(self.answer)
                await writer.drain()
                if not self.answer.startswith(b"HTTP/1.1"):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _body(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        if b"transfer-encoding: chunked" in head.lower():
            return await reader.readuntil(b"0\r\n\r\n")
        _, _, rest = head.lower().partition(b"content-length: ")
        return await reader.readexactly(int(rest.partition(b"\r\n")[0] or 0))


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@asynccontextmanager
async def upstream(hub: str, ca_file: Path | None = None) -> AsyncIterator[UpstreamClient]:
    found = UpstreamClient(Settings(hub=hub, ca_file=None if ca_file is None else str(ca_file)))
    try:
        yield found
    finally:
        await found.close()


def held(origin: Origin) -> AccountToken:
    account = Account(name="work", origin=origin, user="me", user_id="1", fullname="Me", role="read")
    return AccountToken(account, Secret(TOKEN))


async def send(
    to: UpstreamClient,
    target: str = "/api/models/me/x",
    *,
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    body: Body = None,
    who: AccountToken | None = None,
) -> tuple[int, bytes]:
    answer = await to.send(method, target, UpstreamHeaders(headers), body, who)
    async with answer:
        return answer.status, await answer.read()


class TestWhatIsSent:
    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "/api/models/me/x/revision/refs%2Fpr%2F1",
            "/me/x/resolve/main/a%20b%23c%3Fd%C3%A9.txt",
            "/me/x/resolve/main/a%2fB%2Fc",
            "/api/models?expand=a&expand=b&expand[]=c&search=%E4%B8%AD+x&empty=&=&flag",
            "/api/models?a=1;b=2&q='()*!~@:$,",
            "/a//b",
            "/a/./b/../c",
            "/%61bc",
            "/a?b?c/../d",
            '/a?"<>|{}^`\\',
        ],
    )
    async def test_the_target_arrives_byte_for_byte(self, target: str) -> None:
        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            await send(to, target)
        assert hub.requests[0].split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()

    @pytest.mark.parametrize("target", ["/a#b", "/a?b#c", "//evil.example/x", "/a?b\u00e9"])
    async def test_one_that_no_client_sends_arrives_so_too_or_is_not_sent(self, target: str) -> None:
        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            try:
                await send(to, target)
            except UpstreamError as error:
                assert "nothing was sent" in str(error)
                assert hub.requests == []
            else:
                assert hub.requests[0].split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()

    async def test_the_clients_headers_and_nothing_of_our_own(self) -> None:
        given = (("X-A", "1"), ("X-A", "2"), ("User-Agent", "theirs/1"))
        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            await send(to, headers=given)
            await send(to)
        with_theirs, bare = (request.decode().split("\r\n")[1:-2] for request in hub.requests)
        host = f"Host: 127.0.0.1:{hub.port}"
        assert sorted(with_theirs) == sorted([host, "X-A: 1", "X-A: 2", "User-Agent: theirs/1"])
        assert bare == [host]
        assert not [name for name in SKIPPED_AUTO_HEADERS if name.lower() in hub.requests[1].decode().lower()]

    async def test_bodies_go_as_they_come(self) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            await send(to, method="POST", body=b"\x00whole", headers=(("Content-Length", "6"),))
            await send(to, method="POST", body=parts(), headers=(("Content-Length", "6"),))
            await send(to, method="POST", body=parts())
        bodies = [request.partition(b"\r\n\r\n")[2] for request in hub.requests]
        assert bodies == [b"\x00whole", b"onetwo", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"]

    async def test_no_cookie_is_kept_and_no_netrc_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("default login me password from-netrc\n")
        monkeypatch.setenv("NETRC", str(netrc))
        answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=1; Path=/\r\nContent-Length: 0\r\n\r\n"
        async with Server(answer).listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            await send(to)
            await send(to)
        assert [b"cookie" in request.lower() or b"authorization" in request.lower() for request in hub.requests] == [
            False,
            False,
        ]

    async def test_the_answer_is_neither_unpacked_nor_judged(self) -> None:
        answer = b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
        async with Server(answer).listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            assert await send(to) == (500, b"nope")

    async def test_signed_addresses_of_storage_fit_into_a_header(self) -> None:
        answer = b"HTTP/1.1 302 Found\r\nLocation: https://s/" + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n"
        async with Server(answer).listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            async with await to.send("GET", "/", UpstreamHeaders(()), None, None) as found:
                assert len(found.field("location")) > 200_000


class TestTheToken:
    async def test_it_is_the_only_authorization_and_only_where_an_account_is_given(self) -> None:
        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            await send(to, headers=(("authorization", "Bearer theirs"), ("X", "y")), who=held(to.origin))
            await send(to)
        first, second = (request.decode() for request in hub.requests)
        assert [line for line in first.split("\r\n") if line.lower().startswith("authorization")] == [
            f"Authorization: Bearer {TOKEN}"
        ]
        assert "theirs" not in first
        assert "authorization" not in second.lower()

    async def test_to_be_revoked_it_goes_into_the_body_and_nowhere_else(self) -> None:
        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            assert await HubApi(to).revoke(held(to.origin)) == 200
        (request,) = hub.requests
        head, _, body = request.decode().partition("\r\n\r\n")
        assert head.startswith("POST /api/credentials/revoke HTTP/1.1\r\n")
        assert "authorization" not in head.lower()
        assert TOKEN not in head
        assert json.loads(body) == {"credentials": [TOKEN]}

    async def test_nor_is_it_sent_to_another_origin_to_be_revoked_there(self) -> None:
        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            for origin in (Origin("https://huggingface.co"), Origin(to.origin.url, "another authority")):
                with pytest.raises(AccountError, match="was logged in for"):
                    await HubApi(to).revoke(held(origin))
        assert hub.connections == 0

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
    async def test_a_redirect_is_not_followed_to_anywhere(self, status: int, method: str) -> None:
        async with Server().listening() as elsewhere, Server().listening() as hub:
            place = f"http://127.0.0.1:{elsewhere.port}/"
            hub.answer = f"HTTP/1.1 {status} X\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
            async with upstream(f"http://127.0.0.1:{hub.port}") as to:
                assert (await send(to, method=method, who=held(to.origin)))[0] == status
        assert (len(hub.requests), elsewhere.connections) == (1, 0)

    async def test_an_account_of_another_origin_sends_nothing_at_all(self, ca_file: Path) -> None:
        async with Server().listening() as hub:
            ours = f"http://127.0.0.1:{hub.port}"
            others = [
                Origin("https://huggingface.co"),
                Origin(f"https://127.0.0.1:{hub.port}"),
                Origin(f"http://localhost:{hub.port}"),
                Origin(f"http://127.0.0.1:{hub.port + 1}"),
                Origin(ours, ca="0" * 64),
                Origin(""),
            ]
            async with upstream(ours) as to:
                for origin in others:
                    assert not to.accepts_token_of(held(origin))
                    with pytest.raises(AccountError, match=r"account 'work' .* run: hf-proxy login") as caught:
                        await send(to, who=held(origin))
                    assert TOKEN not in str(caught.value)
                assert to.accepts_token_of(held(Origin(ours.upper().replace("HTTP", "http"))))
        assert hub.connections == 0

    async def test_another_authority_is_another_origin(self, authority: trustme.CA, ca_file: Path) -> None:
        """It could vouch for somebody else under the Hub's own name."""
        other = ca_file.with_name("other.pem")
        trustme.CA().cert_pem.write_to_path(str(other))
        async with upstream("https://localhost:1", ca_file) as one, upstream("https://localhost:1", other) as two:
            assert one.accepts_token_of(held(one.origin))
            assert not one.accepts_token_of(held(two.origin))
            assert not two.accepts_token_of(held(one.origin))
        async with upstream("https://localhost:1") as without:
            assert not without.accepts_token_of(held(one.origin))
            assert not one.accepts_token_of(held(without.origin))


class TestTLS:
    async def answered(self, hub: str, ca_file: Path | None) -> int:
        async with upstream(hub, ca_file) as to:
            return (await send(to, who=held(to.origin)))[0]

    async def test_a_certificate_of_the_named_authority_is_good(self, authority: trustme.CA, ca_file: Path) -> None:
        async with Server().listening(serving(authority, "localhost")) as hub:
            assert await self.answered(f"https://localhost:{hub.port}", ca_file) == 200

    @pytest.mark.parametrize("flaw", ["unknown authority", "another name", "expired"])
    async def test_any_other_is_not_and_nothing_was_sent(self, authority: trustme.CA, ca_file: Path, flaw: str) -> None:
        context = serving(
            authority if flaw != "unknown authority" else trustme.CA(),
            "localhost" if flaw != "another name" else "huggingface.co",
        )
        if flaw == "expired":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            long_ago = datetime(2001, 1, 1, tzinfo=UTC)
            authority.issue_cert("localhost", not_after=long_ago).configure_cert(context)
        async with Server().listening(context) as hub:
            with pytest.raises(UpstreamError, match=r"certificate .* upstream\.ca_file"):
                await self.answered(f"https://localhost:{hub.port}", ca_file)
        assert hub.requests == []

    async def test_an_old_version_of_tls_is_not_spoken(self, authority: trustme.CA, ca_file: Path) -> None:
        context = serving(authority, "localhost")
        with pytest.warns(DeprecationWarning):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        async with Server().listening(context) as hub:
            with pytest.raises(UpstreamError):
                await self.answered(f"https://localhost:{hub.port}", ca_file)
        assert hub.requests == []

    async def test_plain_http_behind_an_https_address_is_not_spoken(self, ca_file: Path) -> None:
        async with Server().listening() as hub:
            with pytest.raises(UpstreamError):
                await self.answered(f"https://localhost:{hub.port}", ca_file)
        assert hub.requests == []

    async def test_no_session_keys_are_written(
        self, authority: trustme.CA, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        async with Server().listening(serving(authority, "localhost")) as hub:
            assert await self.answered(f"https://localhost:{hub.port}", ca_file) == 200
        assert not (tmp_path / "keys").exists()

    @pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff", b"-----BEGIN CERTIFICATE-----\nAA\n"])
    async def test_an_authority_that_cannot_be_read_is_named(self, tmp_path: Path, content: bytes | None) -> None:
        if content is not None:
            (tmp_path / "ca").write_bytes(content)
        with pytest.raises(ConfigError, match=rf"upstream\.ca_file '{tmp_path}/ca'"):
            UpstreamClient(Settings(hub="https://localhost:1", ca_file=str(tmp_path / "ca")))


class CorporateProxy(Server):
    """A CONNECT proxy that goes where it is told, to a Hub of the test."""

    def __init__(self, to: int) -> None:
        super().__init__()
        self.to = to

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class TestCorporateProxy:
    @pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
    async def test_one_of_the_daemons_own_environment_carries_what_it_cannot_read(
        self, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        async with (
            Server().listening(serving(authority, "hub.example")) as hub,
            CorporateProxy(hub.port).listening() as via,
        ):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{via.port}")
            async with upstream("https://hub.example", ca_file) as to:
                assert await send(to, who=held(to.origin)) == (200, b"ok")
        (asked,) = via.requests
        assert asked.startswith(b"CONNECT hub.example:443 HTTP/1.1\r\n")
        assert TOKEN.encode() not in asked
        assert TOKEN.encode() in hub.requests[0]

    async def test_it_carries_what_no_task_asks(
        self, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[tuple[int, bytes]] = []
        async with (
            Server().listening(serving(authority, "hub.example")) as hub,
            CorporateProxy(hub.port).listening() as via,
        ):
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{via.port}")
            async with upstream("https://hub.example", ca_file) as to:

                async def ask() -> None:
                    said.append(await send(to))

                driven = EagerCoroutine(ask())
                asyncio.get_running_loop().call_soon(driven.resume)  # as a plain request is (`daemon.visitor`)
                await asyncio.sleep(0)
                await driven.join(10)
        assert said == [(200, b"ok")]

    @pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
    async def test_none_carries_plain_http(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        async with Server().listening() as hub, Server().listening() as via:
            monkeypatch.setenv(variable, f"http://127.0.0.1:{via.port}")
            async with upstream(f"http://127.0.0.1:{hub.port}") as to:
                assert (await send(to, who=held(to.origin)))[0] == 200
        assert via.connections == 0

    async def test_no_proxy_is_honoured(
        self, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with Server().listening(serving(authority, "localhost")) as hub, Server().listening() as via:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{via.port}")
            monkeypatch.setenv("no_proxy", "localhost")
            async with upstream(f"https://localhost:{hub.port}", ca_file) as to:
                assert (await send(to))[0] == 200
        assert via.connections == 0

    async def test_one_that_is_not_there_is_an_upstream_error(
        self, ca_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("https_proxy", "http://me:password@127.0.0.1:9")
        async with upstream("https://hub.example", ca_file) as to:
            with pytest.raises(
                UpstreamError, match=r"proxy 127\.0\.0\.1:9 cannot be reached; check HTTPS_PROXY"
            ) as caught:
                await send(to, who=held(to.origin))
        assert "password" not in str(caught.value)

    async def test_one_that_refuses_is_named_with_its_answer(
        self, ca_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusing = Server(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        async with refusing.listening() as via:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{via.port}")
            async with upstream("https://hub.example", ca_file) as to:
                with pytest.raises(
                    UpstreamError, match=rf"proxy 127\.0\.0\.1:{via.port} answers 407; check HTTPS_PROXY"
                ):
                    await send(to, who=held(to.origin))
        assert TOKEN.encode() not in via.requests[0]


class TestFailures:
    async def test_nobody_there(self) -> None:
        async with Server().listening() as gone:
            pass
        async with upstream(f"http://127.0.0.1:{gone.port}") as to:
            with pytest.raises(UpstreamError, match=rf"127\.0\.0\.1:{gone.port} cannot be reached; .*upstream\.hub"):
                await send(to)

    async def test_a_name_that_does_not_resolve(self) -> None:
        async with upstream("https://hub.invalid") as to:
            with pytest.raises(UpstreamError, match=r"hub\.invalid cannot be reached"):
                await send(to)

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"not http\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
        ],
        ids=["nothing", "garbage", "no length", "two lengths", "length and chunks", "endless header"],
    )
    async def test_an_answer_that_is_none_is_an_upstream_error_without_its_words(self, answer: bytes) -> None:
        async with Server(answer).listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            with pytest.raises(UpstreamError, match="broke off") as caught:
                await send(to, who=held(to.origin))
        assert len(str(caught.value)) < 200
        assert TOKEN not in str(caught.value)

    async def test_what_changes_something_is_never_sent_twice(self) -> None:
        """A connection that was kept and is dead may have carried the request, or not."""
        async with Server().listening() as hub, upstream(f"http://127.0.0.1:{hub.port}") as to:
            await send(to)
            hub.answer = b"x"
            with pytest.raises(UpstreamError):
                await send(to, method="POST", body=b"once", headers=(("Content-Length", "4"),))
        assert [request.split()[0] for request in hub.requests] == [b"GET", b"POST"]
