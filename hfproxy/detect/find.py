"""The tokens of one file's content. Pure.

Beside what has the shape of a token anywhere, there is what counts as one because of where it stands: the whole of
huggingface_hub's `token` file, and the members of its `stored_tokens`, refresh tokens among them.
"""

import os
from collections.abc import Iterator
from typing import Final

from hfproxy.detect import kinds, patterns
from hfproxy.detect.kinds import LocationKind
from hfproxy.detect.patterns import Match, TokenKind
from hfproxy.secret import Secret

OURS: Final = b"hf_px_"
SPECIAL: Final = frozenset({"token", "stored_tokens"})
# A word of this length that stands where a token is kept is one, whatever it looks like.
SHORTEST: Final = 16
UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
HEAD_BYTES: Final = 8192


def find_tokens(data: bytes, path: str, kind: LocationKind | None = None) -> list[Match]:
    """The tokens in the content of a file, in order; `kind` where the path does not say it."""
    name = os.path.basename(path)
    certain: list[Match] = []
    if kind is not None or name in SPECIAL:
        certain = list(_by_place(data, kind or kinds.kind_of(path)))
    others = list(patterns.find_plain(data))
    if len(data) <= kinds.SETTINGS_BYTES and kinds.is_settings(name):
        others += patterns.find_encoded(data)
    if not certain and len(others) < 2:
        return others
    taken = {hit.start for hit in certain}
    return sorted([*certain, *(hit for hit in others if hit.start not in taken)], key=lambda hit: hit.start)


def is_binary(data: bytes) -> bool:
    """Whether it is no text that could be edited; judged by its beginning."""
    return b"\0" in data[:HEAD_BYTES]


def binary_hits(data: bytes) -> list[Match]:
    """The tokens in a file that is no text, or one with two bytes a character; where they are is not exact."""
    if data[:2] in UTF16:
        data = data.decode("utf-16", "replace").encode("ascii", "replace")
    return sorted(patterns.find_unbounded(data), key=lambda hit: hit.start)


def paired_access_token(found: list[Match], data: bytes, refresh: Match) -> Match | None:
    """The access token that a refresh token stands beside: the nearest of the same section or object."""
    others = [hit for hit in found if hit.shape is not TokenKind.REFRESH and not _by_section(data, hit, refresh)]
    return min(others, key=lambda hit: abs(hit.start - refresh.start), default=None)


def _by_section(data: bytes, one: Match, other: Match) -> bool:
    first, second = sorted((one, other), key=lambda hit: hit.start)
    between = data[first.end : second.start]
    return b"\n[" in between or b"}" in between


def _by_place(data: bytes, kind: LocationKind) -> Iterator[Match]:
    if kind is LocationKind.TOKEN_FILE:
        text = data.strip()
        if len(text.split()) == 1:
            yield from _certain(text, data.index(text))
    elif kind is LocationKind.STORED_TOKENS:
        for match in kinds.MEMBERS.finditer(data):
            yield from _certain(match[2], match.start(2), refresh=match[1] == b"refresh_token")


def _certain(text: bytes, start: int, *, refresh: bool = False) -> Iterator[Match]:
    if len(text) >= SHORTEST and text.isascii() and not text.startswith(OURS):
        shape = TokenKind.REFRESH if refresh else patterns.shape_of(text)
        yield Match(start, start + len(text), Secret(text.decode()), shape)
