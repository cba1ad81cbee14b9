"""An answer of the Hub, by whichever way it was asked (`daemon.upstream`)."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp

from hfproxy.core.headers import Headers, by_name, downward


class Reply:
    """The head of an answer: `down`, what of its headers goes to the client, and all `fields` by lower-case name.

    `whole` is its body, where all of it is there; else it comes as `content`. Leaving it gives the connection back.
    """

    __slots__ = ("content", "down", "fields", "lent", "status", "whole")

    def __init__(
        self,
        status: int,
        down: Headers,
        fields: dict[str, str],
        whole: bytes | None = None,
        content: aiohttp.StreamReader | None = None,
    ) -> None:
        self.status, self.down, self.fields, self.whole, self.content = status, down, fields, whole, content
        self.lent: Callable[..., None] | None = None
        """Takes the connection back that was lent for it; `whole`: the answer was read to its end."""

    @classmethod
    def of(cls, status: int, headers: Headers, content: aiohttp.StreamReader) -> Self:
        """One whose body is still to come."""
        return cls(status, downward(headers), by_name(headers), None, content)

    def field(self, name: str) -> str:
        """What a header says, by its lower-case name; empty where it is missing."""
        return self.fields.get(name, "")

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """How long the body says it is."""
        length = self.fields.get("content-length", "")
        return int(length) if length.isascii() and length.isdigit() else None

    async def read(self) -> bytes:
        """The whole body."""
        return await self.content.read() if self.content is not None else self.whole or b""

    async def leave(self) -> None:
        """Nothing more is wanted of it."""
        if self.lent is not None:
            self.lent(whole=self.content is None or self.content.is_eof())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
