"""Parses request targets so strictly that the Hub cannot parse them differently (docs/threat-model.md#t9).

An accepted target is forwarded byte for byte. Forms that two parsers might understand differently (dot segments, empty
segments, encoded slashes, double encoding, unusual spellings of a query key that changes the operation) are refused,
never normalised.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.core.policy.decision import Deny, Refusal

# Query keys that change the operation of a request (docs/hub-protocol.md#repository-writes), with the only value each
# may have. Some web frameworks take `_method` as an override of the method.
POLICY_KEYS = {
    "create_pr": frozenset({"1"}),
    "hot_reload": frozenset({"1"}),
    "service": frozenset({"git-upload-pack", "git-receive-pack"}),
    "_method": frozenset[str](),
}

PRINTABLE = re.compile(r"/[!\"$-\[\]-~]*")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Encoded control characters and backslashes are refused everywhere.
BAD_BYTE = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff]|5[Cc])")
# A doubly encoded character that is special in a path.
DOUBLE_ENCODED = re.compile(r"%(?:25)+(?:2[EeFf]|5[Cc]|00)")


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """An accepted target.

    Attributes:
        raw: the target as received and forwarded.
        path: its path, still percent-encoded.
        policy: the (key, value) pairs of the query keys that change the operation.
    """

    raw: str
    path: str
    policy_pairs: tuple[tuple[str, str], ...]


def parse(raw: str) -> RequestTarget | Deny:
    """Parse a raw request target, or refuse it as `bad_target`."""
    if not PRINTABLE.fullmatch(raw) or BAD_ESCAPE.search(raw) or BAD_BYTE.search(raw):
        return _deny("it holds characters that no Hub address needs")
    path, question, query = raw.partition("?")
    if DOUBLE_ENCODED.search(path):
        return _deny("it is encoded twice")
    if question and not query:
        return _deny("its query is empty")
    if path != "/" and not all(map(_is_plain, path[1:].split("/"))):
        return _deny("it has an empty, dotted or undecodable segment")
    policy = _policy_pairs(query)
    return policy if isinstance(policy, Deny) else RequestTarget(raw, path, policy)


def _is_plain(segment: str) -> bool:
    """Return whether a path segment, and each part of it after decoding, is a name and not empty, `.` or `..`."""
    try:
        parts = unquote(segment, errors="strict").split("/")
    except UnicodeDecodeError:
        return False
    return all(part.partition(";")[0] not in {"", ".", ".."} for part in parts)


def _policy_pairs(query: str) -> tuple[tuple[str, str], ...] | Deny:
    policy: dict[str, str] = {}
    for pair in re.split("[&;]", query):
        key, _, value = pair.partition("=")
        lenient = _lenient_key(key)
        if lenient not in POLICY_KEYS:
            continue
        if key != lenient or key in policy or value not in POLICY_KEYS[key]:
            return _deny(f"'{lenient}' must appear once, spelled plainly, with a value it may have")
        policy[key] = value
    return tuple(policy.items())


def _lenient_key(key: str) -> str:
    """Return the key as a lenient parser might read it: decoded, without brackets, in lower case."""
    plain = unquote_to_bytes(key.replace("+", " ")).decode("utf-8", "replace")
    return re.split(r"[\[\].]", plain.strip().lower().lstrip("["))[0]


def _deny(why: str) -> Deny:
    return Deny(Refusal.BAD_TARGET, f"this address is refused as it stands: {why}{SEE_AUDIT}")
