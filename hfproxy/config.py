"""The settings of `config.toml` and of project files, parsed strictly: an unknown key is an error that names the key.

A missing `config.toml` means the defaults, which man/hf-proxy.toml.5 lists. Neither file ever holds a secret.
"""

import ipaddress
import re
import tomllib
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec

from hfproxy.core.http.origin import same_origin
from hfproxy.core.policy.scope import Scope, parse
from hfproxy.errors import ConfigError, UsageError

Parsed = TypeVar("Parsed")
SettingsT = TypeVar("SettingsT", bound="_Strict")

CONFIG_FILE = "config.toml"
HUB_ORIGIN = "https://huggingface.co"
DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
SECONDS_BY_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SIZE = re.compile(r"([1-9][0-9]{0,11})([kMGT]?)")
PRIVATE_NETWORKS = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
Backend = Literal["keyring", "sealed-file", "memory"]
BACKENDS: tuple[str, ...] = get_args(Backend)
BYTES_BY_UNIT = {"": 1, "k": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def parse_duration(text: str) -> int:
    """Return a duration such as `90s`, `15m`, `1h` or `2d` in seconds.

    Raises:
        UsageError: the text is not a duration.
    """
    match = DURATION.fullmatch(text)
    if match is None:
        raise UsageError(f"malformed duration '{ascii(text[:40])[1:-1]}': write 90s, 15m, 1h or 2d")
    return int(match[1]) * SECONDS_BY_UNIT[match[2]]


def parse_size(text: str) -> int:
    """Return a size such as `500k`, `20M` or `3G` in bytes; each unit is 1,024 times the one before.

    Raises:
        UsageError: the text is not a size.
    """
    match = SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"malformed size '{ascii(text[:40])[1:-1]}': write 500k, 20M or 3G")
    return int(match[1]) * BYTES_BY_UNIT[match[2]]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table that rejects unknown keys."""


class ListenSettings(_Strict, frozen=True):
    """The addresses of the data plane.

    Attributes:
        address: `HOST:PORT`; port 0 means any free port, chosen once and remembered.
        bridge: `HOST:PORT` of the listener for containers; None: no such listener.
    """

    address: str = "127.0.0.1:4880"
    bridge: str | None = None

    @property
    def host_port(self) -> tuple[str, int]:
        """`address` as (host, port); `validate` has checked its form."""
        return _split_address(self.address)

    @property
    def bridge_host_port(self) -> tuple[str, int] | None:
        """`bridge` as (host, port), or None if no bridge is configured."""
        return None if self.bridge is None else _split_address(self.bridge)


def _split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class UpstreamSettings(_Strict, frozen=True):
    """The origin of the Hub, and a file of certificate authorities trusted in addition to the system's."""

    hub: str = HUB_ORIGIN
    ca_file: str | None = None


class VaultSettings(_Strict, frozen=True):
    """The kind of vault, and the file that holds the passphrase of a sealed one."""

    backend: Backend = "keyring"
    key_file: str | None = None


class GrantSettings(_Strict, frozen=True):
    """Lifetimes as typed durations, and the scopes no grant may exceed (empty: no ceiling)."""

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
    """A project file: the scopes that the project's scripts need. It holds neither secrets nor personal settings."""


class Config(_Strict, frozen=True):
    """The whole of `config.toml`."""

    listen: ListenSettings = ListenSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    vault: VaultSettings = VaultSettings()
    grants: GrantSettings = GrantSettings()
    accounts: dict[str, str] = {}
    profiles: dict[str, ProfileSettings] = {}

    @property
    def account_by_namespace(self) -> dict[str, str]:
        """`[accounts]` with lower-case namespaces, since repository ids are compared case-insensitively."""
        return {namespace.lower(): account for namespace, account in self.accounts.items()}

    def profile(self, name: str) -> tuple[str, ...]:
        """Return the scopes of a profile; `default` is `read` unless the file defines it.

        Raises:
            UsageError: there is no such profile.
        """
        if name in self.profiles:
            return self.profiles[name].scopes
        if name == "default":
            return ("read",)
        near = get_close_matches(name, {*self.profiles, "default"})
        if near:
            hint = f"did you mean: --profile {' or '.join(near)}"
        elif self.profiles:
            hint = f"there are: {', '.join(self.profiles)}"
        else:
            hint = "there are none; write [profiles.NAME] with scopes = [...]"
        raise UsageError(f"no profile '{ascii(name[:60])[1:-1]}' in {CONFIG_FILE}; {hint}")


def load(directory: Path) -> Config:
    """Load `config.toml` from the config directory; a missing file gives the defaults.

    Raises:
        ConfigError: the file cannot be read or is not valid; the message names the file and the key.
    """
    file = directory / CONFIG_FILE
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read ({error.__class__.__name__}); see: ls -l {file}") from None
    return _decode(text, str(file), Config, validate)


def parse_project(text: str, file: str) -> ProjectSettings:
    """Parse the text of a project file; `file` is its path, for messages.

    Raises:
        ConfigError: the file is not valid; the message names the file and the key.
    """
    return _decode(text, file, ProjectSettings, lambda settings: _check_scopes("scopes", settings.scopes))


def _decode(text: str, file: str, kind: type[SettingsT], validate: Callable[[SettingsT], None]) -> SettingsT:
    try:
        settings = msgspec.convert(tomllib.loads(text), kind)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}; see: man hf-proxy.toml") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_describe(str(error), kind)}") from None
    try:
        validate(settings)
    except (UsageError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from None
    return settings


def validate(config: Config) -> None:
    """Validate addresses, durations and scopes, which the types of the tables leave open.

    Raises:
        ValueError: a value is not valid; the message names the key and the form it must have.
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
    """Require a private IPv4 address (RFC 1918); that a bridge of this machine has it is checked by the daemon."""
    host, _, port = address.rpartition(":")
    try:
        private = any(ipaddress.IPv4Address(host) in network for network in PRIVATE_NETWORKS)
    except ValueError:
        private = False
    if not private or not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        msg = f"listen.bridge '{address}' must be a private address of a bridge and a port, like 172.17.0.1:4881"
        raise ValueError(msg)


def _check_hub(upstream: UpstreamSettings) -> None:
    """Require an origin without path or user; http is allowed for a loopback address only."""
    parts = urlsplit(upstream.hub)
    plain = f"{parts.scheme}://{parts.netloc}" == upstream.hub and parts.hostname and "@" not in parts.netloc
    if not plain or parts.scheme not in {"https", "http"}:
        raise ValueError(f"upstream.hub '{upstream.hub}' must be an origin, like {HUB_ORIGIN}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("upstream.hub may use http for a loopback address only; write https")
    if upstream.ca_file is not None and same_origin(upstream.hub, HUB_ORIGIN):
        raise ValueError(f"upstream.ca_file is not used for {HUB_ORIGIN}, whose certificates the system knows")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_times(grants: GrantSettings) -> None:
    default = _parse("grants.default_ttl", parse_duration, grants.default_ttl)
    if default > _parse("grants.max_ttl", parse_duration, grants.max_ttl):
        raise ValueError("grants.default_ttl is longer than grants.max_ttl")


def _check_scopes(key: str, scopes: tuple[str, ...]) -> None:
    for scope in scopes:
        _parse(key, parse, scope)


def _parse(key: str, reader: Callable[[str], Parsed], text: str) -> Parsed:
    """Parse one value; an error message names its key."""
    try:
        return reader(text)
    except UsageError as error:
        raise ValueError(f"{key}: {error}") from None


def _describe(error: str, kind: type[_Strict]) -> str:
    """Turn a message of msgspec (`... unknown field `x` - at `$.listen``) into one in the terms of the file."""
    problem, _, path = error.partition(" - at ")
    key = path.strip("`").removeprefix("$").lstrip(".")
    unknown = re.search(r"unknown field `(.*)`", problem)
    if unknown:
        return f"unknown key '{_join(key, unknown[1])}'; {_near_key(key, unknown[1], kind)}"
    if key == "vault.backend" and problem.startswith("Invalid enum value"):
        return f"{key} must be {', '.join(BACKENDS[:-1])} or {BACKENDS[-1]}; see: man hf-proxy.toml"
    return f"'{key or 'the file'}': {problem[:1].lower()}{problem[1:]}; see: man hf-proxy.toml"


def _near_key(table: str, key: str, kind: type[_Strict]) -> str:
    """Return the advice for an unknown key: the key of the same table that it resembles, or to remove it."""
    fields = msgspec.structs.fields(kind)
    if table:
        defaults = (field.default for field in fields if field.name == table)
        fields = next((msgspec.structs.fields(one) for one in defaults if isinstance(one, _Strict)), ())
    near = get_close_matches(key, [field.name for field in fields], n=1)
    return f"did you mean: {_join(table, near[0])}" if near else "remove it, or see: man hf-proxy.toml"


def _join(table: str, key: str) -> str:
    return f"{table}.{key}" if table else key
