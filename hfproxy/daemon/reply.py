"""An answer of the Hub, by whichever way it was asked (`daemon.upstream`)."""

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from hfproxy.core.headers import Headers, merged, to_client
from hfproxy.core.rewrite import URL_HEADERS

if TYPE_CHECKING:
    from hfproxy.daemon.one_piece import UpstreamConnection

# What anybody here wants to know of an answer.
READ_FIELDS: Final = URL_HEADERS | {
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "x-error-code",
    "x-error-message",
}


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
        self.connection: UpstreamConnection | None = None  # the connection that it comes over, if that is one of ours

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
