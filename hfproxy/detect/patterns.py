"""Finds tokens in bytes, and tells them from texts that only look like tokens. Pure.

A token is `hf_` or `api_org_` and 34 letters or digits; `hf_oauth_` and `hf_jwt_` tokens are longer
(docs/hub-protocol.md#token-shapes). Tokens are random, unlike identifiers, hexadecimal digests, or placeholders in
documentation: random text uses both cases and many different letters, and spells no words. No rule here misses more
than one real token in 25,000.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote_to_bytes

from hfproxy.core.http import token_echo
from hfproxy.secret import Secret


class TokenKind(StrEnum):
    """The kind of a token."""

    USER = "user"
    ORG = "org"
    OAUTH = "oauth"
    JWT = "jwt"
    REFRESH = "refresh"


class Encoding(StrEnum):
    """The encoding in which a token is written."""

    PLAIN = "plain"
    BASE64 = "base64"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Match:
    """A token and the range of bytes that holds it; in base64 the range is the whole encoded run."""

    start: int
    end: int
    token: Secret
    token_kind: TokenKind
    encoding: Encoding = Encoding.PLAIN


# The upper limit for the length of a token together with the bytes inspected before it.
MAX_TOKEN_BYTES: Final = 8192
# Each pattern has one literal prefix: `re` searches for it at 2.4 GB/s; an alternation of two searches at 0.16 GB/s.
PATTERNS: Final = (
    re.compile(rb"hf_(?:[A-Za-z0-9]{30,80}(?![A-Za-z0-9_])|(?:oauth|jwt)_[A-Za-z0-9._-]{20,8000})"),
    re.compile(rb"api_org_[A-Za-z0-9]{30,80}(?![A-Za-z0-9_])"),
)
# For databases, where texts follow one another without a separator.
UNBOUNDED_PATTERNS: Final = (
    re.compile(rb"hf_(?:[A-Za-z0-9]{34}|(?:oauth|jwt)_[A-Za-z0-9._-]{20,8000})"),
    re.compile(rb"api_org_[A-Za-z0-9]{34}"),
)
KIND_BY_PREFIX: Final = (
    (b"hf_oauth_", TokenKind.OAUTH),
    (b"hf_jwt_", TokenKind.JWT),
    (b"hf_", TokenKind.USER),
    (b"api_org_", TokenKind.ORG),
)
# The text before a token ends in no letter, digit or underscore, unless it ends an escape: `%3D`, `\n`, a colour.
BEFORE: Final = re.compile(
    rb"(?:\A|[^A-Za-z0-9_]|%[0-9A-Fa-f]{2}|\\[abefnrtv0]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
    rb"|(?:\x1b|\\x1b|\\u001b|\\e|\\033)\[[0-9;]{0,8}m)\Z"
)
BEFORE_BYTES: Final = 16
MIN_DISTINCT_LETTERS: Final = 12
PLACEHOLDER_WORD: Final = re.compile(
    rb"token|secret|example|placehold|redact|replace|changeme|dummy|huggingface|password|abcdefg|1234567|qwerty"
)
CAMEL_CASE: Final = re.compile(rb"[a-z0-9]*(?:[A-Z][a-z]+[0-9]*)+")
CAPITAL: Final = re.compile(rb"[A-Z]")
# 34 random letters look like words of five letters once in 25,000 times; the longer kinds have more letters.
WORD_LETTERS: Final = 5
SHORT_WORD_LETTERS: Final = 4
LONG_PREFIXES: Final = frozenset({b"hf_oauth_", b"hf_jwt_"})
SEPARATORS: Final = re.compile(rb"[._-]+")
REPEATED: Final = re.compile(rb"(.)\1{4}")

# The base64 digits that `hf_` and `api_org_` determine by themselves, at each alignment.
BASE64_SIGNS: Final = tuple({*token_echo.patterns("hf_"), *token_echo.patterns("api_org_")} - {b"hf_", b"api_org_"})
BASE64_RUN: Final = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
PERCENT_SIGN: Final = b"%5"
PERCENT_ENCODED: Final = re.compile(
    rb"(?:hf|api%5[Ff]org)%5[Ff](?:[A-Za-z0-9]{30,80}(?![A-Za-z0-9_])|(?:oauth|jwt)%5[Ff][\w.%-]{20,8000})"
)


def find_plain(data: bytes) -> Iterator[Match]:
    """Yield the tokens that are written in plain text, in no particular order."""
    for pattern in PATTERNS:
        for match in pattern.finditer(data):
            text = match[0].rstrip(b"._-")
            start = match.start()
            if looks_random(text) and BEFORE.search(data, max(0, start - BEFORE_BYTES), start):
                yield Match(start, start + len(text), Secret(text.decode("ascii")), token_kind_of(text))


def find_unbounded(data: bytes) -> Iterator[Match]:
    """Yield the tokens in binary data, where no character delimits them."""
    for pattern in UNBOUNDED_PATTERNS:
        for match in pattern.finditer(data):
            if looks_random(match[0]):
                yield Match(match.start(), match.end(), Secret(match[0].decode("ascii")), token_kind_of(match[0]))


def find_encoded(data: bytes) -> Iterator[Match]:
    """Yield the tokens inside of base64 and percent-encoded text; slow, for small files."""
    if PERCENT_SIGN in data:
        for match in PERCENT_ENCODED.finditer(data):
            yield from _find_decoded(unquote_to_bytes(match[0]), match.start(), match.end(), Encoding.PERCENT)
    if token_echo.occurs(BASE64_SIGNS, data):
        for match in BASE64_RUN.finditer(data):
            yield from _find_decoded(unbase64(match[0]), match.start(), match.end(), Encoding.BASE64)


def _find_decoded(text: bytes, start: int, end: int, form: Encoding) -> Iterator[Match]:
    for hit in find_plain(text):
        yield Match(start, end, hit.token, hit.token_kind, form)


def unbase64(run: bytes) -> bytes:
    """Decode a run of base64 in either alphabet; text that is not base64 gives b""."""
    digits = run.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        return b""


def token_kind_of(text: bytes) -> TokenKind:
    """Return the kind of a token, by its prefix."""
    return next((shape for prefix, shape in KIND_BY_PREFIX if text.startswith(prefix)), TokenKind.USER)


def looks_random(text: bytes) -> bool:
    """Return whether the text after the prefix looks random rather than written by a person."""
    prefix = next(prefix for prefix, _ in KIND_BY_PREFIX if text.startswith(prefix))
    # Long tokens have several parts, and so have names such as `hf_oauth_redirect_uri`: judge the longest part.
    body = max(SEPARATORS.split(text[len(prefix) :]), key=len)
    return (
        len(set(body)) >= MIN_DISTINCT_LETTERS
        and body.lower() != body != body.upper()
        and REPEATED.search(body) is None
        and PLACEHOLDER_WORD.search(body.lower()) is None
        and not _is_camel_case(body, SHORT_WORD_LETTERS if prefix in LONG_PREFIXES else WORD_LETTERS)
    )


def _is_camel_case(body: bytes, letters: int) -> bool:
    """Return whether the text is capitalized words of at least so many letters on average."""
    return CAMEL_CASE.fullmatch(body) is not None and letters * len(CAPITAL.findall(body)) <= len(body)


def fingerprint(token: Secret) -> str:
    """Return eight hexadecimal digits that identify the token without revealing it."""
    return digest(token)[:8]


def digest(token: Secret) -> str:
    """Return the token's SHA-256 in hexadecimal, to compare tokens without exchanging them."""
    return token.sha256()


def redacted(text: str) -> str:
    """Return a path or name with each token in it replaced by its fingerprint."""
    data = text.encode("utf-8", "surrogateescape")
    for hit in sorted(find_plain(data), key=lambda hit: hit.start, reverse=True):
        data = data[: hit.start] + f"<{fingerprint(hit.token)}>".encode() + data[hit.end :]
    return data.decode("utf-8", "surrogateescape")
