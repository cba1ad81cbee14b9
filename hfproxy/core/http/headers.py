"""Which headers cross the proxy, each way.

Everything passes but for what this page names: what belongs to one connection (RFC 9110 §7.6.1),
what identifies somebody, and what would let the upstream speak for us.
"""

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache

from hfproxy.core.policy.access import SEE_AUDIT
from hfproxy.errors import UpstreamError

Headers = tuple[tuple[str, str], ...]
WIRE_CODEC = ("utf-8", "surrogateescape")  # how aiohttp reads header bytes, so that they leave as they came

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
# Cookies would give a session to whoever reads the reply; CORS headers would open us to web pages.
DROPPED_DOWNSTREAM = HOP_BY_HOP | {
    "set-cookie",
    "set-cookie2",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
}
NEVER_DOWN_PREFIXES = ("access-control-", "x-hf-proxy-")
# Where an answer's body ends is said, whatever its `Connection` names; a request's is put into words anew.
FRAMING = frozenset({"content-length"})
REMEMBERED = 256


class UpstreamHeaders:
    """What of a client's headers goes to the Hub, never an `Authorization`; `lines` is how it looks on the wire.

    The same ones come all the time, so one object is made for all requests with them (`daemon.plain`), and what is made
    of it is made once.
    """

    def __init__(self, pairs: Headers) -> None:
        """Raises as `lines`."""
        self.pairs = tuple(pair for pair in pairs if pair[0].lower() != "authorization")
        self.serialize = serialize(self.pairs)

    @cached_property
    def inspectable(self) -> "UpstreamHeaders":
        """The same, asking for no compression but the one that we can look into (`core.leak`)."""
        return UpstreamHeaders(
            tuple(
                (name, _readable(value) if name.lower() == "accept-encoding" else value) for name, value in self.pairs
            )
        )

    @cached_property
    def uncompressed(self) -> "UpstreamHeaders":
        """The same, asking for no compression at all."""
        return UpstreamHeaders(with_header(self.pairs, "Accept-Encoding", "identity"))


def to_upstream(headers: Iterable[tuple[str, str]]) -> UpstreamHeaders:
    """What of a client's request goes to the Hub. The token is not added here but in `daemon.upstream`."""
    return UpstreamHeaders(_one_spelling(_forwardable(headers, _may_go_up)))


def to_client(headers: Iterable[tuple[str, str]]) -> Headers:
    """What of the Hub's answer goes to the client."""
    return _forwardable(headers, may_come_down, FRAMING)


def merged(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Every field by its lower-case name, where several are one list (RFC 9110 §5.3)."""
    fields: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower()
        fields[lowered] = f"{fields[lowered]}, {value}" if lowered in fields else value
    return fields


def with_header(headers: Iterable[tuple[str, str]], name: str, value: str) -> Headers:
    """The same headers with one of them set to this value only."""
    lowered = name.lower()
    return (*[pair for pair in headers if pair[0].lower() != lowered], (name, value))


def serialize(headers: Headers) -> str:
    """Headers as they are sent, each with the end of its line.

    Raises:
        UpstreamError: one would be more than one line.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise UpstreamError(f"a header is more than one line, so it was not passed on{SEE_AUDIT}")
    return text


def _readable(accept_encoding: str) -> str:
    return "gzip" if "gzip" in accept_encoding.lower() else "identity"


def _one_spelling(headers: Headers) -> Headers:
    """A name that comes again is spelled as it was first: of two spellings the client library sends only the last."""
    spelled: dict[str, str] = {}
    return tuple((spelled.setdefault(name.lower(), name), value) for name, value in headers)


def _forwardable(
    headers: Iterable[tuple[str, str]], may: Callable[[str], bool], anyway: frozenset[str] = frozenset()
) -> Headers:
    """Those whose names may cross, and that are not named as belonging to the connection, or cross `anyway`."""
    given = tuple(headers)
    named = {token.strip().lower() for key, value in given if _is_connection(key) for token in value.split(",")}
    crossing = [pair for pair in given if may(pair[0])]
    if named <= HOP_BY_HOP:  # which never cross
        return tuple(crossing)
    return tuple(pair for pair in crossing if pair[0].lower() not in named - anyway)


# The same names come all the time.
@lru_cache(maxsize=REMEMBERED)
def _is_connection(name: str) -> bool:
    return name.lower() == "connection"


@lru_cache(maxsize=REMEMBERED)
def _may_go_up(name: str) -> bool:
    return name.lower() not in DROPPED_UPSTREAM and not name.lower().startswith(NEVER_UP_PREFIXES)


@lru_cache(maxsize=REMEMBERED)
def may_come_down(name: str) -> bool:
    """Whether a header of an answer goes to the client, unless its `Connection` names it."""
    return name.lower() not in DROPPED_DOWNSTREAM and not name.lower().startswith(NEVER_DOWN_PREFIXES)
