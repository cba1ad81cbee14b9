"""An answer of the Hub, by whichever way it was asked (`daemon.upstream`)."""

from types import TracebackType
from typing import Self

import aiohttp

from hfproxy.core.headers import Answered
from hfproxy.daemon.one_piece import Body


class Reply:
    """The head of an answer; `content` is the body as it comes. Leaving it gives the connection back."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: Answered, content: aiohttp.StreamReader | Body) -> None:
        self.status, self.headers, self.content = status, headers, content

    def field(self, name: str) -> str:
        """What a header says, by its lower-case name; empty where it is missing."""
        return self.headers.fields.get(name, "")

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.field("content-type").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """How long the body says it is."""
        length = self.field("content-length")
        return int(length) if length.isascii() and length.isdigit() else None

    async def read(self) -> bytes:
        """The whole body."""
        return await self.content.read()

    async def leave(self) -> None:
        """Nothing more is wanted of it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
