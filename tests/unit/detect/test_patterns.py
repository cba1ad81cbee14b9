"""What is taken for a token, and where it may begin and end."""

import pytest
from canary import made_up
from seeded_home import made_up as usual

from hfproxy.detect import patterns
from hfproxy.detect.patterns import Encoding, TokenKind

TOKEN = usual()


def found(text: str) -> list[str]:
    return [hit.token.reveal() for hit in patterns.find_plain(text.encode("utf-8", "surrogateescape"))]


def test_hardly_a_token_that_was_made_by_chance_is_taken_for_anything_else() -> None:
    """One in 10,000 is expected; more than ten in 10,000 no seed brings about."""
    missed = [token for token in (made_up() for _ in range(10_000)) if found(token) != [token]]
    assert len(missed) <= 10


@pytest.mark.parametrize(
    "text",
    [
        "{}", "={}", '"{}"', "'{}'", "({})", "Bearer {}", "u:{}@h", "{}@h", "x={}&y", "a%3D{}%26", "%20{}", "\\n{}\\n", "\\t{}",
        "\\u0022{}\\u0022", "\\x22{}", "\x1b[32m{}\x1b[0m", "\\u001b[1;31m{}", "\\033[1m{}", "\u00e9{}\u00e9", "-{}-", "/{}/", ".{}.", "{}.",
        "${}", "`{}`", "<{}>", "\udcff{}\udcff", "--token={}", "{}\r\n", "\t{}\t", "{}:x", "+{}+",
    ],
)  # fmt: skip
def test_it_is_found_between(text: str) -> None:
    assert found(text.format(TOKEN)) == [TOKEN]


@pytest.mark.parametrize("text", ["a{}", "_{}", "7{}", "{}_", "{}_x", "{}" + "a" * 60, "%3{}", "\\q{}", "[32m{}"])
def test_it_is_none_as_a_part_of(text: str) -> None:
    assert found(text.format(TOKEN)) == []


@pytest.mark.parametrize(
    ("token", "shape"),
    [
        (TOKEN, TokenKind.USER),
        ("api_org_" + TOKEN[3:], TokenKind.ORG),
        ("hf_oauth_eyJ0." + TOKEN[3:], TokenKind.OAUTH),
        ("hf_jwt_eyJ0." + TOKEN[3:] + "-1_x", TokenKind.JWT),
    ],
)
def test_each_shape_is_told_apart(token: str, shape: TokenKind) -> None:
    (hit,) = patterns.find_plain(f"see {token}.".encode())
    assert (hit.token.reveal(), hit.token_kind, hit.start, hit.end) == (token, shape, 4, 4 + len(token))


def test_a_token_in_base64_is_found_at_each_alignment() -> None:
    import base64

    for padding in range(9):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            run = encode(b":" * padding + TOKEN.encode() + b"\xff" * padding)
            (hit,) = patterns.find_encoded(b'"' + run + b'"')
            assert (hit.token.reveal(), hit.encoding, hit.start, hit.end) == (TOKEN, Encoding.BASE64, 1, 1 + len(run))


def test_the_same_token_has_the_same_eight_digits_and_no_other_has() -> None:
    hits = list(patterns.find_plain(f"{TOKEN} {TOKEN} {usual()}".encode()))
    first, second, third = (patterns.fingerprint(hit.token) for hit in hits)
    assert first == second != third
    assert len(first) == 8
    assert patterns.redacted(f"/a/{TOKEN}/b") == f"/a/<{first}>/b"
