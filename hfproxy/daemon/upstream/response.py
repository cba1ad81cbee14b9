"""A response of the Hub: one type for the connection pool and for aiohttp's session."""

import asyncio
from types import TracebackType
from typing import Final, Protocol, Self

import aiohttp

from hfproxy.core.http.headers import Headers, merged, to_client
from hfproxy.core.hub.rewrite import URL_HEADERS

# The headers that the daemon itself reads.
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
    """The head of a response, and its body: all of it, or a stream. Leaving its context releases the connection.

    Attributes:
        status: the status code.
        client_headers: the headers that are forwarded to the client.
        fields: the READ_FIELDS by lower-case name; repeated fields are joined to one list (RFC 9110 §5.3).
        buffered: the body, if it arrived together with the head.
        stream: the body otherwise.
        connection: the connection of the pool that it arrives on; None for a response of aiohttp's session.
    """

    __slots__ = ("buffered", "client_headers", "connection", "fields", "status", "stream")

    def __init__(
        self,
        status: int,
        client_headers: Headers,
        fields: dict[str, str],
        buffered: bytes | None = None,
        stream: aiohttp.StreamReader | None = None,
    ) -> None:
        self.status, self.client_headers, self.fields = status, client_headers, fields
        self.buffered, self.stream = buffered, stream
        self.connection: BodySource | None = None

    @classmethod
    def of(cls, status: int, headers: Headers, stream: aiohttp.StreamReader) -> Self:
        """Make a response from its parsed headers and the stream of its body."""
        fields = {name: value for name, value in merged(headers).items() if name in READ_FIELDS}
        return cls(status, to_client(headers), fields, None, stream)

    def field(self, name: str) -> str:
        """Return the value of one of the READ_FIELDS by its lower-case name; empty if it is missing."""
        return self.fields.get(name, "")

    @property
    def content_length(self) -> int:
        """The body's length in bytes according to `Content-Length`; 0 without one."""
        length = self.fields.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else 0

    async def read(self) -> bytes:
        """Read the body to its end."""
        return await self.stream.read() if self.stream is not None else self.buffered or b""

    async def release(self) -> None:
        """Release the connection. What is left of the body is not read."""
        if self.connection is not None:
            self.connection.release(whole=self.stream is None or self.stream.is_eof())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()
