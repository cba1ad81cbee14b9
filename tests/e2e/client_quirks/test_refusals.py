"""Traps 4, 8, 9, 10, 11, 14: what looks harmless and is not, and what is said about it."""

import json
import re
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY, Client

pytestmark = [pytest.mark.needs("curl"), pytest.mark.shared_daemon]

CURL = 'curl -sS --path-as-is -o answer -w "%{http_code} %header{x-hf-proxy-refusal}\\n" -H "Authorization: Bearer $HF_TOKEN"'
ALL_OF_A = tuple(
    word
    for action in ("read", "write", "delete", "move", "settings", "discuss")
    for word in ("--scope", f"{action}:me/a")
)


@pytest.mark.parametrize(
    "target",
    [
        "/api/models/me/secret-model/jwt?write=true",
        "/api/datasets/me/secret-model/jwt?write=1",
        "/api/spaces/me/secret-model/jwt",
        "/api/registry/token?scope=repository:me/secret-model:pull",
    ],
)
def test_trap_04_a_get_that_hands_out_another_token_passes_for_reading(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, target: str
) -> None:
    printed = shell.proxied(daemon, f'{CURL} "$HF_ENDPOINT{target}"; cat answer', options=("--scope", "read"))
    assert printed.startswith("403 minting\n")
    assert "no scope can allow" in printed
    assert hub.requests == []


@pytest.mark.parametrize("options", [(), ("--strict",)], ids=["anonymous", "strict"])
def test_trap_08_a_refused_download_says_check_your_connection(
    daemon: DaemonFixture, any_client: Client, options: tuple[str, ...]
) -> None:
    script = "from huggingface_hub import hf_hub_download; hf_hub_download('me/secret-model', 'config.json')"
    done = any_client.attempt(daemon, script, options=("--scope", "read:me/another", *options))
    assert done.returncode == 1
    assert "hf-proxy exec --scope read:models/me/secret-model" in done.stderr
    assert "check your connection" not in done.stderr


def test_trap_08_what_is_in_the_cache_is_read_whatever_the_scope(
    hub: FakeHub, daemon: DaemonFixture, any_client: Client
) -> None:
    """The cache is the client's own; hf-proxy does not promise to guard it."""
    script = "from huggingface_hub import hf_hub_download; print(open(hf_hub_download('me/secret-model', 'config.json')).read())"
    allowed = any_client.proxied(daemon, script, options=("--scope", "read"))
    assert any_client.proxied(daemon, script, options=("--scope", "read:me/another", "--strict")) == allowed


CALLS = {
    "delete": "api.delete_repo('me/b')",
    "move out": "api.move_repo('me/b', 'me/c')",
    "move away": "api.move_repo('me/a', 'me/c')",
    "move in": "api.move_repo('me/b', 'me/a')",
    "create": "api.create_repo('me/c')",
    "create without a namespace": "api.create_repo('c')",
    "copy out": "api.copy_files('hf://me/b/model.bin', 'hf://me/a/model.bin')",
    "copy in": "api.copy_files('hf://me/a/model.bin', 'hf://me/b/model.bin')",
    "copy from a bucket": "api.copy_files('hf://buckets/me/b/model.bin', 'hf://buckets/me/a/model.bin')",
    "duplicate": "api.duplicate_repo('me/a', to_id='me/c')",
}
BODIES = {
    "delete": ("DELETE", "/api/repos/delete", {"type": "model", "organization": "me", "name": "b"}),
    "delete without a namespace": ("DELETE", "/api/repos/delete", {"name": "b"}),
    "delete of no namespace": ("DELETE", "/api/repos/delete", {"organization": None, "name": "b"}),
    "move": ("POST", "/api/repos/move", {"type": "model", "fromRepo": "me/a", "toRepo": "me/c"}),
    "copy in": ("POST", "/api/models/me/a/lfs-files/duplicate", {"target": {"type": "model", "name": "me/b"}}),
    "copy out": ("POST", "/api/models/me/b/lfs-files/duplicate", {"target": {"type": "model", "name": "me/a"}}),
    "duplicate": ("POST", "/api/models/me/a/duplicate", {"repository": "me/c"}),
    "copy from a bucket": (
        "POST",
        "/api/buckets/me/a/batch",
        {"type": "copyFile", "path": "x", "xetHash": "0" * 64, "sourceRepoType": "bucket", "sourceRepoId": "me/b"},
    ),
}


@pytest.fixture
def two_models(hub: FakeHub) -> None:
    """`me/a`, a model and a bucket, on which all is granted; `me/b`, on which nothing is. There is no `me/c`."""
    files = {"model.bin": b"weights " * 10_000}
    for name in ("me/a", "me/b"):
        hub.add_repo("model", name, private=True, files=files)
        hub.add_bucket(name, private=True, files=files)


@pytest.mark.usefixtures("two_models")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_trap_09_a_client_names_its_target_in_the_body(
    hub: FakeHub, daemon: DaemonFixture, client: Client, call: str
) -> None:
    """Nothing changes, and the token is on no request that speaks of another repository than `me/a`."""
    before = {key: repo.branches.copy() for key, repo in hub.world.repos.items()}
    script = f"from huggingface_hub import HfApi; api = HfApi(); {call}"
    done = client.attempt(daemon, script, options=ALL_OF_A)
    assert done.returncode == 1
    assert "hf-proxy exec" in done.stderr
    assert {key: repo.branches.copy() for key, repo in hub.world.repos.items()} == before
    with_token = [record for record in hub.requests if record.saw(CANARY.encode())]
    assert [record for record in with_token if re.search(rb"me/[bc]\b", record.target.encode() + record.body)] == []


@pytest.mark.usefixtures("two_models")
@pytest.mark.parametrize(("method", "path", "body"), BODIES.values(), ids=BODIES.keys())
def test_trap_09_the_target_is_in_the_body(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, method: str, path: str, body: dict[str, object]
) -> None:
    kind = "application/x-ndjson" if path.endswith("/batch") else "application/json"
    script = f"{CURL} -X {method} -H 'Content-Type: {kind}' -d '{json.dumps(body)}' \"$HF_ENDPOINT{path}\""
    assert shell.proxied(daemon, script, options=ALL_OF_A) == "403 scope\n"
    assert hub.requests == []


@pytest.mark.parametrize(
    "target",
    [
        "/api/models/me/a/../b/preupload/main",
        "/api/models/me/a/%2e%2e/b/preupload/main",
        "/api/models/me%2Fb/preupload/main",
        "/api/models/me/a%2F..%2Fb/preupload/main",
        "/api/models//me/b/preupload/main",
        "/API/models/me/b/preupload/main",
        "/api/Models/me/b/preupload/main",
        "/api/models/ME/B/preupload/main",
        "/api/models/b/preupload/main",
        "/api/models/me/a;/../b/preupload/main",
        "/api/models/me/a/preupload/main?x=/../../b",
    ],
)
def test_trap_10_an_address_is_read_in_two_ways(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, target: str
) -> None:
    """A credential for `me/a` gets nowhere near `me/b`: what reaches the Hub, if anything, is about `me/a` as sent."""
    for name in ("me/a", "me/b"):
        hub.add_repo("model", name, private=True)
    body = json.dumps({"files": []})
    printed = shell.proxied(
        daemon, f"{CURL} --json '{body}' \"$HF_ENDPOINT{target}\"", options=("--scope", "write:me/a")
    )
    allowed = target.startswith("/api/models/me/a/preupload/main")
    assert printed.startswith(("400 ", "403 ")) != allowed
    assert [record.target for record in hub.requests] == ([target] if allowed else [])


def test_trap_11_a_login_through_the_proxy_puts_a_real_token_on_disk(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, tmp_path: Path
) -> None:
    script = (
        f'hf auth login --force </dev/null; {CURL} -d grant_type=refresh_token "$HF_ENDPOINT/oauth/token"; cat answer'
    )
    done = shell.attempt(daemon, script, options=("--scope", "read"))
    assert "/oauth/device: 403 Forbidden" in done.stderr, "the login came here, and got no further"
    assert "403 minting\n" in done.stdout
    assert "no scope can allow" in done.stdout
    assert [record for record in hub.requests if record.path.startswith("/oauth")] == []
    assert list(tmp_path.rglob("stored_tokens")) == []


@pytest.mark.parametrize(
    "command",
    [
        "hf spaces secrets add me/demo -s HF_TOKEN",
        "hf repos create me/new --type space --space-sdk static --secrets HF_TOKEN",
        "hf jobs run --secrets HF_TOKEN python:3.12 true",
    ],
)
def test_trap_14_the_credential_is_shipped_into_a_space_or_a_job(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, command: str
) -> None:
    hub.add_space("me/demo", private=True)
    words = [word for scope in ("secrets:me", "create:me", "jobs:me") for word in ("--scope", scope)]
    done = shell.attempt(daemon, command, options=tuple(words))
    assert done.returncode == 1
    assert "it holds an hf-proxy credential" in done.stderr
    assert ("space", "me/new") not in hub.world.repos
    assert hub.space("me/demo").secrets == {}
    assert not hub.saw(b"hf_px_")


def test_trap_14_a_scanner_takes_the_credential_for_a_token(daemon: DaemonFixture) -> None:
    token = re.compile(r"hf_[A-Za-z0-9]{34}")
    assert token.search(CANARY), "this is the form that scanners know"
    assert not token.search(daemon.mint()["credential"])
