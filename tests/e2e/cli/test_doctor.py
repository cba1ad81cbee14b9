"""`doctor` with a real daemon and Hub: what the daemon finds out for it, and what it must not do or say."""

import json
from pathlib import Path
from typing import Any

from canary import in_files, leaks, made_up
from fakehub import FakeHub
from daemon_fixture import HFPROXY, DaemonFixture
from real_client import CANARY


def findings(daemon: DaemonFixture, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """By check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(daemon.cli("doctor", "--json", **options).stdout)["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


def test_a_house_in_order_has_no_problem_and_the_token_is_not_shown(daemon: DaemonFixture) -> None:
    done = daemon.cli("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert not leaks(done.stdout.encode(), CANARY)
    found = findings(daemon)
    for check in ("config", "daemon", "journal", "process", "control-socket", "data-port", "clock", "token", "disk"):
        assert [one["severity"] for one in found[check]] == ["ok"], found[check]


def test_it_leaves_nothing_behind_and_disturbs_nothing(daemon: DaemonFixture) -> None:
    """No grant, no file, no line of the journal; and the daemon serves on."""
    before, journal = sorted(daemon.root.rglob("*")), daemon.audit()
    daemon.must("doctor")
    assert sorted(daemon.root.rglob("*")) == before
    assert daemon.audit() == journal
    assert daemon.status()["grants"] == 0
    assert in_files(daemon.root, CANARY) == []


def test_the_network_is_judged_without_a_token_and_each_token_once(daemon: DaemonFixture, hub: FakeHub) -> None:
    daemon.must("doctor")
    asked = [(one.target, dict(one.headers).get("Authorization")) for one in hub.requests]
    assert asked == [("/api/whoami-v2", None), ("/api/whoami-v2", f"Bearer {CANARY}")]


def test_what_the_hub_says_of_the_tokens(daemon: DaemonFixture, hub: FakeHub) -> None:
    classic, dying = made_up(), made_up()
    hub.add_user("me", classic, role="write")
    hub.add_user("me", dying)
    daemon.login(classic, "--account", "classic")
    daemon.login(dying, "--account", "dying")
    hub.world.tokens[dying].live = False
    said = {one["severity"]: one for one in findings(daemon)["token"]}
    assert "account default: the token of me, role fineGrained, created " in said["ok"]["measured"]
    assert "role write" in said["warning"]["measured"]
    assert said["warning"]["fix"] == "hf-proxy rotate --account classic"
    assert "no longer accepts the token of account dying" in said["problem"]["measured"]
    done = daemon.cli("doctor")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_a_hub_that_nobody_reaches(daemon: DaemonFixture) -> None:
    before = (daemon.config / "config.toml").read_text()
    daemon.stop()
    (daemon.config / "config.toml").write_text(before.replace(daemon.hub, "https://127.0.0.1:9"))
    daemon.start()
    (upstream,) = findings(daemon)["upstream"]
    assert upstream["severity"] == "problem"
    assert "https://127.0.0.1:9 cannot be reached" in upstream["measured"]
    assert upstream["fix"]


def test_a_certificate_that_is_not_good(daemon: DaemonFixture, tmp_path: Path) -> None:
    before = (daemon.config / "config.toml").read_text()
    daemon.stop()
    (daemon.config / "config.toml").write_text("\n".join(row for row in before.splitlines() if "ca_file" not in row))
    daemon.start()
    (upstream,) = findings(daemon)["upstream"]
    assert upstream["severity"] == "problem"
    assert "certificate" in upstream["measured"]


def test_a_locked_vault_is_said_and_its_tokens_are_not_asked_about(tmp_path: Path, hub: FakeHub) -> None:
    daemon = DaemonFixture(tmp_path / "sealed", hub.url, hub.ca_path, vault="sealed-file")
    daemon.start()
    found = findings(daemon)
    assert (found["vault"][0]["severity"], found["vault"][0]["fix"]) == ("warning", "hf-proxy unlock")
    assert "token" not in found
    assert found["upstream"][0]["severity"] == "info"
    daemon.stop()


def test_inside_of_a_grant_it_says_that_it_learns_less(daemon: DaemonFixture) -> None:
    done = daemon.cli("exec", "--bind", "tree", "--", *HFPROXY, "doctor", "--json")
    report = json.loads(done.stdout)
    (upstream,) = [one for one in report["findings"] if one["check"] == "upstream"]
    assert upstream["severity"] == "warning"
    assert "inside of grant" in upstream["measured"]
    assert upstream["fix"] == "hf-proxy doctor"
    assert not leaks(done.stdout.encode(), CANARY)
