"""An answer of the Hub, by whichever way it was asked (`daemon.upstream`)."""

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from hfproxy.core.headers import Headers, by_name, downward
from hfproxy.core.rewrite import NAMING_HUB

if TYPE_CHECKING:
    from hfproxy.daemon.one_piece import Link

# What anybody here wants to know of an answer.
ASKED: Final = NAMING_HUB | {
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "x-error-code",
    "x-error-message",
}


class Reply:
    """The head of an answer: `down`, what of its headers goes to the client, and `fields`, those that are `ASKED` for,
    by lower-case name; several of one are one list (RFC 9110 §5.3).

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
        self.lent: Link | None = None  # the connection that it comes over, if that is one of ours

    @classmethod
    def of(cls, status: int, headers: Headers, content: aiohttp.StreamReader) -> Self:
        """One whose body is still to come."""
        fields = {name: value for name, value in by_name(headers).items() if name in ASKED}
        return cls(status, downward(headers), fields, None, content)

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
        return await self.content.read() if self.content is not None else self.whole or b""

    async def leave(self) -> None:
        """Nothing more is wanted of it."""
        if self.lent is not None:
            self.lent.give_back(whole=self.content is None or self.content.is_eof())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()
