"""An answer of the Hub, by whichever way it was asked (`daemon.upstream`)."""

import asyncio
from types import TracebackType
from typing import Final, Protocol, Self

import aiohttp

from hfproxy.core.http.headers import Headers, merged, to_client
from hfproxy.core.hub.rewrite import URL_HEADERS

# What anybody here wants to know of an answer.
READ_FIELDS: Final = URL_HEADERS | {
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "x-error-code",
    "x-error-message",
}


class BodySource(Protocol):
    """The connection that a response body is read from."""

    def release(self, *, whole: bool) -> None:
        """End the exchange; `whole`: the response was read to its end, so the connection can be used again."""

    def detach_transport(self) -> asyncio.Transport:
        """The transport, for a protocol that reads the rest of the body; the parser's state is dropped.

        Raises:
            aiohttp.ServerDisconnectedError: the connection is lost.
        """

    def attach_transport(self, transport: asyncio.Transport) -> None:
        """Become the transport's protocol again, after the last byte of the body."""

    def data_received(self, data: bytes) -> None:
        """Bytes that follow the body."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection was lost while the transport was detached."""


class UpstreamResponse:
    """The head of an answer: `down`, what of its headers goes to the client, and `fields`, those that are `ASKED` for,
    by lower-case name; several of one are one list (RFC 9110 §5.3).

    `whole` is its body, where all of it is there; else it comes as `content`. Leaving it gives the connection back.
    """

    __slots__ = ("buffered", "client_headers", "connection", "fields", "status", "stream")

    def __init__(
        self,
        status: int,
        down: Headers,
        fields: dict[str, str],
        whole: bytes | None = None,
        content: aiohttp.StreamReader | None = None,
    ) -> None:
        self.status, self.client_headers, self.fields, self.buffered, self.stream = status, down, fields, whole, content
        self.connection: BodySource | None = None  # None for a response that came through aiohttp's session

    @classmethod
    def of(cls, status: int, headers: Headers, content: aiohttp.StreamReader) -> Self:
        """One whose body is still to come."""
        fields = {name: value for name, value in merged(headers).items() if name in READ_FIELDS}
        return cls(status, to_client(headers), fields, None, content)

    def field(self, name: str) -> str:
        """What a header says, by its lower-case name; empty where it is missing."""
        return self.fields.get(name, "")

    @property
    def content_length(self) -> int:
        """How long the body says it is; 0 where it does not say."""
        length = self.fields.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else 0

    async def read(self) -> bytes:
        """The whole body."""
        return await self.stream.read() if self.stream is not None else self.buffered or b""

    async def release(self) -> None:
        """Nothing more is wanted of it."""
        if self.connection is not None:
            self.connection.release(whole=self.stream is None or self.stream.is_eof())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
