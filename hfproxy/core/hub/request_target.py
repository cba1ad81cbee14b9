"""The request target, read so strictly that the Hub cannot read it otherwise (docs/threat-model.md#t9).

What is classified here is sent on byte for byte. So whatever two readers might understand differently
(dot segments, empty segments, encoded slashes, double encoding, unknown spellings of a query key that
decides policy) is refused, never normalised.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.core.policy.decision import Deny, Refusal

# Query keys that change what a request does (docs/hub-protocol.md#repository-writes), with the only value each may
# have.
# `_method` is what some web frameworks take as another method.
POLICY_KEYS = {
    "create_pr": frozenset({"1"}),
    "hot_reload": frozenset({"1"}),
    "service": frozenset({"git-upload-pack", "git-receive-pack"}),
    "_method": frozenset[str](),
}

PRINTABLE = re.compile(r"/[!\"$-\[\]-~]*")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Encoded control characters and backslash: nowhere.
BAD_BYTE = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff]|5[Cc])")
# An escaped escape of a character that means something in a path.
DOUBLE_ENCODED = re.compile(r"%(?:25)+(?:2[EeFf]|5[Cc]|00)")


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """A target that passed. `raw` is what is sent; `policy` holds the query keys that decide."""

    raw: str
    path: str
    policy: tuple[tuple[str, str], ...]


def parse(raw: str) -> RequestTarget | Deny:
    """Take a raw request target apart, or refuse it as `bad_target`."""
    if not PRINTABLE.fullmatch(raw) or BAD_ESCAPE.search(raw) or BAD_BYTE.search(raw):
        return _refused("it holds characters that no Hub address needs")
    path, question, query = raw.partition("?")
    if DOUBLE_ENCODED.search(path):
        return _refused("it is encoded twice")
    if question and not query:
        return _refused("its query is empty")
    if path != "/" and not all(map(_is_plain, path[1:].split("/"))):
        return _refused("it has an empty, dotted or undecodable segment")
    policy = _policy(query)
    return policy if isinstance(policy, Deny) else RequestTarget(raw, path, policy)


def _is_plain(segment: str) -> bool:
    """Whether a path segment, and every part of it once decoded, is a name and not a direction."""
    try:
        parts = unquote(segment, errors="strict").split("/")
    except UnicodeDecodeError:
        return False
    return all(part.partition(";")[0] not in {"", ".", ".."} for part in parts)


def _policy(query: str) -> tuple[tuple[str, str], ...] | Deny:
    found: dict[str, str] = {}
    for pair in re.split("[&;]", query):
        key, _, value = pair.partition("=")
        meant = _lenient_key(key)
        if meant not in POLICY_KEYS:
            continue
        if key != meant or key in found or value not in POLICY_KEYS[key]:
            return _refused(f"'{meant}' must appear once, spelled plainly, with a value it may have")
        found[key] = value
    return tuple(found.items())


def _lenient_key(key: str) -> str:
    """The key a lenient parser might take this for: decoded, without brackets, in lower case."""
    plain = unquote_to_bytes(key.replace("+", " ")).decode("utf-8", "replace")
    return re.split(r"[\[\].]", plain.strip().lower().lstrip("["))[0]


def _refused(why: str) -> Deny:
    return Deny(Refusal.BAD_TARGET, f"this address is refused as it stands: {why}{SEE_AUDIT}")
