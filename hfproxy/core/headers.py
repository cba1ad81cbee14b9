"""Which headers cross the proxy, each way.

Everything passes but for what this page names: what belongs to one connection (RFC 9110 §7.6.1),
what identifies somebody, and what would let the upstream speak for us.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

Headers = tuple[tuple[str, str], ...]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# gradio_client copies its token to x-hf-authorization, which no redirect strips (hub-wire §2).
NEVER_UP = HOP_BY_HOP | {
    "authorization",
    "x-hf-authorization",
    "cookie",
    "host",
    "expect",
    "forwarded",
    "via",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
}
NEVER_UP_PREFIXES = ("x-forwarded-", "x-hf-proxy-", "sec-fetch-")
# Cookies would give a session to whoever reads the reply; CORS headers would open us to web pages.
NEVER_DOWN = HOP_BY_HOP | {
    "set-cookie",
    "set-cookie2",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
}
NEVER_DOWN_PREFIXES = ("access-control-", "x-hf-proxy-")
REMEMBERED = 256


def upward(headers: Iterable[tuple[str, str]]) -> Headers:
    """What of a client's request goes to the Hub. The token is not added here but in `daemon.upstream`."""
    return _one_spelling(_crossing(headers, _may_go_up))


def downward(headers: Iterable[tuple[str, str]]) -> Headers:
    """What of the Hub's answer goes to the client."""
    return _crossing(headers, _may_come_down)


def replaced(headers: Iterable[tuple[str, str]], name: str, value: str) -> Headers:
    """The same headers with one of them set to this value only."""
    lowered = name.lower()
    return (*[pair for pair in headers if pair[0].lower() != lowered], (name, value))


@lru_cache(maxsize=REMEMBERED)
def readable(headers: Headers) -> Headers:
    """The same headers, asking for no compression but the one that we can look into (`core.leak`)."""
    return tuple(
        (name, ("gzip" if "gzip" in value.lower() else "identity") if name.lower() == "accept-encoding" else value)
        for name, value in headers
    )


def _one_spelling(headers: Headers) -> Headers:
    """A name that comes again is spelled as it was first: of two spellings the client library sends only the last."""
    spelled: dict[str, str] = {}
    return tuple((spelled.setdefault(name.lower(), name), value) for name, value in headers)


def _crossing(headers: Iterable[tuple[str, str]], may: Callable[[str], bool]) -> Headers:
    """Those whose names may cross, and that are not named as belonging to the connection."""
    given = tuple(headers)
    named = {token.strip().lower() for key, value in given if _is_connection(key) for token in value.split(",")}
    crossing = [pair for pair in given if may(pair[0])]
    if named <= HOP_BY_HOP:  # which never cross
        return tuple(crossing)
    return tuple(pair for pair in crossing if pair[0].lower() not in named)


# The same names come all the time.
@lru_cache(maxsize=REMEMBERED)
def _is_connection(name: str) -> bool:
    return name.lower() == "connection"


@lru_cache(maxsize=REMEMBERED)
def _may_go_up(name: str) -> bool:
    return name.lower() not in NEVER_UP and not name.lower().startswith(NEVER_UP_PREFIXES)


@lru_cache(maxsize=REMEMBERED)
def _may_come_down(name: str) -> bool:
    return name.lower() not in NEVER_DOWN and not name.lower().startswith(NEVER_DOWN_PREFIXES)
