"""The origin of a URL: scheme, host and port (RFC 6454)."""

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int | None]


def parse_origin(url: str) -> Origin | None:
    """Return (scheme, host, port) of an absolute or protocol-relative URL; None for any other text."""
    try:
        parts = urlsplit(f"https:{url}" if url.startswith("//") else url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname.lower(), port or DEFAULT_PORTS[parts.scheme]


def has_default_port(origin: Origin) -> bool:
    """Return whether the port is the one that the scheme implies."""
    return origin[2] == DEFAULT_PORTS[origin[0]]


def same_origin(a: str, b: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    return parse_origin(a) is not None and parse_origin(a) == parse_origin(b)
