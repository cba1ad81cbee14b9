"""Who may speak to the data plane at all, before it is asked what they want.

Any web page can make a browser send requests to a loopback port, and any name can be made to resolve to it
(DNS rebinding: docs/threat-model.md#t1, docs/threat-model.md#t2). Browsers cannot forge `Host`, `Origin` and
`Sec-Fetch-*`; stock clients send the first as it is and none of the others.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from hfproxy.core.policy.decision import Deny, Refusal

# What a form or a script without preflight may send cross-site (Fetch standard, CORS-safelisted types).
SIMPLE_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
SAME_ORIGIN_SITES = frozenset({"none", "same-origin"})


@dataclass(frozen=True, slots=True)
class Listener:
    """An address of the data plane: what `Host` may say of it, and whether it is the one for containers.

    Over a bridge the kernel cannot say whose a connection is: a credential is all there is to go by
    (docs/threat-model.md#t19).
    """

    hosts: tuple[str, ...]
    container: bool = False
    allowed_hosts: frozenset[tuple[str, ...]] = field(init=False)
    """The values of `Host` that are good here: one, and one of these."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed_hosts", frozenset((host,) for host in self.hosts))

    @property
    def endpoint(self) -> str:
        """Where programs find it."""
        return f"http://{self.hosts[0]}"


def loopback(port: int) -> Listener:
    """The address for the programs of this machine."""
    return Listener((f"127.0.0.1:{port}", f"localhost:{port}"))


def bridge(host: str, port: int) -> Listener:
    """The address for containers."""
    return Listener((f"{host}:{port}",), container=True)


Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class RequestHeaders:
    """The headers of a request, by lower-case name, every occurrence. What can be said of them is worked out once:
    clients send the same ones all the time (`daemon.plain`)."""

    fields: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, headers: Pairs) -> "RequestHeaders":
        """Gather headers as they came."""
        fields: dict[str, tuple[str, ...]] = {}
        for name, value in headers:
            fields[name.lower()] = (*fields.get(name.lower(), ()), value)
        return cls(fields)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header."""
        return self.fields.get(name, ())

    def one(self, name: str) -> str:
        """The value of a header, empty where it is missing; several are joined as RFC 9110 §5.3 says."""
        return ", ".join(self.fields.get(name, ()))

    @cached_property
    def accept(self) -> str:
        """The kinds of answer that are asked for."""
        return self.one("accept")

    @cached_property
    def bill_to(self) -> str | None:
        """The organisation that is to pay, if another than the account's user is."""
        return self.one("x-hf-bill-to") or None

    @cached_property
    def has_browser_headers(self) -> bool:
        """Whether it has a header that browsers send by themselves and cannot be told to leave out."""
        return any(name == "origin" or name.startswith("sec-fetch-") for name in self.fields)

    @cached_property
    def browser_refusal(self) -> Deny | None:
        """Why it looks as if a web page had sent it; None: it does not."""
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
        """The credential: `Bearer CRED`, or the password of `Basic`. None: there is none."""
        given = self.all("authorization")
        if not given:
            return None
        return (_bearer(given[0]) if len(given) == 1 else None) or _malformed()


def admit(inbound: RequestHeaders, listener: Listener) -> Deny | None:
    """Refuse what a browser or another host name brought here; None means that the request may go on."""
    if inbound.fields.get("host") not in listener.allowed_hosts:
        return Deny(
            Refusal.HOST, f"this is hf-proxy; it answers to {' and '.join(listener.hosts)} only: set HF_ENDPOINT"
        )
    return inbound.browser_refusal


def _bearer(authorization: str) -> str | None:
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
    # git may be given the credential as the user name, with an empty password.
    return (password or user) if colon else None


def _malformed() -> Deny:
    return Deny(
        Refusal.UNKNOWN_CREDENTIAL,
        "the Authorization header is not one Bearer or Basic credential; get one: hf-proxy exec -- CMD",
    )


def is_navigation(method: str, inbound: RequestHeaders) -> bool:
    """Whether a person's browser opened one of our addresses, to be shown the same page on the Hub."""
    return method == "GET" and not inbound.all("authorization") and "text/html" in inbound.accept
