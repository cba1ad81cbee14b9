"""Rewrites URLs of the Hub in its responses to URLs of the proxy (docs/hub-protocol.md#rewriting).

`Location` becomes relative and `Link` absolute: opposite forms, each required by real clients. The only bodies changed
are the LFS batch response and the xet-fileinfo response. URLs of other hosts pass byte for byte, since a change breaks
the signature of storage URLs.
"""

import base64
import json
import re
from dataclasses import dataclass

from hfproxy.core.http.headers import Headers
from hfproxy.core.http.origin import has_default_port, parse_origin

# The names under which the Hub refers to itself in responses, whatever the requested origin
# (docs/hub-protocol.md#rewriting).
HUB_HOSTS = frozenset({"huggingface.co", "hub-ci.huggingface.co", "hf.co"})
URL_HEADERS = frozenset({"location", "link", "x-xet-refresh-route"})
LINK_URL = re.compile(r"<([^<>]*)>")
# A browser takes `//host` and `/\host` for another host, so such a path is never made relative.
OWN_PATH = re.compile(r"/(?![\t\r\n]*[/\\])")


@dataclass(frozen=True, slots=True)
class UrlMap:
    """The origins of the Hub (as configured) and of the proxy, both without a trailing slash."""

    hub: str
    proxy: str

    def to_relative(self, url: str) -> str:
        """Return a URL of the Hub without scheme and host; any other URL unchanged."""
        path = self._hub_path(url)
        return url if path is None else path

    def to_proxy(self, url: str) -> str:
        """Return a URL of the Hub, absolute or relative, as a URL of the proxy; any other URL unchanged."""
        path = url if OWN_PATH.match(url) else self._hub_path(url)
        return url if path is None else self.proxy + path

    def is_hub(self, url: str) -> bool:
        """Return whether an absolute URL in a response leads back to the Hub."""
        return self._hub_path(url) is not None

    def _hub_path(self, url: str) -> str | None:
        scheme = self.hub.partition(":")[0]
        origin = parse_origin(url)
        if url.startswith("//") and parse_origin(f"{scheme}:{url}") == parse_origin(self.hub):
            origin = parse_origin(self.hub)
        if origin is None or not (
            origin == parse_origin(self.hub) or (origin[1] in HUB_HOSTS and has_default_port(origin))
        ):
            return None
        path = re.sub(r"^(?:[A-Za-z]+:)?//[^/?#]*", "", url)
        path = path if path.startswith("/") else f"/{path}"
        return path if OWN_PATH.match(path) else None


def headers(response: Headers, urls: UrlMap) -> Headers:
    """Rewrite the headers of a response that may hold a URL of the Hub (`URL_HEADERS`)."""
    return tuple((name, _header(name.lower(), value, urls)) for name, value in response)


def _header(name: str, value: str, urls: UrlMap) -> str:
    match name:
        case "location":
            return urls.to_relative(value)
        case "link":
            return LINK_URL.sub(lambda match: f"<{urls.to_proxy(match[1])}>", value)
        case "x-xet-refresh-route":
            return urls.to_proxy(value) if urls.is_hub(value) else value
        case _:
            return value


def lfs_batch(body: bytes, urls: UrlMap, credential: str) -> bytes:
    """Rewrite the Hub's own hrefs in an LFS batch response to the proxy, with the client's credential.

    A href to storage is left alone together with its header. A body that is not the JSON of a batch is returned
    unchanged.
    """
    try:
        answer = json.loads(body)
        entries = list(answer["objects"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    actions = [action for entry in entries for action in _actions(entry)]
    changed = [_lfs_action(action, urls, credential) for action in actions]
    return json.dumps(answer, separators=(",", ":")).encode() if any(changed) else body


def _actions(entry: object) -> list[dict[str, object]]:
    actions = entry.get("actions") if isinstance(entry, dict) else None
    return [action for action in actions.values() if isinstance(action, dict)] if isinstance(actions, dict) else []


def _lfs_action(action: dict[str, object], urls: UrlMap, credential: str) -> bool:
    href = action.get("href")
    if not isinstance(href, str) or not urls.is_hub(href):
        return False
    action["href"] = urls.to_proxy(href)
    header = action.get("header")
    if isinstance(header, dict):
        for name in [name for name in header if name.lower() == "authorization"]:
            header[name] = basic(credential)
    return True


def basic(credential: str) -> str:
    """Return the credential as HTTP Basic authorization, as git and git-lfs send it; the user name is arbitrary."""
    return "Basic " + base64.b64encode(f"hf_user:{credential}".encode()).decode()


def xet_fileinfo(body: bytes, urls: UrlMap) -> bytes:
    """Rewrite the `refreshUrl` of a xet-fileinfo response to the proxy; the CAS host is left alone."""
    try:
        answer = json.loads(body)
        refresh = answer["refreshUrl"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body
    if not isinstance(refresh, str) or not urls.is_hub(refresh):
        return body
    answer["refreshUrl"] = urls.to_proxy(refresh)
    return json.dumps(answer, separators=(",", ":")).encode()
