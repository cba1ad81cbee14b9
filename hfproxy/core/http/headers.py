"""Filters the headers that the proxy forwards in each direction.

All headers pass except those listed here: hop-by-hop headers (RFC 9110 §7.6.1), headers that identify the user, and
response headers that would act in the name of the proxy's origin.
"""

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache

from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.errors import UpstreamError

Headers = tuple[tuple[str, str], ...]
WIRE_CODEC = ("utf-8", "surrogateescape")  # aiohttp decodes header bytes this way, so encoding restores them

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
# gradio_client copies its token to x-hf-authorization, which no redirect strips (docs/hub-protocol.md#dropped-headers).
DROPPED_UPSTREAM = HOP_BY_HOP | {
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
# Cookies would give a session to the client; CORS headers would open the proxy to web pages.
DROPPED_DOWNSTREAM = HOP_BY_HOP | {
    "set-cookie",
    "set-cookie2",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
}
NEVER_DOWN_PREFIXES = ("access-control-", "x-hf-proxy-")
# Kept in responses even if `Connection` names them: they delimit the body. The framing of requests is written anew.
FRAMING = frozenset({"content-length"})
CACHED_NAMES = 256


class UpstreamHeaders:
    """The client's headers that are forwarded upstream, without `Authorization`.

    Clients send identical headers with many requests, so one object is shared by all of them
    (`hfproxy.daemon.listen.fast_http`), and each derived value is computed once.

    Attributes:
        pairs: (name, value) in order.
        serialize: the headers as sent, each with its CRLF.
    """

    def __init__(self, pairs: Headers) -> None:
        """Filter and serialize the headers.

        Raises:
            UpstreamError: a name or value holds a line break.
        """
        self.pairs = tuple(pair for pair in pairs if pair[0].lower() != "authorization")
        self.serialize = serialize(self.pairs)

    @cached_property
    def inspectable(self) -> "UpstreamHeaders":
        """The headers with Accept-Encoding reduced to an encoding that can be searched for a token (`token_echo`)."""
        return UpstreamHeaders(
            tuple(
                (name, _readable(value) if name.lower() == "accept-encoding" else value) for name, value in self.pairs
            )
        )

    @cached_property
    def uncompressed(self) -> "UpstreamHeaders":
        """The headers with `Accept-Encoding: identity`."""
        return UpstreamHeaders(with_header(self.pairs, "Accept-Encoding", "identity"))


def to_upstream(headers: Iterable[tuple[str, str]]) -> UpstreamHeaders:
    """Return the request headers to forward to the Hub. The token is added later, in `hfproxy.daemon.upstream`.

    Raises:
        UpstreamError: a name or value holds a line break.
    """
    return UpstreamHeaders(_unify_spelling(_forwardable(headers, _may_go_up)))


def to_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the response headers to forward to the client."""
    return _forwardable(headers, may_come_down, FRAMING)


def merged(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the value of each field by its lower-case name; repeated fields are joined by `, ` (RFC 9110 §5.3)."""
    fields: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower()
        fields[lowered] = f"{fields[lowered]}, {value}" if lowered in fields else value
    return fields


def with_header(headers: Iterable[tuple[str, str]], name: str, value: str) -> Headers:
    """Return the headers with one field set to a single value, at the end."""
    lowered = name.lower()
    return (*[pair for pair in headers if pair[0].lower() != lowered], (name, value))


def serialize(headers: Headers) -> str:
    """Return the headers as sent, each line with its CRLF.

    Raises:
        UpstreamError: a name or value holds a line break.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise UpstreamError(f"a header is more than one line, so it was not passed on{SEE_AUDIT}")
    return text


def _readable(accept_encoding: str) -> str:
    return "gzip" if "gzip" in accept_encoding.lower() else "identity"


def _unify_spelling(headers: Headers) -> Headers:
    """Spell a repeated name as at its first occurrence: the client library sends only the last of two spellings."""
    spellings: dict[str, str] = {}
    return tuple((spellings.setdefault(name.lower(), name), value) for name, value in headers)


def _forwardable(
    headers: Iterable[tuple[str, str]], may_pass: Callable[[str], bool], always: frozenset[str] = frozenset()
) -> Headers:
    """Return the headers with names that may pass, without those that `Connection` names, except for `always`."""
    pairs = tuple(headers)
    hop_by_hop = {token.strip().lower() for key, value in pairs if _is_connection(key) for token in value.split(",")}
    passing = [pair for pair in pairs if may_pass(pair[0])]
    if hop_by_hop <= HOP_BY_HOP:  # the usual case: these are dropped already
        return tuple(passing)
    return tuple(pair for pair in passing if pair[0].lower() not in hop_by_hop - always)


# Cached, since clients and the Hub send the same few names all the time.
@lru_cache(maxsize=CACHED_NAMES)
def _is_connection(name: str) -> bool:
    return name.lower() == "connection"


@lru_cache(maxsize=CACHED_NAMES)
def _may_go_up(name: str) -> bool:
    return name.lower() not in DROPPED_UPSTREAM and not name.lower().startswith(NEVER_UP_PREFIXES)


@lru_cache(maxsize=CACHED_NAMES)
def may_come_down(name: str) -> bool:
    """Return whether a response header is forwarded to the client, unless `Connection` names it."""
    return name.lower() not in DROPPED_DOWNSTREAM and not name.lower().startswith(NEVER_DOWN_PREFIXES)
