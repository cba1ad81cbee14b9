"""The shape of a credential: every client takes it, no scanner takes it for a token."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import entropies, law

from hfproxy.core.policy import credential

# Secret scanners' rules for Hugging Face tokens (docs/hub-protocol.md#token-shapes); each is searched for, not only
# matched whole.
SCANNERS = [
    r"\bhf_[A-Za-z]{34}\b",
    r"hf_[A-Za-z0-9]{34}",
    r"\b(hf_[A-Za-z0-9]{30,}|api_org_[A-Za-z0-9]{30,}|hf_(oauth|jwt)_[A-Za-z0-9._-]{20,})",
    r"\bapi_org_[A-Za-z]{34}\b",
]
# The ends of the range, beside what hypothesis finds.
EDGES = [bytes(24), b"\xff" * 24, bytes(23) + b"\x01", b"\x01" + bytes(23)]


@pytest.mark.parametrize("scanner", SCANNERS)
@given(entropy=st.sampled_from(EDGES) | entropies)
@law(150)
def test_no_scanner_takes_a_credential_for_a_token(scanner: str, entropy: bytes) -> None:
    made = credential.encode(entropy)
    for text in (made, f"HF_TOKEN={made}", f'{{"token":"{made}"}}', made + made):
        assert re.search(scanner, text) is None


@given(st.sampled_from(EDGES) | entropies)
@law()
def test_a_credential_is_one_header_safe_word_that_clients_accept(entropy: bytes) -> None:
    made = credential.encode(entropy)
    assert made.startswith("hf_")
    assert re.fullmatch(r"hf_px_[0-9A-Za-z]{33}", made)
    assert credential.is_credential(made)


@given(entropies, entropies)
@law()
def test_two_entropies_are_two_credentials(one: bytes, other: bytes) -> None:
    assert (credential.encode(one) == credential.encode(other)) == (one == other)


@given(st.sampled_from(EDGES) | entropies)
@law()
def test_all_of_the_entropy_is_in_the_credential(entropy: bytes) -> None:
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in credential.encode(entropy).removeprefix("hf_px_"):
        number = number * 62 + digits.index(digit)
    assert number.to_bytes(24) == entropy


@pytest.mark.parametrize("size", [0, 1, 16, 23, 25, 32])
def test_entropy_of_another_size_is_not_taken(size: int) -> None:
    with pytest.raises(ValueError, match="24 bytes"):
        credential.encode(bytes(size))


def test_a_known_entropy_spells_a_known_credential() -> None:
    assert credential.encode(bytes(23) + b"\x3e") == "hf_px_" + "0" * 31 + "10"
    assert credential.encode(bytes(23) + b"\x3d") == "hf_px_" + "0" * 32 + "z"


def test_only_the_digest_is_kept_and_it_is_plain_sha256() -> None:
    made = credential.encode(bytes(24))
    assert credential.digest(made) == hashlib.sha256(made.encode()).digest()


@given(st.text(st.characters(codec=None)) | st.just("hf_px_\udc80"))
@law()
def test_any_text_has_a_digest(text: str) -> None:
    """Bytes of a header that are no UTF-8 are surrogates."""
    assert len(credential.digest(text)) == 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hf_px_",
        "hf_" + "a" * 34,
        "hf_px_" + "a" * 32,
        "hf_px_" + "a" * 34,
        "hf_px_" + "a" * 32 + "-",
        "hf_px_" + "a" * 32 + "é",
        "HF_PX_" + "a" * 33,
        "hf_px_" + "a" * 33 + "\n",
        " hf_px_" + "a" * 33,
    ],
)
def test_what_is_not_exactly_of_our_shape_is_not_ours(text: str) -> None:
    assert not credential.is_credential(text)
