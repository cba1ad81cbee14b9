"""Numbers of processes given out again, in a namespace of processes of its own: run as its first process.

The kernel is told which number was the last (`ns_last_pid`, proc(5)), so the next process gets the one after it.
Prints one line for each way in which a number can be taken over: how, and what the new holder of it was told.
"""

import json
import subprocess
import sys
from pathlib import Path

from e2e.recovery.test_restart import begin, kill
from fakehub import in_thread
from daemon_fixture import DaemonFixture
from real_client import CANARY, seed

LAST = Path("/proc/sys/kernel/ns_last_pid")
HOLDS = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"
THIEF = """
import os, sys, urllib.error, urllib.request
endpoint, credential = sys.stdin.readline().split()
request = urllib.request.Request(endpoint + "/api/models/me/secret-model", headers={"Authorization": f"Bearer {credential}"})
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as no:
    print(no.code, no.headers["X-HF-Proxy-Refusal"])
"""


def taken_over(pid: int) -> "subprocess.Popen[str]":
    """Another process with that number."""
    while True:
        LAST.write_text(str(pid - 1))
        thief = subprocess.Popen(
            [sys.executable, "-I", "-c", THIEF], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if thief.pid == pid:
            return thief
        thief.communicate("\n\n")


def attempt(daemon: DaemonFixture, bind: str, *, daemon_is_down: bool) -> str:
    """Run a command, let its number be taken over, and use its credential."""
    command = [*daemon.hfproxy, "exec", "--bind", bind, "--", sys.executable, "-c", HOLDS]
    process = subprocess.Popen(command, env=daemon.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    inside = json.loads(process.stdout.readline())
    if daemon_is_down:
        kill(daemon)
    process.communicate()
    thief = taken_over(process.pid)
    if daemon_is_down:
        begin(daemon)
    said, _ = thief.communicate(f"{daemon.status()['endpoint']} {inside['HF_TOKEN']}\n")
    return said.strip()


def main(folder: Path) -> None:
    with in_thread() as hub:
        seed(hub)
        daemon = DaemonFixture(folder, hub.url, hub.ca_path, vault="sealed-file")
        begin(daemon)
        daemon.login(CANARY)
        for bind in ("pid", "tree"):
            for down in (False, True):
                print(bind, "down" if down else "up", attempt(daemon, bind, daemon_is_down=down), flush=True)
        daemon.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
