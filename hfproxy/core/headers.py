"""Which headers cross the proxy, each way.

Everything passes but for what this page names: what belongs to one connection (RFC 9110 §7.6.1),
what identifies somebody, and what would let the upstream speak for us.
"""

from collections.abc import Iterable

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


def upward(headers: Iterable[tuple[str, str]]) -> Headers:
    """What of a client's request goes to the Hub. The token is not added here but in `daemon.upstream`."""
    return _one_spelling(_crossing(headers, NEVER_UP, NEVER_UP_PREFIXES))


def downward(headers: Iterable[tuple[str, str]]) -> Headers:
    """What of the Hub's answer goes to the client."""
    return _crossing(headers, NEVER_DOWN, NEVER_DOWN_PREFIXES)


def replaced(headers: Iterable[tuple[str, str]], name: str, value: str) -> Headers:
    """The same headers with one of them set to this value only."""
    return (*((key, old) for key, old in headers if key.lower() != name.lower()), (name, value))


def readable(headers: Iterable[tuple[str, str]]) -> Headers:
    """The same headers, asking for no compression but the one that we can look into (`core.leak`)."""
    return tuple(
        (name, ("gzip" if "gzip" in value.lower() else "identity") if name.lower() == "accept-encoding" else value)
        for name, value in headers
    )


def _one_spelling(headers: Headers) -> Headers:
    """A name that comes again is spelled as it was first: of two spellings the client library sends only the last."""
    spelled: dict[str, str] = {}
    return tuple((spelled.setdefault(name.lower(), name), value) for name, value in headers)


def _crossing(headers: Iterable[tuple[str, str]], never: frozenset[str], prefixes: tuple[str, ...]) -> Headers:
    given = tuple(headers)
    named = {token.strip().lower() for key, value in given if key.lower() == "connection" for token in value.split(",")}
    return tuple(
        (key, value)
        for key, value in given
        if key.lower() not in never and key.lower() not in named and not key.lower().startswith(prefixes)
    )
