"""`config.toml`: what may stand in it, and that each mistake is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import law

from hfproxy import config
from hfproxy.errors import ConfigError, UsageError


def load(tmp_path: Path, text: str) -> config.Config:
    (tmp_path / "config.toml").write_text(text)
    return config.load(tmp_path)


def test_without_a_file_the_documented_defaults_hold(tmp_path: Path) -> None:
    found = config.load(tmp_path)
    assert found.listen.host_port == ("127.0.0.1", 4880)
    assert (found.upstream.hub, found.upstream.ca_file) == ("https://huggingface.co", None)
    assert found.vault.backend == "keyring"
    assert (found.grants.default_ttl, found.grants.max_ttl, found.grants.ceiling_scopes) == ("1h", "12h", ())
    assert found.profile("default") == ("read",)


def test_all_of_it_can_be_said(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
        [listen]
        address = "127.0.0.1:0"
        [upstream]
        hub = "http://localhost:8080"
        ca_file = "/etc/ca.pem"
        [vault]
        backend = "sealed-file"
        [grants]
        default_ttl = "15m"
        max_ttl = "2d"
        ceiling = ["read", "write:me/*"]
        [profiles.default]
        scopes = ["read:me/*"]
        [profiles.space]
        scopes = ["write:spaces/me/demo"]
        """,
    )
    assert found.listen.host_port == ("127.0.0.1", 0)
    assert list(map(str, found.grants.ceiling_scopes)) == ["read", "write:me/*"]
    assert found.profile("default") == ("read:me/*",)
    assert found.profile("space") == ("write:spaces/me/demo",)


def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"'sp\\xe4ce'.*\[profiles\.NAME\]"):
        config.Config().profile("späce")


@pytest.mark.parametrize(("typed", "near"), [("spaec", "--profile space$"), ("defualt", "--profile default$")])
def test_the_nearest_profile_is_told(typed: str, near: str) -> None:
    known = config.Config(profiles={"space": config.ProfileSettings(scopes=("read",))})
    with pytest.raises(UsageError, match=near):
        known.profile(typed)


def test_a_projects_file_says_scopes() -> None:
    assert config.parse_project('# ours\nscopes = ["read:me/*"]\n', "/p/.hf-proxy.toml").scopes == ("read:me/*",)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("scopes = ['read']\ntoken = 'x'", "unknown key 'token'"),
        ("scopes = ['red:me/*']", "scopes: malformed scope 'red:me/[*]'"),
        ("scopes = []", "'scopes'"),
        ("scopes = 'read'", "'scopes'"),
        ("", "scopes"),
        ("scopes = [", "not valid TOML"),
        ("x = " + "[" * 60_000, "not valid TOML"),
    ],
)
def test_a_mistake_in_it_is_named_with_its_place(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=f"^/p/.hf-proxy.toml.*{named}"):
        config.parse_project(text, "/p/.hf-proxy.toml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[listen]\nadress = 'x'", "'listen.adress'; did you mean: listen.address"),
        ("[grant]\nmax_ttl = '1h'", "'grant'; did you mean: grants"),
        ("colour = 1", "'colour'; remove it, or see: man hf-proxy.toml"),
        ("[profiles.a]\nscopes = ['read']\nttl = '1h'", "ttl"),
        ("[profiles.a]\nscopes = []", "profiles"),
        ("[grants]\nceiling = 'read'", "grants.ceiling"),
        ("[vault]\nbackend = 'plain'", "vault.backend must be keyring, sealed-file or memory; see: man hf-proxy.toml"),
        ("[vault]\nkey_file = 'relative/key'", "vault.key_file"),
        ("[grants]\ndefault_ttl = '1.5h'", "grants.default_ttl: malformed duration '1.5h'"),
        ("[grants]\nmax_ttl = 'long'", "grants.max_ttl: malformed duration 'long'"),
        ("[grants]\ndefault_ttl = '13h'", "grants.default_ttl"),
        (
            "[grants]\nceiling = ['raed']",
            "grants.ceiling: malformed scope 'raed': unknown action (did you mean read?",
        ),
        ("[profiles.a]\nscopes = ['read', 'read:a/b/c']", "profiles.a.scopes: malformed scope 'read:a/b/c'"),
        ("[listen]\naddress = '0.0.0.0:4880'", "listen.address"),
        ("[listen]\naddress = '127.0.0.1'", "listen.address"),
        ("[listen]\naddress = '127.0.0.1:70000'", "listen.address"),
        ("[listen]\naddress = '127.0.0.1:08'", "listen.address"),
        ("[listen]\naddress = 'localhost:4880'", "listen.address"),
        ("[upstream]\nhub = 'http://huggingface.co'", "upstream.hub"),
        ("[upstream]\nhub = 'http://127.0.0.1.evil.example'", "upstream.hub"),
        ("[upstream]\nhub = 'ftp://127.0.0.1'", "upstream.hub"),
        ("[upstream]\nhub = 'huggingface.co'", "upstream.hub"),
        ("[upstream]\nhub = 'https://huggingface.co/'", "upstream.hub"),
        ("[upstream]\nhub = 'https://me:pw@huggingface.co'", "upstream.hub"),
        ("[upstream]\nhub = 'https://'", "upstream.hub"),
        ("x = [", "TOML"),
    ],
)
def test_a_mistake_is_named_with_the_file_it_is_in(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert named in str(caught.value)
    assert str(tmp_path / "config.toml") in str(caught.value)


@pytest.mark.parametrize(
    "hub", ["https://huggingface.co", "https://huggingface.co:443", "https://HuggingFace.co", "HTTPS://huggingface.co"]
)
def test_no_other_authority_may_vouch_for_the_real_hub_however_it_is_spelled(tmp_path: Path, hub: str) -> None:
    with pytest.raises(ConfigError, match=r"upstream\."):
        load(tmp_path, f"[upstream]\nhub = '{hub}'\nca_file = '/etc/ca.pem'")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "127.9.9.9", "localhost:80", "[::1]:8080"])
def test_plain_http_is_for_a_hub_on_this_machine(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f"[upstream]\nhub = 'http://{host}'").upstream.hub == f"http://{host}"


def test_a_file_that_is_no_text_or_no_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172800)])
def test_durations_are_read_as_people_type_them(text: str, seconds: int) -> None:
    assert config.parse_duration(text) == seconds


@given(st.text(max_size=12))
@law()
def test_what_is_no_duration_is_refused_in_one_line_of_ascii(text: str) -> None:
    try:
        assert config.parse_duration(text) > 0
    except UsageError as error:
        assert str(error).isascii()
        assert str(error).isprintable()


def test_there_is_no_address_for_containers_unless_it_is_said(tmp_path: Path) -> None:
    assert config.Config().listen.bridge_host_port is None
    assert load(tmp_path, "[listen]\nbridge = '172.17.0.1:4881'").listen.bridge_host_port == ("172.17.0.1", 4881)


@pytest.mark.parametrize(
    "bridge",
    ["0.0.0.0:4881", "8.8.8.8:4881", "127.0.0.1:4881", "169.254.1.1:4881", "100.64.0.1:4881", "224.0.0.1:4881",
     "172.32.0.1:4881", "172.17.0.1", "172.17.0.1:0", "172.17.0.1:65536", "172.17.0.1:04881", "172.17.1:4881", ":4881",
     "[::1]:4881", "[fd00::1]:4881", "docker0:4881", "172.17.0.1/16:4881", ""],
)  # fmt: skip
def test_containers_are_met_at_a_private_address_only(tmp_path: Path, bridge: str) -> None:
    with pytest.raises(ConfigError, match=r"listen\.bridge .*172\.17\.0\.1:4881"):
        load(tmp_path, f"[listen]\nbridge = '{bridge}'")
