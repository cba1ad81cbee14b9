"""Traps 13 and 15: long headers, long bodies, long silence."""

import hashlib
import json
import time
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import Client

pytestmark = [pytest.mark.needs("curl"), pytest.mark.shared_daemon]

READ = ("--scope", "read")
WRITE = ("--scope", "write:me/*")


def test_trap_13_a_long_xet_upload_outlives_the_credential_whose_headers_it_froze(
    hub: FakeHub, daemon: DaemonFixture, client: Client
) -> None:
    """The upload is under way, the grant is renewed in place, its first end passes, and then the client needs a new token."""
    hub.world.settings.xet_token_seconds = 31  # hf_xet wants another one 30 seconds before the end
    store = hub.world.xet.add_xorb
    renewed: list[str] = []

    def store_after_the_first_end(name: str, data: bytes) -> bool:
        if not renewed:
            (grant,) = json.loads(daemon.must("grants", "--json"))
            renewed.append(grant["id"])
            daemon.must("renew", grant["id"], "--ttl", "1h")
            while time.time() <= grant["expires_at"]:
                time.sleep(0.05)
        return store(name, data)

    hub.world.xet.add_xorb = store_after_the_first_end  # type: ignore[method-assign]
    script = """
import os
from huggingface_hub import HfApi
HfApi().upload_file(path_or_fileobj=os.urandom(500_000), path_in_repo="large.bin", repo_id="me/secret-model")
"""
    client.proxied(daemon, script, options=("--scope", "write:me/*", "--ttl", "5s"))
    assert len(hub.files("me/secret-model")["large.bin"]) == 500_000
    assert len(hub.recorder.select("hub", "GET", "/api/models/me/secret-model/xet-write-token/")) > 1


def test_trap_15_an_xet_token_of_40_kilobytes_is_too_long_for_a_header(
    hub: FakeHub, daemon: DaemonFixture, any_client: Client
) -> None:
    hub.world.settings.xet_token_padding = 40_000
    script = """
import hashlib
from huggingface_hub import HfApi, hf_hub_download
HfApi().upload_file(path_or_fileobj=b"large" * 50_000, path_in_repo="large.bin", repo_id="me/secret-model")
print(hashlib.sha256(open(hf_hub_download("me/secret-model", "large.bin"), "rb").read()).hexdigest())
"""
    printed = any_client.proxied(daemon, script, options=(*READ, *WRITE))
    assert printed.strip() == hashlib.sha256(b"large" * 50_000).hexdigest()
    assert hub.recorder.select("cas", "POST")
    assert hub.recorder.select("cas", "GET")


def test_trap_15_a_signed_location_is_too_long_for_a_header(hub: FakeHub, daemon: DaemonFixture, shell: Client) -> None:
    location = "https://storage.example/objects/1?X-Amz-Signature=" + "a" * 20_000
    hub.inject("HEAD", "/me/secret-model/resolve/main/model.bin", 302, headers={"Location": location, "ETag": '"1"'})
    script = (
        'curl -sS --head -H "Authorization: Bearer $HF_TOKEN" -o /dev/null -w "%{redirect_url}"'
        ' "$HF_ENDPOINT/me/secret-model/resolve/main/model.bin"'
    )
    assert shell.proxied(daemon, script, options=READ) == location


def test_trap_15_a_commit_of_200_megabytes_is_too_long_for_a_body(
    hub: FakeHub, daemon: DaemonFixture, shell: Client, tmp_path: Path
) -> None:
    """As curl sends it; clients make such of many small files."""
    line = '{"key": "file", "value": {"path": "%s.txt", "encoding": "base64", "content": "%s"}}\\n'
    script = f"""
content=$(head -c 750000 /dev/zero | base64 --wrap=0)
{{
    printf '{{"key": "header", "value": {{"summary": "many"}}}}\\n'
    for number in $(seq 200); do printf '{line}' "$number" "$content"; done
}} | curl -sS --fail-with-body -T - -X POST -H "Authorization: Bearer $HF_TOKEN" \\
    -H 'Content-Type: application/x-ndjson' "$HF_ENDPOINT/api/models/me/secret-model/commit/main"
"""
    shell.proxied(daemon, script, options=WRITE)
    (commit,) = hub.recorder.select("hub", "POST", "/api/models/me/secret-model/commit/")
    assert len(commit.body) > 200_000_000
    assert hub.files("me/secret-model")["200.txt"] == bytes(750_000)
