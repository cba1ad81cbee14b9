"""`metrics` and what `status` counts: they follow what really happened, and name nothing."""

import re
import subprocess
from pathlib import Path

import pytest
from fakehub import FakeHub, in_thread
from daemon_fixture import DaemonFixture
from real_client import CANARY, seed
from wire_client import ask, bearer


def numbers(daemon: DaemonFixture) -> dict[str, float]:
    lines = daemon.must("metrics").splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_every_decision_is_counted(daemon: DaemonFixture, hub: FakeHub) -> None:
    minted = daemon.mint("--scope", "read:me/secret-model", "--label", "a-label-to-see")
    endpoint, ours = str(minted["endpoint"]), bearer(str(minted["credential"]))
    assert ask(endpoint, "GET", "/api/models/me/secret-model", ours).status == 200
    assert ask(endpoint, "DELETE", "/api/models/me/secret-model/branch/main", ours).status == 403
    assert ask(endpoint, "GET", "/api/models/me/secret-model").status == 401
    found = numbers(daemon)
    assert found['hf_proxy_requests_total{decision="allow",action="read"}'] == 1
    assert found['hf_proxy_requests_total{decision="deny",action="delete"}'] == 1
    assert found['hf_proxy_requests_total{decision="deny",action="none"}'] == 1
    assert (
        found['hf_proxy_refusals_total{refusal="scope"}']
        == found['hf_proxy_refusals_total{refusal="no_credential"}']
        == 1
    )
    assert found['hf_proxy_answers_total{status="2xx"}'] == found["hf_proxy_request_duration_seconds_count"] == 1
    assert found['hf_proxy_body_bytes_total{direction="down"}'] > 0
    assert (found["hf_proxy_grants"], found["hf_proxy_vault_locked"], found["hf_proxy_journal_failed"]) == (1, 0, 0)
    status = daemon.status()
    assert (status["requests"], status["denied"]) == (3, 2)


def test_a_hub_that_is_gone_is_counted_as_an_error(tmp_path: Path) -> None:
    with in_thread() as hub:
        seed(hub)
        daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
        daemon.start()
        daemon.login(CANARY)
        minted = daemon.mint()
    reply = ask(str(minted["endpoint"]), "GET", "/api/models/me/secret-model", bearer(str(minted["credential"])))
    assert reply.status == 502
    assert numbers(daemon)["hf_proxy_upstream_errors_total"] == 1


@pytest.mark.needs("promtool")
def test_the_daemon_s_own_text_is_as_prometheus_wants_it_and_names_nothing(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--scope", "read:me/secret-model", "--label", "a-label-to-see")
    ask(str(minted["endpoint"]), "GET", "/api/models/me/secret-model", bearer(str(minted["credential"])))
    text = daemon.must("metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    values = set(re.findall(r'(?:decision|action|refusal|status|direction|le)="([^"]*)"', text))
    assert set(re.findall(r'="([^"]*)"', text)) - values == {str(daemon.status()["version"])}
    for named in ("me", "secret-model", "a-label-to-see", str(minted["id"]), "default"):
        assert not re.search(rf"\b{re.escape(named)}\b", text.partition("# HELP")[2].replace("# HELP", ""))


def test_metrics_are_not_for_who_runs_inside_of_a_grant(daemon: DaemonFixture) -> None:
    inside = daemon.cli("exec", "--", *daemon.hfproxy, "metrics")
    assert (inside.returncode, inside.stdout) == (1, "")
    assert "hf-proxy metrics" in inside.stderr
