"""Admission: refuses requests of web pages and for other hosts, before the proxy reads anything else.

Any web page can make a browser send requests to a loopback port, and any name can be made to resolve to its address
(DNS rebinding: docs/threat-model.md#t1, docs/threat-model.md#t2). A page cannot set `Host`, `Origin` and `Sec-Fetch-*`
itself (forbidden request headers, Fetch standard); stock clients send the right `Host` and none of the others.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from hfproxy.core.policy.decision import Deny, Refusal

# The content types that a form, or a script without a preflight, may send to another origin (Fetch standard,
# CORS-safelisted request-header).
SIMPLE_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
SAME_ORIGIN_SITES = frozenset({"none", "same-origin"})


@dataclass(frozen=True, slots=True)
class Listener:
    """An address that the proxy listens on.

    Over a container bridge the kernel does not name a connection's user, so there only a credential made for containers
    is accepted (docs/threat-model.md#t19).

    Attributes:
        hosts: The accepted values of `Host`, `ADDRESS:PORT`; programs are given the first.
        container: Whether this is the listener for containers.
    """

    hosts: tuple[str, ...]
    container: bool = False
    allowed_hosts: frozenset[tuple[str, ...]] = field(init=False)
    """The accepted occurrences of the `Host` header: exactly one, with one of `hosts`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed_hosts", frozenset((host,) for host in self.hosts))

    @property
    def endpoint(self) -> str:
        """The URL that programs are given."""
        return f"http://{self.hosts[0]}"


def loopback(port: int) -> Listener:
    """Return the listener for programs of this machine."""
    return Listener((f"127.0.0.1:{port}", f"localhost:{port}"))


def bridge(host: str, port: int) -> Listener:
    """Return the listener for containers."""
    return Listener((f"{host}:{port}",), container=True)


Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class RequestHeaders:
    """The headers of a request, and what the policy reads from them.

    Each property is computed once: clients repeat their headers from request to request, and the fast path shares one
    object for equal header blocks (`daemon.listen.fast_http`).
    """

    fields: dict[str, tuple[str, ...]]
    """All values of each header in the order received, by lower-case name."""

    @classmethod
    def of(cls, headers: Pairs) -> "RequestHeaders":
        """Return the headers for (name, value) pairs in the order received."""
        fields: dict[str, tuple[str, ...]] = {}
        for name, value in headers:
            fields[name.lower()] = (*fields.get(name.lower(), ()), value)
        return cls(fields)

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a header, by its lower-case name."""
        return self.fields.get(name, ())

    def one(self, name: str) -> str:
        """Return the value of a header, by its lower-case name: empty if missing, several joined (RFC 9110 §5.3)."""
        return ", ".join(self.fields.get(name, ()))

    @cached_property
    def accept(self) -> str:
        """The media types that the client accepts (RFC 9110 §12.5.1)."""
        return self.one("accept")

    @cached_property
    def bill_to(self) -> str | None:
        """The organisation to be billed (`X-HF-Bill-To`); None: the account's user."""
        return self.one("x-hf-bill-to") or None

    @cached_property
    def has_browser_headers(self) -> bool:
        """Whether there is a header that browsers add by themselves: `Origin` or `Sec-Fetch-*`."""
        return any(name == "origin" or name.startswith("sec-fetch-") for name in self.fields)

    @cached_property
    def browser_refusal(self) -> Deny | None:
        """Why the request is refused as one that a web page may have sent; None: it is not."""
        if self.all("origin") or not set(self.all("sec-fetch-site")) <= SAME_ORIGIN_SITES:
            return Deny(
                Refusal.ORIGIN, "hf-proxy does not serve web pages; use it from a program: hf-proxy exec -- CMD"
            )
        media_type = self.one("content-type").partition(";")[0].strip().lower()
        if media_type in SIMPLE_TYPES and not self.all("authorization"):
            return Deny(Refusal.ORIGIN, f"a {media_type} body needs a credential; get one: hf-proxy exec -- CMD")
        return None

    @cached_property
    def credential(self) -> str | Deny | None:
        """The credential from `Authorization`: `Bearer CREDENTIAL`, or the password of `Basic`.

        None: the header is missing. Deny: it is malformed, of another scheme, or occurs twice.
        """
        values = self.all("authorization")
        if not values:
            return None
        return (_credential_of(values[0]) if len(values) == 1 else None) or _malformed()


def admit(inbound: RequestHeaders, listener: Listener) -> Deny | None:
    """Return why a request is not admitted: another `Host`, or a web page may have sent it; None: it is admitted."""
    if inbound.fields.get("host") not in listener.allowed_hosts:
        return Deny(
            Refusal.HOST,
            f"this is hf-proxy; it answers to {' and '.join(listener.hosts)} only; set HF_ENDPOINT={listener.endpoint}",
        )
    return inbound.browser_refusal


def _credential_of(authorization: str) -> str | None:
    scheme, _, value = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            return _password(value.strip())
        case _:
            return None


def _password(encoded: str) -> str | None:
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None
    # In a URL for git the credential may stand in the user name's place, with an empty password.
    return (password or user) if colon else None


def _malformed() -> Deny:
    return Deny(
        Refusal.UNKNOWN_CREDENTIAL,
        "the Authorization header is not one Bearer or Basic credential; get one: hf-proxy exec -- CMD",
    )


def is_navigation(method: str, inbound: RequestHeaders) -> bool:
    """Return whether a browser opens a page: a GET for HTML without a credential. It is redirected to the Hub."""
    return method == "GET" and not inbound.all("authorization") and "text/html" in inbound.accept
