"""A program inside of a grant tries to get out of it, by ending the grant, or by what it is seen to descend from."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e.grants.test_trees import CURL, Exec, held, run
from e2e.recovery.test_restart import begin, kill
from e2e.recovery.test_restart import daemon as lasting
from daemon_fixture import DaemonFixture
from wire_client import Reply, ask, bearer

__all__ = ["held", "lasting", "run"]

pytestmark = pytest.mark.shared_daemon

BINDS = pytest.mark.parametrize("bind", ["pid", "tree"])
NARROW = ("--scope", "read:me/*")
MINT = "$HFPROXY mint --json --scope write"
OVER = "until ! $HFPROXY grants 2>&1 | grep -q read:me; do sleep 0.1; done"
REVOKED = "$HFPROXY revoke --all >/dev/null"


@BINDS
@pytest.mark.parametrize("end", [REVOKED, OVER], ids=["revoked", "expired"])
def test_whose_grant_is_over_is_not_outside_by_that(run: Exec, daemon: DaemonFixture, bind: str, end: str) -> None:
    done = run(f"{end}; {MINT}", "--bind", bind, "--ttl", "2s", *NARROW)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the grant that this runs inside of is over; run it outside of that command" in done.stderr
    assert json.loads(daemon.must("grants", "--json")) == []


@pytest.mark.parametrize("command", ["grants", "accounts", "logout", "lockdown --yes", "exec -- true", "audit"])
def test_nor_is_anything_else_served_to_it_but_whether_the_daemon_is_up(
    run: Exec, daemon: DaemonFixture, command: str
) -> None:
    done = run(f"{REVOKED}; $HFPROXY status >/dev/null && $HFPROXY {command}", *NARROW)
    assert done.returncode in {1, 125}
    assert done.stdout == ""
    assert "is over" in done.stderr
    assert daemon.must("accounts")


def test_who_ends_the_inner_of_two_grants_does_not_get_what_the_outer_one_allows(run: Exec) -> None:
    inner = f"$HFPROXY exec {' '.join(NARROW)} -- bash -c '{REVOKED}; {MINT}'"
    done = run(inner, "--scope", "write")
    assert done.stdout == ""
    assert "is over" in done.stderr


def test_a_shell_that_an_ended_grant_was_bound_to_is_not_outside_either(daemon: DaemonFixture) -> None:
    script = '"$@" mint --bind pid --scope read:me/* >/dev/null; "$@" revoke --all >/dev/null; "$@" mint --scope write'
    done = subprocess.run(
        ["bash", "-c", script, "-", *daemon.hfproxy], env=daemon.env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == ""
    assert "is over" in done.stderr


def test_nor_does_the_next_daemon_take_it_for_outside(lasting: DaemonFixture) -> None:
    """One whose grant was revoked, and one whose grant's time was over while no daemon ran."""
    waits = "for line in sys.stdin: print(subprocess.run(sys.argv[1:], capture_output=True, text=True).stderr.strip(), flush=True)"
    started = [
        subprocess.Popen(
            [*lasting.hfproxy, "exec", *options, "--", sys.executable, "-c", f"import subprocess, sys\n{waits}",
             *lasting.hfproxy, "mint", "--scope", "write"],
            env=lasting.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for options in ((), ("--ttl", "5s"))
    ]  # fmt: skip
    grants: list[dict[str, Any]] = []
    while len(grants) < 2:
        grants = json.loads(lasting.must("grants", "--json"))
    lasting.must("revoke", next(one["id"] for one in grants if one["pid"] == started[0].pid))
    kill(lasting)
    time.sleep(max(0.0, max(one["minted_at"] for one in grants) + 6 - time.time()))
    for _ in range(2):
        begin(lasting)
        assert all("is over" in asked(process) for process in started)
        kill(lasting)
    for process in started:
        process.communicate()
    begin(lasting)
    assert json.loads(lasting.must("grants", "--json")) == []


def asked(process: "subprocess.Popen[str]") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


# --- what it is seen to descend from ----------------------------------------------------------------------------------

TALK = """
import json, os, socket, sys
for line in sys.stdin:
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.settimeout(2)
        try:
            daemon.connect(sys.argv[1])
            daemon.sendall(b'{"do": "mint", "scopes": ["write"]}\\n')
            print(daemon.makefile().readline().strip(), flush=True)
        except OSError:
            print("{}", flush=True)
"""


@BINDS
@pytest.mark.own_daemon
def test_a_daemon_without_descriptors_takes_nobody_for_an_outsider(daemon: DaemonFixture, bind: str) -> None:
    """What cannot be found out is not taken for a no, however few descriptors are left."""
    process = subprocess.Popen(
        [*daemon.hfproxy, "exec", "--bind", bind, *NARROW, "--", sys.executable, "-c", TALK, f"{daemon.runtime}/control.sock"],
        env=daemon.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert daemon.process is not None
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    minted = [json.loads(asked(process))["id"]]
    opened = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    for left in range(6):
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (opened + left, before[1]))
        minted.append(json.loads(asked(process) or "{}").get("id"))
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
    (outer, *grants) = json.loads(daemon.must("grants", "--json"))
    assert {one["id"]: one["parent"] for one in grants} == {one: outer["id"] for one in minted if one}
    assert len(grants) < len(minted), "in some of them there was not enough left"
    process.communicate()


ORPHAN = """
import os, subprocess, sys
if os.fork() == 0:
    parent = os.getpid()
    if os.fork() == 0:
        os.setsid()
        while os.getppid() == parent:
            pass
        os.execve(sys.executable, [sys.executable, *sys.argv[1:]], {"HFPROXY_RUNTIME_DIR": os.environ["HFPROXY_RUNTIME_DIR"]})
    os._exit(0)
os.wait()
os.wait()
"""


def test_an_orphan_in_a_session_of_its_own_is_still_inside(daemon: DaemonFixture) -> None:
    """Forked twice, without its variables, and asking once its parent is gone."""
    mint = [*daemon.hfproxy[1:], "mint", "--json", "--scope", "write"]
    command = [*daemon.hfproxy, "exec", "--bind", "tree", *NARROW, "--", sys.executable, "-c", ORPHAN, *mint]
    done = subprocess.run(command, env=daemon.env, capture_output=True, text=True, timeout=60)
    minted = json.loads(done.stdout)
    assert next(one for one in daemon.audit("--grant", minted["id"]) if one["kind"] == "minted")["parent"]


# --- with what it has -------------------------------------------------------------------------------------------------


def test_who_stole_the_credential_of_a_tree_does_not_even_learn_whose_it_is(
    held: "Callable[..., dict[str, Any]]", daemon: DaemonFixture
) -> None:
    inside = held("--bind", "tree", "--strict", *NARROW)
    reply = ask(inside["HF_ENDPOINT"], "GET", "/api/whoami-v2", bearer(inside["HF_TOKEN"]))
    assert (reply.status, reply.refusal) == (403, "holder")
    assert [one["refusal"] for one in daemon.audit("--denied")] == ["holder"]


def test_inside_of_a_narrow_tree_one_may_still_ask_who_one_is(run: Exec) -> None:
    whoami = f'{CURL} -H "Authorization: Bearer $HF_TOKEN" $HF_ENDPOINT/api/whoami-v2'
    assert run(whoami, "--bind", "tree", "--strict", *NARROW).stdout == "200"


def test_a_parent_that_is_revoked_while_a_body_comes_in_is_a_no_as_any_other(daemon: DaemonFixture) -> None:
    script = '"$@" mint --bind none --scope create:me; read line'
    process = subprocess.Popen(
        [*daemon.hfproxy, "exec", "--scope", "create:me", "--", "bash", "-c", script, "-", *daemon.hfproxy],
        env=daemon.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    child = process.stdout.readline().strip()
    place, body = urlsplit(daemon.status()["endpoint"]), b'{"name": "another", "type": "model"}'
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(
            b"POST /api/repos/create HTTP/1.1\r\nContent-Type: application/json\r\n"
            + f"Host: {place.netloc}\r\nAuthorization: Bearer {child}\r\nContent-Length: {len(body)}\r\n".encode()
            + b"Connection: close\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        daemon.must("revoke", "--all")
        connection.sendall(body)
        reply = Reply(b"".join(iter(lambda: connection.recv(65536), b"")))
    process.communicate()
    assert (reply.status, reply.refusal) == (401, "revoked")
