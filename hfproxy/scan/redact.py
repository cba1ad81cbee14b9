"""Removes tokens from the content of a file. Pure: content in, content out, and no other byte changes.

The result must be valid in its place. An empty text is valid nearly everywhere: an empty `token` file, `HF_TOKEN=`, an
empty JSON string, `hf_token = `. The exceptions:

- in a URL all of `user:token@` is removed: given an empty password, git would ask no credential helper for one;
- netrc and `ENV NAME value` of a Dockerfile are lists of words, in which the next word would move up: the token becomes
  `""`;
- base64 is decoded, and encoded again without the token.
"""

import base64
import re
from collections.abc import Callable
from typing import Final

from hfproxy.core.http import token_echo
from hfproxy.detect import patterns
from hfproxy.detect.kinds import LocationKind
from hfproxy.detect.patterns import Encoding, Match
from hfproxy.secret import Secret

# The start and end of the bytes to replace, and their replacement.
Edit = tuple[int, int, bytes]

EMPTY_WORD: Final = b'""'
# The part of a URL's userinfo before the token, and the part after it with the `@`.
USER: Final = re.compile(rb"""://([^\s/?#@"'<>]*)\Z""")
REST: Final = re.compile(rb"""[^\s/?#@"'<>]*@""")
USER_BYTES: Final = 512
ENV_WORDS: Final = re.compile(rb"(?im)^[ \t]*ENV[ \t]+\w+[ \t]+\Z")


def remove_tokens(data: bytes, matches: list[Match], kind: LocationKind, is_stored: Callable[[Secret], bool]) -> bytes:
    """Return the content without the tokens for which `is_stored` is true.

    Args:
        data: the content.
        matches: the tokens in it.
        kind: the kind of the file.
        is_stored: whether a token is safe in the vault, so that it may be removed.
    """
    # A set, since two tokens of one URL, or of one run of base64, give the same edit.
    edits = {_edit(data, hit, kind, is_stored) for hit in matches if is_stored(hit.token)}
    parts, done = [], 0
    for start, end, replacement in sorted(edits):
        parts += [data[done:start], replacement]
        done = end
    return b"".join([*parts, data[done:]])


def _edit(data: bytes, hit: Match, kind: LocationKind, is_stored: Callable[[Secret], bool]) -> Edit:
    if hit.encoding is Encoding.BASE64:
        return hit.start, hit.end, _redact_base64(data[hit.start : hit.end], is_stored)
    before = data[max(0, hit.start - USER_BYTES) : hit.start]
    user, rest = USER.search(before), REST.match(data, hit.end)
    if user is not None and rest is not None:
        start, end = hit.start - len(user[1]), rest.end()
        if all(is_stored(other.token) for other in patterns.find_plain(data[start:end])):
            return start, end, b""
    words = kind is LocationKind.NETRC or (kind is LocationKind.DOCKERFILE and ENV_WORDS.search(before) is not None)
    return hit.start, hit.end, EMPTY_WORD if words and not _is_quoted(data, hit) else b""


def _is_quoted(data: bytes, hit: Match) -> bool:
    return data[hit.start - 1 : hit.start] == b'"' == data[hit.end : hit.end + 1]


def _redact_base64(run: bytes, is_stored: Callable[[Secret], bool]) -> bytes:
    text = patterns.unbase64(run)
    encoded = base64.b64encode(remove_tokens(text, list(patterns.find_plain(text)), LocationKind.FILE, is_stored))
    if len(run) % 4:  # the original has no padding
        encoded = encoded.rstrip(b"=")
    return encoded.translate(token_echo.URL_SAFE) if b"-" in run or b"_" in run else encoded
