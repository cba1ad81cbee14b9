"""The main job as a short story, played by the real client, the real daemon and a Hub on this machine.

Nothing leaves the machine, nothing stays on it. Each claim is checked, and the last line says which; exits 1 if
one does not hold.
"""

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from canary import in_files, leaks, made_up, watched_processes
from fakehub import FakeHub, in_thread
from daemon_fixture import DaemonFixture
from real_client import Client

SCRIPT = Path(__file__).with_name("script.py")
HUB24 = str(Path(__file__).parents[2] / ".venvs" / "hub24" / "bin" / "python")
SCOPES = (
    "read:ada/private-model",
    "create:spaces/ada",
    "write:spaces/ada/chat",
    "secrets:spaces/ada/chat",
    "run:spaces/ada/chat",
)
MODEL = b"weights " * 100_000
STEAL = """
import sys
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
try:
    print("  it could still read", hf_hub_download("ada/private-model", "config.json"))
except HfHubHTTPError as error:
    print(" ", next(line for line in str(error).splitlines() if "hf-proxy" in line))
    sys.exit(7)
"""


class Broken(Exception):
    """A claim that did not hold."""


def claim(holds: object, what: str) -> None:
    """Raises: Broken."""
    if not holds:
        raise Broken(what)


def say(text: str = "") -> None:
    print(text, flush=True)


def chapter(title: str) -> None:
    say(f"\n{title}")


def tell(output: str) -> None:
    """What a command printed, as it printed it."""
    for line in output.splitlines():
        say("  " + line)


def typed(*words: str) -> None:
    say(f"  $ {shlex.join(('hf-proxy', *words))}")


def seed(hub: FakeHub, token: str) -> None:
    """Ada has private things, Grace a public model."""
    hub.add_user("ada", token)
    hub.add_user("grace", made_up())
    hub.add_repo(
        "model",
        "ada/private-model",
        private=True,
        files={"config.json": b'{"private": true}\n', "model.safetensors": MODEL},
    )
    hub.add_repo("model", "ada/diary", private=True, files={"today.txt": b"dear diary\n"})
    hub.add_repo("model", "grace/public-model", files={"config.json": b'{"public": true}\n'})


@contextmanager
def stage(token: str) -> Iterator[tuple[FakeHub, DaemonFixture, Client]]:
    """A Hub, a daemon and a client, in a private directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hf-proxy-demo-") as folder, in_thread(gzip=False) as hub:
        seed(hub, token)
        daemon = DaemonFixture(Path(folder) / "daemon", hub.url, hub.ca_path)
        try:
            yield hub, daemon, Client(HUB24, hub, Path(folder) / "clients")
        finally:
            daemon.stop()


def log_in(daemon: DaemonFixture, token: str) -> None:
    """The token goes in by standard input, never as an argument."""
    chapter("1. Ada's token goes into the vault, and nowhere else.")
    typed("daemon")
    daemon.start()
    typed("login")
    tell(daemon.must("login", "--token-stdin", stdin=token))


def work(daemon: DaemonFixture, client: Client) -> Path:
    """The script under `exec`; returns what it left."""
    chapter("2. A script runs with a credential that can do just this:")
    options = [word for scope in SCOPES for word in ("--scope", scope)]
    typed("exec", *options, "--", "python", SCRIPT.name)
    folder = client.folder / "work"
    folder.mkdir(parents=True)
    done = client.attempt(daemon, SCRIPT, str(folder), options=tuple(options))
    sys.stdout.write(done.stdout)
    claim(done.returncode == 0, f"the script failed:\n{done.stderr}")
    (folder / "errors").write_text(done.stderr)
    return folder


def steal(daemon: DaemonFixture, client: Client, credential: str) -> None:
    """What a thief could have copied is worth nothing once the command has ended."""
    chapter("3. The script has ended. Somebody has copied its credential, and tries it:")
    env = client.env("thief", HF_TOKEN=credential, HF_ENDPOINT=daemon.status()["endpoint"])
    done = subprocess.run([HUB24, "-c", STEAL], env=env, capture_output=True, text=True, timeout=120)
    sys.stdout.write(done.stdout)
    claim(done.returncode == 7, f"the credential still works:\n{done.stdout}{done.stderr}")


def journal(daemon: DaemonFixture) -> None:
    """Every decision is on record, each line chained to the one before."""
    chapter("4. The journal knows it all:")
    typed("audit")
    tell(daemon.must("audit"))
    typed("audit", "verify")
    tell(daemon.must("audit", "verify"))


def check(hub: FakeHub, daemon: DaemonFixture, folder: Path, token: str, found: list[str]) -> None:
    """The claims of the last line. Raises: Broken."""
    root = daemon.root.parent
    outputs = "".join(daemon.must(*words) for words in (["audit", "--json"], ["status"], ["accounts"], ["grants"]))
    decided = {(e["method"], e["target"]): e["decision"] for e in daemon.audit() if e["kind"] == "decided"}
    stopped = daemon.stop()
    claim(stopped == 0, f"the daemon ended with {stopped}")
    claim(not found, f"the token was in {found}")
    claim(not in_files(root, token), f"the token was in {in_files(root, token)}")
    claim(not leaks(outputs.encode(), token), "the token was in what a command printed")
    claim((folder / "replies").read_bytes().count(b"a reply: ") > 15, "the replies were not kept")
    carried = [record for record in hub.requests if record.saw(token.encode())]
    claim(carried, "the token was never used")
    for record in carried[1:]:  # the first is the login
        claim(decided.get((record.method, record.path)) == "allow", f"the token was on {record.method} {record.path}")
    claim(not hub.saw(token.encode(), "storage") and not hub.saw(token.encode(), "cas"), "the token went to storage")
    claim(hub.files("ada/chat", "space").keys() >= {"app.py", "weights.bin"}, "the Space lacks its files")
    claim(hub.space("ada/chat").secrets.keys() == {"DATABASE_PASSWORD"}, "the Space lacks its secret")
    claim("x" not in hub.files("ada/private-model"), "what was refused was done")


def play() -> None:
    """The story from its beginning to its end. Raises: Broken, AssertionError."""
    token = made_up()
    say("hf-proxy at work: the real huggingface_hub, a Hub made for this on this machine, a made-up token.")
    with stage(token) as (hub, daemon, client), watched_processes(token) as found:
        log_in(daemon, token)
        folder = work(daemon, client)
        steal(daemon, client, (folder / "stolen").read_text())
        journal(daemon)
        check(hub, daemon, folder, token, found)


def main() -> int:
    """Returns 0 when everything held."""
    try:
        play()
    except (Broken, AssertionError) as broken:
        say(f"\nThis did not hold: {broken}")
        return 1
    say(
        "\nchecked: the real token was found in no environ, argv, file, log or reply, and reached the Hub only on requests that "
        "were allowed; the Space was built, the refused was not done, and the credential died with its command."
    )
    return 0


sys.exit(main())
