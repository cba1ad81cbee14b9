"""The law of the whole way: what was allowed is what reaches the Hub, byte for byte, once; what was not, never does."""

import json
import socket
from collections.abc import Iterator

import pytest
import vectors
from fakehub import FakeHub, in_thread
from daemon_fixture import DaemonFixture
from hypothesis import given
from hypothesis import strategies as st
from real_client import CANARY, seed
from strategies import law, scopes
from wire_client import ask

from hfproxy.core.hub.strict_json import JSON
from hfproxy.core.policy.scope import Scope, parse

REQUESTS = [vector for vector in vectors.load("routes.jsonl") if "encoding" not in vector]
# Scopes that the vectors' repositories fit, beside any others.
FITTING = [
    parse(text)
    for text in (
        "read",
        "write",
        "read:me/*",
        "write:me/a",
        "delete",
        "create:me",
        "secrets",
        "run",
        "settings",
        "jobs:me",
    )
]
grants = st.lists(st.one_of(st.sampled_from(FITTING), scopes), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeHub, DaemonFixture]]:
    """A Hub that takes whatever comes, and a daemon of its own for this module."""
    with in_thread() as hub:
        seed(hub)
        daemon = DaemonFixture(tmp_path_factory.mktemp("echo") / "daemon", hub.url, hub.ca_path)
        DaemonFixture.built.remove(daemon)
        daemon.start()
        daemon.login(CANARY)
        hub.world.settings.echo = True
        yield hub, daemon
        daemon.stop()


def said(daemon: DaemonFixture, asked: dict[str, object]) -> list[dict[str, object]]:
    """What the daemon answers, over the socket, since there are many."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.runtime / "control.sock"))
        connection.sendall(json.dumps(asked).encode() + b"\n")
        return [json.loads(line) for line in connection.makefile()]


@given(st.sampled_from(REQUESTS), grants)
@law(400)
def test_what_was_allowed_is_what_reached_the_hub(
    echo: tuple[FakeHub, DaemonFixture], vector: vectors.Vector, wanted: list[Scope]
) -> None:
    hub, daemon = echo
    texts = [str(scope) for scope in wanted if scope.action not in {"infer", "endpoints"}] or ["read"]
    [credential] = said(daemon, {"do": "mint", "scopes": texts})
    headers = {
        "Authorization": f"Bearer {credential['credential']}",
        "Content-Type": vector.get("type", JSON),
        **({"X-HF-Bill-To": vector["bill_to"]} if "bill_to" in vector else {}),
    }
    body = vectors.command_list(vector["push"]) if "push" in vector else vectors.body(vector)
    hub.recorder.clear()
    reply = ask(str(credential["endpoint"]), vector["method"], vector["target"], headers, body)
    reached = [(record.method, record.target, record.body) for record in hub.requests]
    entries = said(daemon, {"do": "audit", "grant": credential["id"]})
    decided = [entry for entry in entries if entry.get("kind") == "decided"]
    if "needs" in vector:
        assert [entry.get("refusal", entry["decision"]) for entry in decided] == [
            vectors.decision(vector, " ".join(texts))
        ]
    allowed = reply.refusal is None and vector.get("special") not in {"WHOAMI", "TELEMETRY"}
    assert reached == ([(vector["method"], vector["target"], body)] if allowed else [])
    assert hub.saw(CANARY.encode()) == (allowed and decided[-1]["decision"] == "allow")
    assert not hub.saw(b"hf_px_")
