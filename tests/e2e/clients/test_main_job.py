"""The main job: the real client does all of it through the daemon, and the Hub cannot tell the difference."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from fakehub import FakeHub, Record
from fakehub.xetstore import XetStore
from daemon_fixture import DaemonFixture
from real_client import CANARY, OPTIONS, SCRIPT, Client

pytestmark = pytest.mark.shared_daemon

# Answered here or by the grant, so the Hub sees none of them.
OURS = ("/api/whoami-v2", "/auth-check", "/api/telemetry/")
# What the CAS and the storage make up anew each time: signatures, and the numbers of grants.
MADE_UP = re.compile(r"\?.*|(?<=/grant/)\w+")


def spoken(hub: FakeHub) -> Counter[tuple[str, ...]]:
    """What reached the Hub, in a form in which two runs compare equal. Commit ids hold the time, so they are numbered
    instead."""
    commits = {
        commit: f"commit-{number}-of-{kind}-{name}"
        for (kind, name), repo in sorted(hub.world.repos.items())
        for number, commit in enumerate(repo.commits)
    }
    return Counter(line(record, commits) for record in hub.requests if not any(part in record.target for part in OURS))


def line(record: Record, commits: dict[str, str]) -> tuple[str, ...]:
    target, body = record.target, record.body
    for commit, name in commits.items():
        target, body = target.replace(commit, name), body.replace(commit.encode(), name.encode())
    if record.host != "hub":
        target = MADE_UP.sub("", target)
    headers = (record.header(name) or "" for name in ("Range", "Content-Type", "Accept", "User-Agent"))
    return (record.host, record.method, target, hashlib.sha256(body).hexdigest(), *headers)


def run_directly(hub: FakeHub, client: Client, tmp_path: Path, **env: str) -> tuple[str, Counter[tuple[str, ...]]]:
    output = client.direct(SCRIPT, str(tmp_path / "direct-files"), **env)
    requests = spoken(hub)
    for kind, name in (("model", "me/new-model"), ("space", "me/new-space")):
        del hub.world.repos[kind, name]
    hub.world.xet = XetStore()
    hub.recorder.clear()
    return output, requests


def compare(hub: FakeHub, daemon: DaemonFixture, client: Client, tmp_path: Path, **env: str) -> None:
    direct_output, direct = run_directly(hub, client, tmp_path, **env)
    proxied_output = client.proxied(daemon, SCRIPT, str(tmp_path / "proxied-files"), options=OPTIONS, **env)
    proxied = spoken(hub)
    assert json.loads(proxied_output.removeprefix("RESULT")) == json.loads(direct_output.removeprefix("RESULT"))
    assert proxied - direct == Counter(), "the proxy sent what the client alone does not send"
    assert direct - proxied == Counter(), "the proxy kept back what the client alone sends"


def test_the_client_does_the_same_with_a_credential_as_with_the_token(
    hub: FakeHub, daemon: DaemonFixture, client: Client, tmp_path: Path
) -> None:
    """With xet, as a client of today transfers large files."""
    compare(hub, daemon, client, tmp_path)
    assert hub.saw(CANARY.encode(), "hub")


def test_it_does_so_without_xet_too(hub: FakeHub, daemon: DaemonFixture, client: Client, tmp_path: Path) -> None:
    """Large files by LFS."""
    compare(hub, daemon, client, tmp_path, HF_HUB_DISABLE_XET="1")
