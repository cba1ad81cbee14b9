"""`config.toml`, and a project's file: what the user may decide, read strictly. An unknown key is an error that names
it.

A missing file means the defaults, which man/hf-proxy.toml.5 lists. Nothing secret is ever in here.
"""

import ipaddress
import re
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from hfproxy.core.hub.rewrite import same_origin
from hfproxy.core.policy.scope import Scope, parse
from hfproxy.errors import ConfigError, UsageError

Read = TypeVar("Read")
Table = TypeVar("Table", bound="_Strict")

FILE = "config.toml"
HUB = "https://huggingface.co"
DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SIZE = re.compile(r"([1-9][0-9]{0,11})([kMGT]?)")
PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
BYTES = {"": 1, "k": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def duration(text: str) -> int:
    """Seconds of a duration as people type it: `90s 15m 1h 2d`.

    Raises:
        UsageError: it is none.
    """
    match = DURATION.fullmatch(text)
    if match is None:
        raise UsageError(f"malformed duration '{ascii(text[:40])[1:-1]}': write 90s, 15m, 1h or 2d")
    return int(match[1]) * SECONDS[match[2]]


def size(text: str) -> int:
    """Bytes of a size as people type it: `500k 20M 3G`, each step 1,024.

    Raises:
        UsageError: it is none.
    """
    match = SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"malformed size '{ascii(text[:40])[1:-1]}': write 500k, 20M or 3G")
    return int(match[1]) * BYTES[match[2]]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown keys are refused."""


class ListenSettings(_Strict, frozen=True):
    """Where the data plane listens. Port 0: any free one, remembered. `bridge`: where containers find it, if at all."""

    address: str = "127.0.0.1:4880"
    bridge: str | None = None

    @property
    def host_port(self) -> tuple[str, int]:
        """The two parts of the address; `check` made sure that there are two."""
        return _split(self.address)

    @property
    def bridge_host_port(self) -> tuple[str, int] | None:
        """The same of the bridge's; None: there is none."""
        return None if self.bridge is None else _split(self.bridge)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class UpstreamSettings(_Strict, frozen=True):
    """The Hub, and a certificate authority that is trusted besides the system's."""

    hub: str = HUB
    ca_file: str | None = None


class VaultSettings(_Strict, frozen=True):
    """Where tokens live, and the file with the passphrase of a sealed vault."""

    backend: Literal["keyring", "sealed-file", "memory"] = "keyring"
    key_file: str | None = None


class GrantSettings(_Strict, frozen=True):
    """Lifetimes as people type them, and scopes that no grant may exceed (none: no ceiling)."""

    default_ttl: str = "1h"
    max_ttl: str = "12h"
    ceiling: tuple[str, ...] = ()

    @property
    def ceiling_scopes(self) -> tuple[Scope, ...]:
        """The ceiling, parsed."""
        return tuple(map(parse, self.ceiling))


class ProfileSettings(_Strict, frozen=True):
    """A named list of scopes."""

    scopes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class ProjectSettings(ProfileSettings, frozen=True):
    """A project's own file: what its scripts need. Nothing in it is secret, or of one person only."""


class Config(_Strict, frozen=True):
    """The whole file."""

    listen: ListenSettings = ListenSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    vault: VaultSettings = VaultSettings()
    grants: GrantSettings = GrantSettings()
    accounts: dict[str, str] = {}
    profiles: dict[str, ProfileSettings] = {}

    @property
    def rules(self) -> dict[str, str]:
        """`[accounts]` with its namespaces in lower case: ids compare so."""
        return {namespace.lower(): account for namespace, account in self.accounts.items()}

    def profile(self, name: str) -> tuple[str, ...]:
        """The scopes of a profile; `default` is `read` unless the file says otherwise.

        Raises:
            UsageError: there is no such profile.
        """
        if name in self.profiles:
            return self.profiles[name].scopes
        if name == "default":
            return ("read",)
        near = get_close_matches(name, {*self.profiles, "default"})
        hint = f"did you mean: --profile {' or '.join(near)}" if near else "write [profiles.NAME] with scopes = [...]"
        raise UsageError(f"no profile '{ascii(name[:60])[1:-1]}' in {FILE}; {hint}")


def load(directory: Path) -> Config:
    """Read `config.toml` of the config directory; the defaults where there is none.

    Raises:
        ConfigError: it cannot be read, or is not valid; names the file and the key.
    """
    file = directory / FILE
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({error.__class__.__name__}); see: ls -l {file}") from None
    return _decode(text, str(file), Config, check)


def project(text: str, file: str) -> ProjectSettings:
    """Read a project's file, which is at `file`; raises as `load`."""
    return _decode(text, file, ProjectSettings, lambda found: _check_scopes("scopes", found.scopes))


def _decode(text: str, file: str, kind: type[Table], checked: Callable[[Table], None]) -> Table:
    try:
        found = msgspec.convert(tomllib.loads(text), kind)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}; see: man hf-proxy.toml") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_describe(str(error))}") from None
    try:
        checked(found)
    except (UsageError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from None
    return found


def check(config: Config) -> None:
    """What a type cannot say: addresses, durations, scopes.

    Raises:
        ValueError, UsageError: names the key and what it may be.
    """
    _check_address(config.listen.address)
    if config.listen.bridge is not None:
        _check_bridge(config.listen.bridge)
    _check_hub(config.upstream)
    if config.vault.key_file is not None and not Path(config.vault.key_file).is_absolute():
        raise ValueError(f"vault.key_file '{config.vault.key_file}' must be an absolute path")
    _check_times(config.grants)
    _check_scopes("grants.ceiling", config.grants.ceiling)
    for name, profile in config.profiles.items():
        _check_scopes(f"profiles.{name}.scopes", profile.scopes)


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if host != "127.0.0.1" or not re.fullmatch(r"0|[1-9][0-9]{0,4}", port) or int(port) > 65535:
        msg = f"listen.address '{address}' must be 127.0.0.1:PORT (other machines are never served)"
        raise ValueError(msg)


def _check_bridge(address: str) -> None:
    """A private IPv4 address (RFC 1918); whether a bridge of this machine has it, the daemon looks itself."""
    host, _, port = address.rpartition(":")
    try:
        private = any(ipaddress.IPv4Address(host) in network for network in PRIVATE)
    except ValueError:
        private = False
    if not private or not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        msg = f"listen.bridge '{address}' must be a private address of a bridge and a port, like 172.17.0.1:4881"
        raise ValueError(msg)


def _check_hub(upstream: UpstreamSettings) -> None:
    """http only to a loopback address, and neither path nor user in it."""
    parts = urlsplit(upstream.hub)
    plain = f"{parts.scheme}://{parts.netloc}" == upstream.hub and parts.hostname and "@" not in parts.netloc
    if not plain or parts.scheme not in {"https", "http"}:
        raise ValueError(f"upstream.hub '{upstream.hub}' must be an origin, like {HUB}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("upstream.hub may use http for a loopback address only; write https")
    if upstream.ca_file is not None and same_origin(upstream.hub, HUB):
        raise ValueError(f"upstream.ca_file is not used for {HUB}, whose certificates the system knows")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_times(grants: GrantSettings) -> None:
    default = _read("grants.default_ttl", duration, grants.default_ttl)
    if default > _read("grants.max_ttl", duration, grants.max_ttl):
        raise ValueError("grants.default_ttl is longer than grants.max_ttl")


def _check_scopes(key: str, scopes: tuple[str, ...]) -> None:
    for scope in scopes:
        _read(key, parse, scope)


def _read(key: str, reader: Callable[[str], Read], text: str) -> Read:
    """What a text of the file means; a mistake is named with its key."""
    try:
        return reader(text)
    except UsageError as error:
        raise ValueError(f"{key}: {error}") from None


def _describe(error: str) -> str:
    """msgspec says `... unknown field `x` - at `$.listen``; say it as the file is written."""
    what, _, where = error.partition(" - at ")
    place = where.strip("`").removeprefix("$").lstrip(".")
    unknown = re.search(r"unknown field `(.*)`", what)
    if unknown:
        return f"unknown key '{'.'.join(filter(None, (place, unknown[1])))}'; remove it"
    return f"'{place or 'the file'}': {what[:1].lower()}{what[1:]}"
