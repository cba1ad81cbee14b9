"""The few places where the Hub's answer names the Hub, and must name the proxy instead
(docs/hub-protocol.md#rewriting).

`Location` becomes relative, `Link` absolute: opposite forms, each forced by real clients. Of bodies, only
the LFS batch answer and the xet-fileinfo answer are touched. A URL of any other host passes byte for
byte: signed storage URLs do not survive a change.
"""

import base64
import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from hfproxy.core.http.headers import Headers

# What the Hub calls itself in its answers, whatever origin it was asked under (docs/hub-protocol.md#rewriting).
HUB_HOSTS = frozenset({"huggingface.co", "hub-ci.huggingface.co", "hf.co"})
URL_HEADERS = frozenset({"location", "link", "x-xet-refresh-route"})
DEFAULT_PORTS = {"http": 80, "https": 443}
LINK_URL = re.compile(r"<([^<>]*)>")
# `//host` and `/\host` are other hosts to a browser, so such a path is never made relative.
OWN_PATH = re.compile(r"/(?![\t\r\n]*[/\\])")


@dataclass(frozen=True, slots=True)
class UrlMap:
    """Both ends of the proxy: the Hub's configured origin and our own, both without a trailing slash."""

    hub: str
    proxy: str

    def to_relative(self, url: str) -> str:
        """A Hub URL without scheme and host; any other as it is."""
        path = self._hub_path(url)
        return url if path is None else path

    def to_proxy(self, url: str) -> str:
        """A Hub URL, or one relative to it, as the proxy's; any other as it is."""
        path = url if OWN_PATH.match(url) else self._hub_path(url)
        return url if path is None else self.proxy + path

    def is_hub(self, url: str) -> bool:
        """Whether a URL in an answer leads back to the Hub."""
        return self._hub_path(url) is not None

    def _hub_path(self, url: str) -> str | None:
        scheme = self.hub.partition(":")[0]
        origin = _origin(url)
        if url.startswith("//") and _origin(f"{scheme}:{url}") == _origin(self.hub):
            origin = _origin(self.hub)
        if origin is None or not (origin == _origin(self.hub) or (origin[1] in HUB_HOSTS and _standard(origin))):
            return None
        path = re.sub(r"^(?:[A-Za-z]+:)?//[^/?#]*", "", url)
        path = path if path.startswith("/") else f"/{path}"
        return path if OWN_PATH.match(path) else None


Origin = tuple[str, str, int | None]


def _origin(url: str) -> Origin | None:
    """(scheme, host, port) of an absolute or protocol-relative URL; None for anything else."""
    try:
        parts = urlsplit(f"https:{url}" if url.startswith("//") else url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname.lower(), port or DEFAULT_PORTS[parts.scheme]


def _standard(origin: Origin) -> bool:
    return origin[2] == DEFAULT_PORTS[origin[0]]


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    return _origin(one) is not None and _origin(one) == _origin(other)


def headers(answer: Headers, places: UrlMap) -> Headers:
    """Rewrite those of an answer's headers that may name the Hub (`NAMING_HUB`)."""
    return tuple((name, _header(name.lower(), value, places)) for name, value in answer)


def _header(name: str, value: str, places: UrlMap) -> str:
    match name:
        case "location":
            return places.to_relative(value)
        case "link":
            return LINK_URL.sub(lambda found: f"<{places.to_proxy(found[1])}>", value)
        case "x-xet-refresh-route":
            return places.to_proxy(value) if places.is_hub(value) else value
        case _:
            return value


def lfs_batch(body: bytes, places: UrlMap, credential: str) -> bytes:
    """Point the Hub's own hrefs of an LFS batch answer at the proxy, with the client's credential.

    A href to storage is left alone, header and all: it is what the client asked for. A body that is not
    the JSON of a batch passes as it came.
    """
    try:
        answer = json.loads(body)
        entries = list(answer["objects"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    actions = [action for entry in entries for action in _actions(entry)]
    changed = [_lfs_action(action, places, credential) for action in actions]
    return json.dumps(answer, separators=(",", ":")).encode() if any(changed) else body


def _actions(entry: object) -> list[dict[str, object]]:
    found = entry.get("actions") if isinstance(entry, dict) else None
    return [action for action in found.values() if isinstance(action, dict)] if isinstance(found, dict) else []


def _lfs_action(action: dict[str, object], places: UrlMap, credential: str) -> bool:
    href = action.get("href")
    if not isinstance(href, str) or not places.is_hub(href):
        return False
    action["href"] = places.to_proxy(href)
    header = action.get("header")
    if isinstance(header, dict):
        for name in [name for name in header if name.lower() == "authorization"]:
            header[name] = basic(credential)
    return True


def basic(credential: str) -> str:
    """The credential as git and git-lfs present it; they choose any user name."""
    return "Basic " + base64.b64encode(f"hf_user:{credential}".encode()).decode()


def xet_fileinfo(body: bytes, places: UrlMap) -> bytes:
    """Point the `refreshUrl` of a xet-fileinfo answer at the proxy; the CAS host stays."""
    try:
        answer = json.loads(body)
        refresh = answer["refreshUrl"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    if not isinstance(refresh, str) or not places.is_hub(refresh):
        return body
    answer["refreshUrl"] = places.to_proxy(refresh)
    return json.dumps(answer, separators=(",", ":")).encode()
