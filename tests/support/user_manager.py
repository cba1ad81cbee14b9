"""A real systemd of a user, to install a service into: `systemd --user` under a uid of its own.

It lives in mount and process namespaces made for it, with a /run, a control group and a home of its own, so that nothing of
it touches this machine or outlives the test. Needs root, for the namespaces.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
UID = 61_000
SYSTEMD = "/lib/systemd/systemd"
# Spaces, a specifier, a variable, other letters: all of them have to come through a unit file.
HOME = "/run/a home/müller %h $HOME"

# Outside: what the user may not search (root's home, where Python may be) is shown at its place; a control group to give away.
# Inside: the manager, as the first process of its namespace, so that all ends with it.
SETUP = r"""
set -eu
uid=$1 home=$2 group=/sys/fs/cgroup/hf-proxy-test-$$; shift 2
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "$group/user"
chown -R "$uid" "$group/user"
mount -t tmpfs -o mode=755 none /run
n=0
for path; do n=$((n+1)); mkdir -p /run/held/$n; mount --rbind "$path" /run/held/$n; done
n=0
for path; do
    n=$((n+1)) directory=$path closed=
    while [ "$directory" != / ]; do
        directory=$(dirname "$directory")
        [ ! -d "$directory" ] || [ $((0$(stat -c %a "$directory") & 1)) = 1 ] || closed=$directory
    done
    [ -z "$closed" ] || mount -t tmpfs -o mode=755 none "$closed"
    [ -d "$path" ] || { mkdir -p "$path"; mount --rbind /run/held/$n "$path"; }
done
mkdir -p /run/systemd/system "/run/user/$uid" "$home"
chown "$uid" "/run/user/$uid" "$home"
chmod 700 "/run/user/$uid" "$home"
setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount-proc bash -c '
    echo 0 > "$1/user/cgroup.procs"
    env -i PATH="$PATH" HOME="$2" XDG_RUNTIME_DIR="/run/user/$3" setpriv --reuid "$3" --regid "$3" --clear-groups "$4" --user
    exit
' - "$group" "$home" "$uid" %s &
echo $!
wait $! || true
find "$group" -depth -type d -exec rmdir {} +
"""


class UserManager:
    """A running one. `home` is the user's, `python` an interpreter of hf-proxy in it; both are paths in its world."""

    def __init__(self, python: str) -> None:
        prefix, base = self._prefixes(python)
        # Those above others first: where these are shown, the others are there.
        needed = sorted({base, prefix, str(ROOT)}, key=len)
        self._outer = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "bash",
                "-c",
                SETUP.replace("%s", SYSTEMD),
                "-",
            ]
            + [str(UID), HOME, *needed],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._outer.stdout is not None
        self._inner = self._outer.stdout.readline().strip()
        assert self._inner, "the user's systemd did not start"
        self.home = HOME
        self.root = Path(f"/proc/{self._outer.pid}/root")
        """How to come by its files from outside."""
        until((self.root / f"run/user/{UID}/systemd/private").exists)
        self.must("ln", "-s", prefix, f"{HOME}/hf proxy")
        self.python = f"{HOME}/hf proxy/bin/python"

    @staticmethod
    def _prefixes(python: str) -> list[str]:
        code = "import os, sys; print(sys.prefix); print(os.path.realpath(sys.base_prefix))"
        return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )[:2]

    def run(
        self, *command: str, env: dict[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as its user."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": HOME,
            "XDG_RUNTIME_DIR": f"/run/user/{UID}",
            "LANG": "C.UTF-8",
        }
        return subprocess.run(
            [*self._entered(), *command],
            env=environ | (env or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def _first(self) -> str:
        """The number that the first process of the namespace has outside."""
        return Path(f"/proc/{self._inner}/task/{self._inner}/children").read_text().split()[0]

    def _entered(self) -> list[str]:
        user = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
        return ["nsenter", f"--target={self._first()}", "--mount", "--pid", "--wd=/", "--", *user]

    def must(self, *command: str, stdin: str = "") -> str:
        """Run a command that has to succeed; returns what it printed."""
        done = self.run(*command, stdin=stdin)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def hfproxy(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of hf-proxy."""
        return self.run(self.python, "-I", "-m", "hfproxy", *words, env=env)

    def close(self) -> None:
        """End all of it."""
        os.kill(int(self._first()), signal.SIGKILL)  # of its namespace, so all others go with it
        self._outer.wait(30)
        assert self._outer.stdout is not None
        self._outer.stdout.close()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that takes a moment."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def missing() -> str | None:
    """Why there can be none on this machine; None: there can."""
    if os.getuid() != 0:
        return "needs root, for namespaces"
    for program in (SYSTEMD, "unshare", "nsenter", "setpriv", "systemctl", "systemd-analyze"):
        if shutil.which(program) is None:
            return f"needs {program}; on Debian: apt install systemd util-linux"
    return None
