"""What a file is without its tokens. Pure: content in, content out, and no other byte changes.

What is left has to be valid where it stands. Nothing at all is, nearly everywhere: an empty `token` file, `HF_TOKEN=`,
an empty JSON string, `hf_token = `. The exceptions:

- in a URL all of `user:token@` goes: with an empty password git would ask nobody else for one, and neither our helper;
- netrc and `ENV NAME value` of a Dockerfile are lists of words, where the next one would move up: there it is `""`;
- base64 is taken apart, and put together again without the token.
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

# Start, end, and what comes there instead.
Edit = tuple[int, int, bytes]

EMPTY_WORD: Final = b'""'
# The user and what is before the token in it; the rest up to the @.
USER: Final = re.compile(rb"""://([^\s/?#@"'<>]*)\Z""")
REST: Final = re.compile(rb"""[^\s/?#@"'<>]*@""")
USER_BYTES: Final = 512
ENV_WORDS: Final = re.compile(rb"(?im)^[ \t]*ENV[ \t]+\w+[ \t]+\Z")


def remove_tokens(data: bytes, found: list[Match], kind: LocationKind, gone: Callable[[Secret], bool]) -> bytes:
    """The content without those of the tokens in it that are `gone`."""
    # A set: two tokens of one URL, or of one run of base64, are one edit.
    edits = {_edit(data, hit, kind, gone) for hit in found if gone(hit.token)}
    parts, done = [], 0
    for start, end, instead in sorted(edits):
        parts += [data[done:start], instead]
        done = end
    return b"".join([*parts, data[done:]])


def _edit(data: bytes, hit: Match, kind: LocationKind, gone: Callable[[Secret], bool]) -> Edit:
    if hit.form is Encoding.BASE64:
        return hit.start, hit.end, _encoded_without(data[hit.start : hit.end], gone)
    before = data[max(0, hit.start - USER_BYTES) : hit.start]
    user, rest = USER.search(before), REST.match(data, hit.end)
    if user is not None and rest is not None:
        start, end = hit.start - len(user[1]), rest.end()
        if all(gone(other.token) for other in patterns.find_plain(data[start:end])):
            return start, end, b""
    words = kind is LocationKind.NETRC or (kind is LocationKind.DOCKERFILE and ENV_WORDS.search(before) is not None)
    return hit.start, hit.end, EMPTY_WORD if words and not _is_quoted(data, hit) else b""


def _is_quoted(data: bytes, hit: Match) -> bool:
    return data[hit.start - 1 : hit.start] == b'"' == data[hit.end : hit.end + 1]


def _encoded_without(run: bytes, gone: Callable[[Secret], bool]) -> bytes:
    text = patterns.unbase64(run)
    again = base64.b64encode(remove_tokens(text, list(patterns.find_plain(text)), LocationKind.FILE, gone))
    if len(run) % 4:  # it came without padding
        again = again.rstrip(b"=")
    return again.translate(token_echo.URL_SAFE) if b"-" in run or b"_" in run else again
