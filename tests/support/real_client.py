"""The real client as a process of its own, and the world it is run in."""

import os
import subprocess
from pathlib import Path

from canary import made_up
from fakehub import FakeHub
from daemon_fixture import DaemonFixture

SCRIPT = Path(__file__).with_name("main_job.py")
SCOPES = ("write:me/*", "create:me", "create:spaces/me", "secrets:spaces/me", "run:spaces/me", "read")
OPTIONS = tuple(word for scope in SCOPES for word in ("--scope", scope))
CANARY = made_up()
MODEL_BIN = b"weights " * 20_000
FILES = {"config.json": b'{"a": 1}\n', "model.bin": MODEL_BIN, "deep/er/file.txt": b"deep\n"}


def seed(hub: FakeHub) -> None:
    """The world that every end-to-end test starts from."""
    hub.add_user("me", CANARY, orgs=("acme",))
    hub.add_user("you", "hf_TokenOfSomebodyElse")
    hub.add_repo("model", "me/secret-model", private=True, files=FILES)
    hub.add_repo("dataset", "me/table", private=True, files={"a.csv": b"1,2\n", "b.csv": b"3,4\n"})
    hub.add_repo("model", "you/public-model", files={"config.json": b'{"public": true}\n'})
    hub.add_repo("model", "you/private-model", private=True, files={"config.json": b"{}"})
    hub.add_repo("model", "you/gated-model", gated=True, files={"config.json": b"{}"})


# Each library reads its own.
TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")


class Client:
    """What runs the scripts of users: a Python with a real client, a shell, Node. `first` comes first on its PATH."""

    def __init__(self, program: str, hub: FakeHub, folder: Path, first: Path | None = None) -> None:
        self.program, self.hub, self.folder = program, hub, folder
        self.path = os.environ["PATH"] if first is None else f"{first}:{os.environ['PATH']}"

    def env(self, name: str, **more: str) -> dict[str, str]:
        """A home of its own, certificates of the test's CA for storage, and nothing of the developer's."""
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        trusted = {key: value for key, value in self.hub.environment(None).items() if key != "HF_ENDPOINT"}
        own = {"PATH": self.path, "HOME": str(home), "HF_HOME": str(home / "hf")}
        trusted |= dict.fromkeys(TRUST, str(self.hub.ca_path))
        return {**own, **trusted, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **more}

    def direct(self, script: Path | str, *arguments: str, token: str = CANARY, **more: str) -> str:
        """Run a script straight at the Hub with the token."""
        env = self.env("direct", HF_ENDPOINT=self.hub.url, HF_TOKEN=token, **more)
        return _output(subprocess.run([*self.command(script), *arguments], env=env, cwd=env["HOME"], **RUN))

    def proxied(
        self, daemon: DaemonFixture, script: Path | str, *arguments: str, options: tuple[str, ...] = (), **more: str
    ) -> str:
        """Run a script under `hf-proxy exec`."""
        return _output(self.attempt(daemon, script, *arguments, options=options, **more))

    def attempt(
        self, daemon: DaemonFixture, script: Path | str, *arguments: str, options: tuple[str, ...] = (), **more: str
    ) -> "subprocess.CompletedProcess[str]":
        """The same, whatever comes of it."""
        env = {**self.env("proxied", **more), **{k: v for k, v in daemon.env.items() if k.startswith("HFPROXY_")}}
        command = [*daemon.hfproxy, "exec", *options, "--", *self.command(script), *arguments]
        return subprocess.run(command, env=env, cwd=env["HOME"], **RUN)

    def command(self, script: Path | str) -> list[str]:
        """A file is run, a text is code."""
        return [self.program, str(script)] if isinstance(script, Path) else [self.program, "-c", script]


RUN = {"capture_output": True, "text": True, "timeout": 200, "check": False}


def _output(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout
