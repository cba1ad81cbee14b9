"""A machine of its own, as far as files and users go: what is made here is seen by nobody else, and gone at the end.

It is a mount namespace (mount_namespaces(7)) with a /run, an /etc and a /var/lib of its own, in which real users are made
by `useradd`. Processes, network and everything else are the real machine's. It takes root.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daemon_fixture import HFPROXY, PYTHON
from readiness import ReadySocket

import hfproxy

DAEMON, GROUP = "hf-proxy", "hf-proxy"
MEMBERS, OUTSIDER = ("alice", "bob"), "mallory"
STATE, CONFIG, RUNTIME = "/var/lib/hf-proxy", "/etc/hf-proxy", "/run/hf-proxy"
PLACES = {"HFPROXY_STATE_DIR": STATE, "HFPROXY_CONFIG_DIR": CONFIG, "HFPROXY_RUNTIME_DIR": RUNTIME}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

FURNISH = f"""
set -eu
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/etc /run/home && cp -a /etc/. /run/etc && mount --bind /run/etc /etc
mount -t tmpfs -o mode=755 tmpfs /var/lib
groupadd --system {GROUP}
useradd --system --gid {GROUP} --no-create-home --home-dir {STATE} --shell /usr/sbin/nologin {DAEMON}
for user in {" ".join(MEMBERS)} {OUTSIDER}; do
    useradd --no-create-home --no-log-init --home-dir "/run/home/$user" "$user"
    install -d -m 700 -o "$user" -g "$user" "/run/home/$user"
done
for user in {" ".join(MEMBERS)}; do gpasswd --add "$user" {GROUP} >/dev/null; done
install -d -m 755 {CONFIG}
install -d -m 700 -o {DAEMON} -g {GROUP} {STATE}
install -d -m 750 -o {DAEMON} -g {GROUP} {RUNTIME}
"""
STAY = "\necho ready\nexec cat >/dev/null\n"


def _ways() -> str:
    """Commands that make the interpreter and the sources readable for everybody, where a directory above is not."""
    base = subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
    ).stdout.strip()
    needed = {base, str(Path(PYTHON).parent.parent), str(Path(hfproxy.__file__).parent)}
    blocked = {path: above for path in sorted(needed) if (above := _closed_above(Path(path))) is not None}
    keep = [f"mkdir -p /run/ways/{n} && mount --bind {path} /run/ways/{n}" for n, path in enumerate(blocked)]
    hide = [f"mount -t tmpfs -o mode=755 tmpfs {above}" for above in sorted(set(blocked.values()))]
    show = [f"mkdir -p {path} && mount --bind /run/ways/{n} {path}" for n, path in enumerate(blocked)]
    return "\n".join([*keep, *hide, *show])


def _closed_above(path: Path) -> Path | None:
    """The topmost directory on the way that others may not enter."""
    return next((above for above in reversed(path.parents) if not above.stat().st_mode & 0o001), None)


class Machine:
    """The namespace, the daemon in it, and commands of its users."""

    def __init__(self, hub: str, ca: bytes) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", FURNISH + _ways() + STAY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._keeper.stdout is not None
        said = ""
        while not said.endswith("ready\n"):
            line = self._keeper.stdout.readline()
            assert line, f"the machine was not set up:\n{said}"
            said += line
        self.process: subprocess.Popen[str] | None = None
        self.file(f"{CONFIG}/ca.pem").write_bytes(ca)
        self.configure(hub)

    def configure(self, hub: str, vault: str = "memory") -> None:
        """Write the config file."""
        self.file(f"{CONFIG}/config.toml").write_text(
            f'[listen]\naddress = "127.0.0.1:0"\n[upstream]\nhub = "{hub}"\nca_file = "{CONFIG}/ca.pem"\n'
            f'[vault]\nbackend = "{vault}"\n'
        )

    def file(self, path: str) -> Path:
        """A file of this machine as root sees it from outside."""
        return Path(f"/proc/{self._keeper.pid}/root{path}")

    def command(self, user: str, words: Sequence[str]) -> list[str]:
        """A command line that runs another one here, as a user."""
        inside = ["nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt", "--"]
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--"]
        return [*inside, *(become if user != "root" else []), *words]

    def run(
        self, user: str, *words: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as a user, as it would run from a shell of theirs."""
        home = {"HOME": f"/run/home/{user}" if user != "root" else "/root", "PATH": PATH, "USER": user}
        return subprocess.run(
            self.command(user, words), env=home | (env or {}), input=stdin, capture_output=True, text=True, timeout=60
        )

    def cli(self, user: str, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command of hf-proxy as a user, who has set nothing up."""
        return self.run(user, *HFPROXY, *words, **options)

    def must(self, user: str, *words: str, **options: Any) -> str:
        """Run one that has to succeed; returns what it printed."""
        done = self.cli(user, *words, **options)
        assert done.returncode == 0, f"{user} {words}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log}"
        return done.stdout

    def says(self, user: str, *words: str) -> Any:
        """What a command says with `--json`."""
        return json.loads(self.must(user, *words, "--json"))

    def audit(self, user: str, *words: str) -> list[dict[str, Any]]:
        """The journal as a user sees it."""
        return [json.loads(line) for line in self.must(user, "audit", "--json", *words).splitlines()]

    def python(self, user: str, code: str, *arguments: str) -> str:
        """What a small program of a user's prints, its failure included."""
        done = self.run(user, PYTHON, "-I", "-c", code, *arguments)
        return done.stdout + done.stderr

    @property
    def log(self) -> str:
        return self.file("/run/daemon.log").read_text()

    def start(self, *options: str, before: Sequence[str] = (), user: str = DAEMON) -> None:
        """Start the daemon, as a system unit would, and wait until it answers."""
        with ReadySocket() as ready, self.file("/run/daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(user, [*before, *HFPROXY, "daemon", *options]),
                env={"PATH": PATH, **PLACES, **ready.env},
                stdin=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )
            started = ready.wait(self.process)
        if not started:
            self.stop()
            raise AssertionError(f"the daemon did not start:\n{self.log}")

    def stop(self) -> None:
        """Stop the daemon as a service manager would."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def forget(self) -> None:
        """Begin anew: a state directory and homes with nothing in them."""
        self.stop()
        places = " ".join(f"{place}/* {place}/.[!.]*" for place in (STATE, "/run/home/*"))
        subprocess.run(self.command("root", ["sh", "-c", f"rm -rf {places}"]), check=True)

    def close(self) -> None:
        """Leave nothing."""
        self.stop()
        self._keeper.communicate(timeout=30)
