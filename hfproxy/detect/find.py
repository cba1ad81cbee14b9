"""Finds the tokens in the content of one file. Pure.

Some texts are tokens by their form, wherever they are (`patterns`). Others are tokens by their place: the whole content
of huggingface_hub's `token` file, and the members of its `stored_tokens` file, among them refresh tokens.
"""

import os
from collections.abc import Iterator
from typing import Final

from hfproxy.detect import kinds, patterns
from hfproxy.detect.kinds import LocationKind
from hfproxy.detect.patterns import Match, TokenKind
from hfproxy.secret import Secret

CREDENTIAL_PREFIX: Final = b"hf_px_"
TOKEN_FILE_NAMES: Final = frozenset({"token", "stored_tokens"})
# At the place of a token, a word of at least this length counts as one, whatever its form.
MIN_TOKEN_BYTES: Final = 16
UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
HEAD_BYTES: Final = 8192


def find_tokens(data: bytes, path: str, kind: LocationKind | None = None) -> list[Match]:
    """Return the tokens in the content of a file, in order of their position.

    Args:
        data: the content.
        path: the file's absolute path, which tells the kind of the file.
        kind: the kind of the file, if its path does not tell it.
    """
    name = os.path.basename(path)
    by_place: list[Match] = []
    if kind is not None or name in TOKEN_FILE_NAMES:
        by_place = list(_find_by_place(data, kind or kinds.kind_of(path)))
    by_form = list(patterns.find_plain(data))
    if len(data) <= kinds.MAX_SETTINGS_BYTES and kinds.is_settings(name):
        by_form += patterns.find_encoded(data)
    if not by_place and len(by_form) < 2:
        return by_form
    starts = {hit.start for hit in by_place}
    return sorted([*by_place, *(hit for hit in by_form if hit.start not in starts)], key=lambda hit: hit.start)


def is_binary(data: bytes) -> bool:
    """Return whether the data is binary, judged by its first HEAD_BYTES bytes."""
    return b"\0" in data[:HEAD_BYTES]


def find_in_binary(data: bytes) -> list[Match]:
    """Return the tokens in a binary file, or in a UTF-16 text; their positions are not exact."""
    if data[:2] in UTF16:
        data = data.decode("utf-16", "replace").encode("ascii", "replace")
    return sorted(patterns.find_unbounded(data), key=lambda hit: hit.start)


def paired_access_token(matches: list[Match], data: bytes, refresh: Match) -> Match | None:
    """Return the access token that a refresh token renews: the nearest one in the same section or object."""
    candidates = [
        hit for hit in matches if hit.token_kind is not TokenKind.REFRESH and not _are_separated(data, hit, refresh)
    ]
    return min(candidates, key=lambda hit: abs(hit.start - refresh.start), default=None)


def _are_separated(data: bytes, a: Match, b: Match) -> bool:
    """Return whether a section header or the end of an object is between two matches."""
    first, second = sorted((a, b), key=lambda hit: hit.start)
    between = data[first.end : second.start]
    return b"\n[" in between or b"}" in between


def _find_by_place(data: bytes, kind: LocationKind) -> Iterator[Match]:
    if kind is LocationKind.TOKEN_FILE:
        text = data.strip()
        if len(text.split()) == 1:
            yield from _match(text, data.index(text))
    elif kind is LocationKind.STORED_TOKENS:
        for match in kinds.STORED_TOKEN_MEMBER.finditer(data):
            yield from _match(match[2], match.start(2), refresh=match[1] == b"refresh_token")


def _match(text: bytes, start: int, *, refresh: bool = False) -> Iterator[Match]:
    if len(text) >= MIN_TOKEN_BYTES and text.isascii() and not text.startswith(CREDENTIAL_PREFIX):
        shape = TokenKind.REFRESH if refresh else patterns.token_kind_of(text)
        yield Match(start, start + len(text), Secret(text.decode()), shape)
