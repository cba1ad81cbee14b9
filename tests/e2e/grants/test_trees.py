"""Credentials bound to a tree of processes, requests without any from inside of it, and narrowing that nobody asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY
from wire_client import ask, bearer

pytestmark = [pytest.mark.needs("curl"), pytest.mark.shared_daemon]

TESTS = Path(__file__).parents[2]
TREE = ("--bind", "tree")
AMBIENT = ("--bind", "tree", "--ambient")
CURL = "curl -s -o /dev/null -w '%{http_code}' --max-time 20"
WITH = f'{CURL} -H "Authorization: Bearer $HF_TOKEN" $HF_ENDPOINT/api/models/me/secret-model'
WITHOUT = f"{CURL} $HF_ENDPOINT/api/models/me/secret-model"

Exec = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(daemon: DaemonFixture) -> Exec:
    """Run a line of a shell under `exec`, with the program's own command as $HFPROXY."""

    def attempt(script: str, *options: str, **more: str) -> "subprocess.CompletedProcess[str]":
        env = daemon.env | {"HFPROXY": " ".join(daemon.hfproxy), **more}
        command = [*daemon.hfproxy, "exec", *options, "--", "bash", "-c", script]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    return attempt


@pytest.fixture
def held(daemon: DaemonFixture) -> Iterator[Callable[..., dict[str, Any]]]:
    """Keep a command running under `exec`; gives what it has in its environment, and its process."""
    started: list[subprocess.Popen[str]] = []

    def hold(*options: str) -> dict[str, Any]:
        script = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"
        command = [*daemon.hfproxy, "exec", *options, "--", sys.executable, "-c", script]
        process = subprocess.Popen(
            command, env=daemon.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        return {**json.loads(process.stdout.readline()), "process": process}

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def status(endpoint: str, headers: dict[str, str]) -> tuple[int, str | None]:
    reply = ask(endpoint, "GET", "/api/models/me/secret-model", headers)
    return reply.status, reply.refusal


# --- bound to a tree --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [WITH, f"( ( {WITH} ) )", f"setsid -w {WITH}", f"{WITH} | cat"])
def test_the_tree_may_use_it(run: Exec, script: str) -> None:
    assert run(script, *TREE).stdout == "200"


def test_nobody_else_may(held: Callable[..., dict[str, Any]]) -> None:
    inside = held(*TREE)
    assert status(inside["HF_ENDPOINT"], bearer(inside["HF_TOKEN"])) == (403, "holder")


def test_with_pid_any_process_of_the_user_may_for_as_long_as_it_lives(held: Callable[..., dict[str, Any]]) -> None:
    inside = held()
    assert status(inside["HF_ENDPOINT"], bearer(inside["HF_TOKEN"])) == (200, None)
    os.kill(inside["process"].pid, signal.SIGKILL)
    inside["process"].wait()
    assert gone(inside) == (401, "revoked")


def gone(inside: dict[str, Any]) -> tuple[int, str | None]:
    deadline = time.monotonic() + 10
    while (found := status(inside["HF_ENDPOINT"], bearer(inside["HF_TOKEN"])))[0] != 401:
        assert time.monotonic() < deadline, found
    return found


def test_when_the_root_of_the_tree_ends_so_does_the_grant(held: Callable[..., dict[str, Any]]) -> None:
    inside = held(*TREE)
    os.kill(inside["process"].pid, signal.SIGKILL)
    inside["process"].wait()
    assert gone(inside) == (401, "revoked")


def test_an_orphan_stays_in_the_tree_that_it_came_from(run: Exec, tmp_path: Path) -> None:
    """A process that forks twice is handed to another parent, which `exec` sees to is the command itself."""
    script = f"""
    ( ( while [ $(awk '/^PPid/{{print $2}}' /proc/$BASHPID/status) = $1 ]; do :; done; {WITH} >{tmp_path}/code; touch {tmp_path}/done ) & )
    until [ -e {tmp_path}/done ]; do sleep 0.05; done"""
    done = run(script, *TREE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "code").read_text() == "200"


def test_a_connection_from_another_network_namespace_does_not_arrive(held: Callable[..., dict[str, Any]]) -> None:
    inside = held(*TREE)
    place = urlsplit(inside["HF_ENDPOINT"])
    code = (
        "import socket, sys\n"
        f"try: socket.create_connection(('{place.hostname}', {place.port}), timeout=5); sys.exit(0)\n"
        "except OSError: sys.exit(7)"
    )
    assert subprocess.run(["unshare", "-rn", sys.executable, "-c", code]).returncode == 7


# --- ambient ----------------------------------------------------------------------------------------------------------


def test_inside_of_an_ambient_tree_a_request_needs_no_credential(run: Exec, hub: FakeHub) -> None:
    hub.recorder.clear()
    assert run(WITHOUT, *AMBIENT).stdout == "200"
    assert hub.saw(CANARY.encode())


def test_without_ambient_it_does(run: Exec) -> None:
    assert run(WITHOUT, *TREE).stdout == "401"


def test_outside_of_the_tree_it_does(held: Callable[..., dict[str, Any]]) -> None:
    assert status(held(*AMBIENT)["HF_ENDPOINT"], {}) == (401, "no_credential")


@pytest.mark.parametrize(
    "header", ["Origin: http://127.0.0.1:4880", "Origin: null", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"]
)
def test_a_browser_inside_of_the_tree_is_not_the_grant(run: Exec, header: str, hub: FakeHub) -> None:
    hub.recorder.clear()
    assert run(f"{WITHOUT} -H '{header}'", *AMBIENT).stdout in {"401", "403"}
    assert not hub.saw(CANARY.encode())


def test_beside_an_unknown_credential_it_is_not_the_grant_either(run: Exec) -> None:
    assert run(f"{WITHOUT} -H 'Authorization: Bearer hf_unknown'", *AMBIENT).stdout == "401"


def test_what_needs_no_credential_is_forwarded_without_the_token(run: Exec, hub: FakeHub) -> None:
    hub.recorder.clear()
    assert run(f"{CURL} $HF_ENDPOINT/api/agent-harnesses", *AMBIENT).stdout == "200"
    assert not hub.saw(CANARY.encode())


def test_the_innermost_grant_is_the_one_that_counts(run: Exec) -> None:
    inner = f"$HFPROXY exec --bind tree --ambient --scope read:me/other --strict -- {WITHOUT}"
    assert run(inner, *AMBIENT, "--scope", "read").stdout == "403"


def test_ambient_needs_a_tree(daemon: DaemonFixture) -> None:
    done = daemon.cli("exec", "--ambient", "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--bind tree" in done.stderr


# --- narrowing --------------------------------------------------------------------------------------------------------

ESCAPES = {
    "as it is": "{}",
    "without its variables": 'env -i PATH="$PATH" $(env | grep ^HFPROXY_) {}',
    "in a session of its own": "setsid -w {}",
    "by another shell": "sh -c '{}'",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
@pytest.mark.parametrize("bind", ["pid", "tree"])
def test_what_is_minted_inside_is_never_more_than_what_is_around_it(
    run: Exec, daemon: DaemonFixture, escape: str, bind: str
) -> None:
    mint = escape.format(f"{' '.join(daemon.hfproxy)} mint --scope write:me/secret-model")
    script = f'echo "$({mint})" >&2; {CURL} -X DELETE -H "Authorization: Bearer $({mint})" $HF_ENDPOINT/api/models/me/secret-model/branch/x'
    done = run(script, "--bind", bind, "--scope", "read:me/*")
    assert "hf_px_" in done.stderr
    assert done.stdout == "403"


TALK = """
import json, socket, sys
daemon = socket.socket(socket.AF_UNIX)
daemon.connect(sys.argv[1])
daemon.sendall(b'{"do": "mint", "scopes": ["write"], "account": "default"}\\n')
print(daemon.makefile().readline())
"""


@pytest.mark.parametrize("bind", ["pid", "tree"])
def test_talking_to_the_socket_by_hand_is_no_way_around_it(
    run: Exec, daemon: DaemonFixture, bind: str, tmp_path: Path
) -> None:
    (tmp_path / "talk.py").write_text(TALK)
    done = run(f"{sys.executable} {tmp_path}/talk.py {daemon.runtime}/control.sock", "--bind", bind)
    minted = json.loads(done.stdout)
    assert next(e for e in daemon.audit("--grant", minted["id"]) if e["kind"] == "minted")["parent"]


def test_a_child_dies_with_its_parent(run: Exec, daemon: DaemonFixture) -> None:
    credential = run("$HFPROXY mint --bind none --ttl 1h").stdout.strip()
    assert status(daemon.status()["endpoint"], bearer(credential))[0] == 401


@pytest.mark.parametrize(
    "command",
    ["accounts", "logout", "lock", "unlock", "login --token-stdin </dev/null", "exec --account other -- true"],
)
def test_the_rest_is_refused_from_inside(run: Exec, daemon: DaemonFixture, command: str) -> None:
    done = run(
        f"echo hf_x | $HFPROXY {command}" if "login" not in command else "echo hf_x | $HFPROXY login --token-stdin"
    )
    assert done.returncode in {1, 125}, done.stderr
    assert done.stdout == ""
    assert "inside" in done.stderr
    assert not daemon.status()["locked"]


def test_status_is_served_inside(run: Exec) -> None:
    assert json.loads(run("$HFPROXY status --json").stdout)["locked"] is False


def test_from_inside_one_sees_and_touches_the_own_subtree_alone(run: Exec, daemon: DaemonFixture) -> None:
    other = daemon.mint("--label", "other")
    listed = run("$HFPROXY mint >/dev/null; $HFPROXY grants --json", "--label", "mine")
    labels = {grant["label"]: grant["parent"] for grant in json.loads(listed.stdout)}
    assert set(labels) == {"mine", None}
    assert labels["mine"] is None
    assert labels[None] is not None
    assert "no living grant" in run(f"$HFPROXY revoke {other['id']}").stderr
    assert "no living grant" in run(f"$HFPROXY renew {other['id']} --ttl 1h").stderr
    run("$HFPROXY revoke --all")
    assert [grant["id"] for grant in json.loads(daemon.must("grants", "--json"))] == [other["id"]]
    seen = run(f"{WITH} >/dev/null; $HFPROXY audit --json").stdout.splitlines()
    assert other["id"] not in {json.loads(line).get("grant") for line in seen}
    assert seen


def test_grants_show_whose_child_each_is(run: Exec, daemon: DaemonFixture) -> None:
    found = run('$HFPROXY exec --label inner -- bash -c "$HFPROXY grants --json; true"', "--label", "outer").stdout
    assert [grant["label"] for grant in json.loads(found)] == ["inner"]


# --- renewal ----------------------------------------------------------------------------------------------------------


def test_a_renewed_grant_lives_on_with_the_same_credential(daemon: DaemonFixture) -> None:
    minted = daemon.mint("--ttl", "2s")
    daemon.must("renew", minted["id"], "--ttl", "1h")
    time.sleep(max(0.0, minted["expires_at"] + 1 - time.time()))
    assert status(minted["endpoint"], bearer(minted["credential"])) == (200, None)
    [renewed] = [entry for entry in daemon.audit() if entry["kind"] == "renewed"]
    assert renewed["expires_at"] > minted["expires_at"]


@pytest.mark.own_daemon
def test_nothing_is_renewed_beyond_the_longest(daemon: DaemonFixture) -> None:
    daemon.stop()
    daemon.configure('[grants]\nmax_ttl = "2h"\ndefault_ttl = "1h"\n')
    daemon.start()
    daemon.login(CANARY)
    minted = daemon.mint()
    done = daemon.cli("renew", minted["id"], "--ttl", "3h")
    assert (done.returncode, done.stdout) == (1, "")
    daemon.must("renew", minted["id"], "--ttl", "2h")
    daemon.must("renew", minted["id"], "--ttl", "2h")
    [grant] = json.loads(daemon.must("grants", "--json"))
    assert grant["expires_at"] == grant["minted_at"] + 7200


def test_what_is_not_there_is_not_renewed(daemon: DaemonFixture) -> None:
    assert "no living grant 'x'" in daemon.cli("renew", "x", "--ttl", "1h").stderr
    assert daemon.cli("renew", "x").returncode == 2


# --- numbers that are given out again ---------------------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_who_gets_the_number_of_a_process_that_ended_does_not_get_its_grant(tmp_path: Path) -> None:
    """While the daemon runs, and while none does. The number is really the same."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a namespace of processes of its own")
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m", "e2e.grants.recycled", str(tmp_path / "daemon")],
        env=os.environ | {"PYTHONPATH": f"{TESTS}:{TESTS}/support"}, capture_output=True, text=True, timeout=550,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        f"{bind} {state} 401 revoked" for bind in ("pid", "tree") for state in ("up", "down")
    ], done.stderr
