"""An echo of the token is found in whatever form it comes back."""

import base64
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy.core.http import token_echo

TOKEN = "hf_CANARYcanaryCANARYcanaryCANARYcan"
NEEDLES = token_echo.patterns(TOKEN)


@given(st.binary(max_size=20), st.binary(max_size=20), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
@law()
def test_the_token_is_found_raw_and_in_base64_at_any_place(before: bytes, after: bytes, encode: object) -> None:
    held = before + TOKEN.encode() + after
    assert token_echo.occurs(NEEDLES, held)
    assert token_echo.occurs(NEEDLES, encode(held))  # type: ignore[operator]
    assert token_echo.occurs(NEEDLES, encode(held).rstrip(b"="))  # type: ignore[operator]


def test_patterns_differ_between_the_alphabets() -> None:
    # Bytes of six ones become `/` in one alphabet and `_` in the other. A made-up token: real ones have none of them.
    token = "hf_???>>>~~~"
    for shift in range(3):
        standard, url_safe = (
            encode(bytes(shift) + token.encode()) for encode in (base64.b64encode, base64.urlsafe_b64encode)
        )
        assert standard != url_safe
        assert token_echo.occurs(token_echo.patterns(token), standard)
        assert token_echo.occurs(token_echo.patterns(token), url_safe)


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_a_pattern_is_as_long_as_the_token_determines(shift: int) -> None:
    """Two texts around the token share the pattern in base64, and not one digit more."""
    texts = [base64.b64encode(fill * shift + TOKEN.encode() + fill * 3).rstrip(b"=") for fill in (b"\x00", b"\xff")]
    shared = bytes(one for one, other in zip(*texts, strict=True) if one == other)
    assert shared in NEEDLES


@pytest.mark.parametrize("body", [b"", b"hf_", b"hf_px_" + b"a" * 33, TOKEN[:-1].encode(), TOKEN.lower().encode()])
def test_what_is_not_the_token_is_not_taken_for_it(body: bytes) -> None:
    assert not token_echo.occurs(NEEDLES, body)
    assert not token_echo.occurs(NEEDLES, base64.b64encode(body))


def test_gzip_is_looked_into_every_member_of_it() -> None:
    # Clients read all members of a gzip body, so looking at the first alone would miss the token in the second.
    packed = gzip.compress(b"nothing") + gzip.compress(TOKEN.encode())
    plain = token_echo.decompressed(packed, "gzip", 1024)
    assert plain is None or token_echo.occurs(NEEDLES, plain)
    whole = token_echo.decompressed(gzip.compress(TOKEN.encode()), " GZip ", 1024)
    assert whole is not None
    assert token_echo.occurs(NEEDLES, whole)


def test_gzip_is_looked_into_whatever_follows_it() -> None:
    # urllib3 leaves out what follows the last member, so the token before it would be read.
    plain = token_echo.decompressed(gzip.compress(TOKEN.encode()) + b"garbage", "gzip", 1024)
    assert plain is not None
    assert token_echo.occurs(NEEDLES, plain)


@pytest.mark.parametrize("encoding", ["identity, gzip", "gzip,identity", ", x-gzip ,"])
def test_a_list_that_says_gzip_once_is_gzip(encoding: str) -> None:
    assert token_echo.decompressed(gzip.compress(b"x"), encoding, 10) == b"x"


def test_what_is_no_gzip_at_all_cannot_be_looked_into() -> None:
    assert token_echo.decompressed(b"garbage", "gzip", 1024) is None
    assert token_echo.decompressed(zlib.compress(b"deflate"), "gzip", 1024) is None


def test_a_gzip_bomb_is_opened_no_further_than_the_limit() -> None:
    plain = token_echo.decompressed(gzip.compress(bytes(10_000_000)), "gzip", 1000)
    assert plain is not None
    assert len(plain) <= 1000


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4), st.integers(min_value=1, max_value=60))
@law()
def test_the_members_of_gzip_are_joined_up_to_the_limit(parts: list[bytes], limit: int) -> None:
    packed = b"".join(gzip.compress(part) for part in parts)
    assert token_echo.decompressed(packed, "gzip", limit) == b"".join(parts)[:limit]


@pytest.mark.parametrize("encoding", ["", "identity", "Identity, "])
def test_an_uncompressed_body_is_returned_whole(encoding: str) -> None:
    assert token_echo.decompressed(b"body", encoding, 2) == b"body"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x"])
def test_what_cannot_be_looked_into_is_said_so(encoding: str) -> None:
    assert token_echo.decompressed(b"x", encoding, 10) is None


@given(st.binary(max_size=40))
@law()
def test_no_bytes_make_the_look_raise(body: bytes) -> None:
    for encoding in ("", "identity", "gzip", "x-gzip", "br"):
        token_echo.decompressed(body, encoding, 100)
        token_echo.decompressed(gzip.compress(b"x" * 50)[: len(body)] + body, encoding, 100)
