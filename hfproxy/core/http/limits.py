"""Limits on HTTP messages, enforced on both sides of the proxy."""

from typing import Final

# Signed storage addresses and xet tokens are long: 64 000 characters are documented (docs/hub-protocol.md#xet).
MAX_HEADER_BYTES: Final = 256 * 1024
