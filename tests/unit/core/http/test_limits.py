"""The limits of a message's head."""

from hfproxy.core.http.limits import MAX_HEADER_BYTES


def test_a_head_has_256_kib_and_the_largest_documented_headers_fit() -> None:
    # A signed address in Location and in Link, and an xet token: 64 000 characters each (docs/hub-protocol.md#xet).
    assert 3 * 64_000 + 16 * 1024 < MAX_HEADER_BYTES == 262_144
