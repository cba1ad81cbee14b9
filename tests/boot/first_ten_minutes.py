"""The first ten minutes with hf-proxy, as a new user has them: within the booted Debian, in a session of hers.

What she types is what docs/guide says; the keyring, systemd and the client are real, the Hub is ours. Says each step
and what it came to. Exits 1 at the first thing that does not hold.
"""

import json
import os
import pty
import re
import shlex
import stat
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import seeded_home as seeded
from canary import in_files
from fakehub import FakeHubProcess
from seeded_home import Place, Tokens

HOME = Path.home()
DOWNLOAD = Path("/srv/download")
PROGRAM = HOME / ".local/share/hf-proxy"
CLIENT = HOME / "work/.venv"
EDITOR = HOME / ".config/Code/User/globalStorage/state.vscdb"
UNITS = ("hf-proxy.socket", "hf-proxy-data.socket", "hf-proxy.service")
PASSWORD = "the password of her session"
PASSPHRASE = "a passphrase that she makes up"
WAITS = "import sys; sys.stdin.read()"
# What runs with a token: a program of hers, and what her session started with what is in ~/.config/environment.d.
HOLDERS = ["python HF_ACCESS_TOKEN", "dbus-daemon HF_TOKEN", "gnome-keyring-daemon HF_TOKEN"]
TRAIN = """
import os
from huggingface_hub import HfApi, hf_hub_download
api = HfApi()
print(f"whoami: {api.whoami()['name']}, with {os.environ['HF_TOKEN'][:6]}… in HF_TOKEN")
print("read:", open(hf_hub_download("me/private-model", "config.json")).read().strip())
api.upload_file(path_or_fileobj=b"trained", path_in_repo="result.txt", repo_id="me/private-model")
print("written: result.txt")
"""
# What `doctor` may warn of here, and why that is no fault of the installation.
EXPLAINED = {
    "token-readable": "an unlocked keyring is open to every program of hers; the way out that it names comes next",
}


class Broken(Exception):
    """Something that did not hold."""


def claim(holds: object, what: str) -> None:
    """Raises: Broken."""
    if not holds:
        raise Broken(what)


def say(text: str) -> None:
    print(text, flush=True)


def chapter(title: str) -> None:
    say(f"\n{title}")


# --- her shell --------------------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """As her session has it, with ~/.local/bin on PATH, as Debian's .profile puts it there."""
    kept = ("HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
    own = {name: os.environ[name] for name in kept if name in os.environ}
    return {**own, "PATH": f"{HOME}/.local/bin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"}


def run(line: str, **more: str) -> subprocess.CompletedProcess[str]:
    """What a line in her shell comes to."""
    env = environment() | more
    return subprocess.run(
        ["bash", "-c", line], cwd=HOME, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def types(line: str, *, code: int = 0, shown: bool = True, last: int = 40) -> str:
    """She types it; gives what is printed. Raises: Broken, where the exit code is another."""
    say(f"  $ {line}")
    done = run(line)
    printed = done.stdout + done.stderr
    claim(done.returncode == code, f"{line}: exit code {done.returncode}\n{printed}")
    if shown:
        tell(printed, last)
    return printed


def tell(printed: str, last: int = 40) -> None:
    lines = printed.splitlines()
    if len(lines) > last:
        say(f"    … {len(lines) - last} lines more")
    for line in lines[-last:]:
        say(f"    {line}")


def answers(line: str, *typed: str, last: int = 40) -> str:
    """She types it on a terminal, and something at each of its prompts; gives what the terminal showed."""
    say(f"  $ {line}")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(HOME)
        os.execvpe("bash", ["bash", "-c", line], environment())
    shown, waiting = b"", list(typed)
    with suppress(OSError):  # EIO: the other end is gone
        while data := os.read(terminal, 65536):
            shown += data
            if waiting and shown.endswith((b": ", b"[y/N] ")):
                os.write(terminal, waiting.pop(0).encode() + b"\n")
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    printed = shown.decode(errors="replace").replace("\r", "")
    tell(re.sub(r"\n+", "\n", printed), last)
    claim(not waiting, f"{line}: asked for less than it was given")
    claim(not any(secret in printed for secret in typed if len(secret) > 1), f"{line}: showed what was typed")
    return f"{code}\n{printed}"


# --- the steps --------------------------------------------------------------------------------------------------------


def log_in_anew() -> None:
    say("  She logs out and in again, so that nothing runs any more with what stood in environment.d.")
    run("systemctl --user daemon-reload; systemctl --user stop hf-proxy gnome-keyring-daemon dbus")
    begin_session()


def begin_session() -> None:
    """As PAM does at a login: the keyring is started, and opened with the password of the session."""
    started = subprocess.run(
        ["gnome-keyring-daemon", "--daemonize", "--login"],
        input=PASSWORD,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    claim(started.returncode == 0, "gnome-keyring did not start")
    state = run("systemctl --user is-system-running --wait").stdout.strip()
    say(f"a session of {os.environ['USER']} (uid {os.getuid()}); her systemd: {state}; her keyring: gnome-keyring")


def install() -> None:
    chapter("1. She installs the wheel, and makes it a service.")
    types(f"python3 -m venv {PROGRAM}")
    pip = f"{PROGRAM}/bin/pip install --quiet"
    types(f"{pip} --require-hashes -r {DOWNLOAD}/runtime.txt")
    types(f"{pip} --no-deps {DOWNLOAD}/hf_proxy-*.whl")
    types(f"mkdir -p ~/.local/bin && ln -s {PROGRAM}/bin/hf-proxy ~/.local/bin/")
    early = types("hf-proxy login --token-file .cache/huggingface/token", code=1)
    claim("hf-proxy service install" in early, "without a daemon, login does not say how to get one")
    types("hf-proxy service install")
    types("hf-proxy service status")


def log_in(hub: FakeHubProcess, token: str) -> None:
    chapter("2. She brings her token. It goes into the keyring.")
    printed = answers("hf-proxy login", token)
    claim(printed.startswith("0\n"), "login failed")
    claim("account default: me" in printed, "login does not say whose token it is")
    claim(run("secret-tool search service hf-proxy").stdout.count("label") == 1, "there is not one item in the keyring")
    types("hf-proxy status")


def work(hub: FakeHubProcess, token: str) -> None:
    chapter("3. A script with a real client, huggingface_hub 2.4, unchanged.")
    run(f"python3 -m venv {CLIENT} && {CLIENT}/bin/pip install --quiet --require-hashes -r /srv/index/hub24.txt")
    (HOME / "work/train.py").write_text(TRAIN)
    denied = types("hf-proxy exec -- work/.venv/bin/python work/train.py", code=1, shown=False)
    tell("\n".join(line for line in denied.splitlines() if "hf-proxy" in line))
    claim("hf-proxy exec --scope write:models/me/private-model -- " in denied, "the refusal does not name what helps")
    types("hf-proxy exec --scope write:me/private-model -- work/.venv/bin/python work/train.py")
    files = hub.call("files", "me/private-model")
    claim(files["result.txt"] == b"trained", "the upload did not arrive")
    claim(json.loads(run("hf-proxy grants --json").stdout) == [], "a grant outlived its command")
    claim(hub.call("saw", token.encode()), "the Hub never saw the token")


class Seeds:
    """What lies about in her home before hf-proxy comes."""

    def __init__(self) -> None:
        self.tokens = Tokens()
        self.places: list[Place] = seeded.places(self.tokens)
        self.alike = seeded.look_alikes()
        seeded.seed(HOME, self.places, self.alike)
        seeded.database(EDITOR, self.tokens.me)
        seeded.obstacles(HOME)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", WAITS],
            stdin=subprocess.PIPE,
            env={"HF_ACCESS_TOKEN": self.tokens.bot},
        )
        self.files = {str(HOME / place.path) for place in self.places} | {str(EDITOR)}
        self.by_hand = {str(HOME / place.path) for place in self.places if place.after is None} | {str(EDITOR)}

    @property
    def total(self) -> int:
        return len(self.files) + len(HOLDERS)

    def wrongly_touched(self) -> list[str]:
        """Look-alikes that were changed, and places that hold, or are, something else than they have to be."""
        expected = {place.path: place.before if place.after is None else place.after for place in self.places}
        wrong = [path for path, content in (self.alike | expected).items() if (HOME / path).read_bytes() != content]
        modes = {place.path: place.mode for place in self.places}
        return wrong + [path for path, mode in modes.items() if stat.S_IMODE((HOME / path).stat().st_mode) != mode]


def found(*options: str) -> tuple[set[str], list[str]]:
    """The files in which `scan` finds something, and the programs that run with a token."""
    done = run(shlex.join(["hf-proxy", "scan", "--json", *options]))
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    claim(done.returncode == bool(findings), f"scan: exit code {done.returncode} with {len(findings)} findings")
    running = [one for one in findings if one["kind"] in {"process", "environment"}]
    return {one["path"] for one in findings if one not in running}, [
        f"{one['program']} {one['variable']}" for one in running
    ]


def migrate(seeds: Seeds) -> None:
    chapter("4. What still lies about in the clear goes into the vault.")
    claim(seeds.total >= 60 and len(seeds.alike) >= 60, "there are too few seeds")
    files, programs = found()
    missed, wrong = seeds.files - files, files - seeds.files
    say(f"  {seeds.total} hiding places, {len(seeds.alike)} look-alikes: {len(files - wrong) + len(programs)} found,"
        f" {len(missed)} missed, {len(wrong)} wrongly found")  # fmt: skip
    claim((missed, wrong) == (set(), set()), f"missed {missed}, wrongly found {wrong}")
    claim(programs == HOLDERS, f"programs with a token: {programs}")
    printed = answers("hf-proxy scan --migrate", "y", last=12)
    claim(printed.startswith("1\n"), "what is left for her does not show in the exit code")
    touched = seeds.wrongly_touched()
    left, programs = found()
    by_hand = len(left) + len(programs)
    say(f"  {seeds.total - by_hand} moved, {by_hand} left for her, {len(touched)} wrongly touched")
    claim(touched == [], f"wrongly touched: {touched}")
    claim((left, programs) == (seeds.by_hand, HOLDERS), f"left: {left}, {programs}")


def clean_up(seeds: Seeds) -> None:
    chapter("5. The rest she does herself, as it says.")
    types("rm -f " + shlex.join(os.path.relpath(path, HOME) for path in sorted(seeds.by_hand)))
    types("rm .netrc _netrc  # their entries for the Hub have no password any more")
    types("git config --global --unset-all url.https://huggingface.co/.insteadof  # as doctor would have it")
    seeds.process.communicate()
    log_in_anew()
    types("hf-proxy scan")
    left = [path for token in vars(seeds.tokens).values() for path in in_files(HOME, token)]
    claim(left == [], f"a token is still in {left}")
    types("hf-proxy accounts")


def examine(*, shown: bool) -> dict[str, Any]:
    """What `doctor` finds; raises: Broken, where there is a problem or a warning that nobody expects."""
    types("hf-proxy doctor", shown=shown, last=60)
    report: dict[str, Any] = json.loads(run("hf-proxy doctor --json").stdout)
    counted = Counter(one["severity"] for one in report["findings"])
    say("  " + ", ".join(f"{counted[severity]} {severity}" for severity in ("ok", "info", "warning", "problem")))
    warnings = [one for one in report["findings"] if one["severity"] == "warning"]
    unexpected = [one for one in warnings if one["check"] not in EXPLAINED]
    claim(not unexpected, f"doctor warns of {unexpected}")
    for one in warnings:
        say(f"  {one['check']} is to be expected: {EXPLAINED[one['check']]}")
    return report


def seal() -> None:
    chapter("7. She seals the keyring, and has the kernel keep the key over a restart.")
    claim(answers("hf-proxy vault seal", PASSPHRASE, PASSPHRASE).startswith("0\n"), "it was not sealed")
    report = examine(shown=False)
    attacked = {one["attack"]: one["got"] for one in report["isolation"]}
    claim((report["mode"], attacked["keyring"]) == ("sealed", "ciphertext"), f"{report['mode']}: {attacked}")
    restart(locked=True)
    claim(answers("hf-proxy unlock --keep 10m", PASSPHRASE).startswith("0\n"), "it was not unlocked")
    restart(locked=False)
    types("hf-proxy exec --scope write:me/private-model -- work/.venv/bin/python work/train.py", last=1)
    types("hf-proxy lock")
    restart(locked=True)
    claim(answers("hf-proxy unlock", PASSPHRASE).startswith("0\n"), "it was not unlocked")
    types("hf-proxy audit verify")


def restart(*, locked: bool) -> None:
    types("systemctl --user restart hf-proxy.service")
    status = json.loads(run("hf-proxy status --json").stdout)
    say(f"    the vault is {'locked' if status['locked'] else 'open'}")
    claim(status["locked"] is locked, f"after the restart: {status}")


def uninstall() -> None:
    chapter("8. She has had enough of it.")
    printed = types("hf-proxy service uninstall")
    types(f"rm -r {PROGRAM} .local/bin/hf-proxy")
    nothing_runs()
    say("  no unit, no socket, no process of it is left; what it kept:")
    for path in remains():
        say(f"    {path}")
    advice = re.search(r"to remove all: (.*)", printed)
    claim(advice, "uninstall does not say how to remove what it kept")
    assert advice is not None
    types(advice[1])
    claim(remains() == [], f"still there: {remains()}")
    say("  nothing is left")


def nothing_runs() -> None:
    """Raises: Broken, where a unit, a socket or a process of hf-proxy is to be seen."""
    for line in (
        "systemctl --user list-units --all --no-legend | grep hf-proxy",
        "systemctl --user list-unit-files --no-legend | grep hf-proxy",
        "ss --listening --tcp --unix --numeric | grep -E 'hf-proxy|:4880'",
        "pgrep --euid $(id -u) --list-full --full 'hf-proxy|hfproxy' | grep -v pgrep",
        "find $XDG_RUNTIME_DIR -name '*hf-proxy*' | grep .",
        "find .config/systemd -name '*hf-proxy*' | grep .",
    ):
        done = run(line)
        claim(done.returncode == 1, f"{line}:\n{done.stdout}{done.stderr}")


def remains() -> list[str]:
    """What there still is of it: files, the item in the keyring, the key in the kernel."""
    files = run("find / -xdev -user $USER -name '*hf-proxy*' -prune 2>/dev/null").stdout.splitlines()
    items = run("secret-tool search service hf-proxy 2>&1").stdout.count("label = ")
    keys = Path("/proc/keys").read_text().count("hf-proxy:")
    return files + ["an item in the keyring"] * items + ["a key in the kernel"] * keys


def configure(hub: FakeHubProcess, ca: str) -> None:
    """The one thing that a new user would not do: our Hub is not huggingface.co."""
    folder = HOME / ".config/hf-proxy"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f'[upstream]\nhub = "{hub.url}"\nca_file = "{ca}"\n')


def play(info: str, ca: str) -> None:
    """All of it; raises: Broken."""
    hub, began = FakeHubProcess(), time.monotonic()
    hub.info = json.loads(Path(info).read_text())
    begin_session()
    seeds = Seeds()
    say(f"her home: {seeds.total} places with a token, {len(seeds.alike)} things that look like one")
    for user, tokens in seeds.tokens.live().items():
        for token in tokens:
            hub.call("add_user", user, token)
    hub.call("add_repo", "model", "me/private-model", private=True, files={"config.json": b'{"private": true}\n'})
    configure(hub, ca)
    install()
    log_in(hub, seeds.tokens.me)
    work(hub, seeds.tokens.me)
    migrate(seeds)
    clean_up(seeds)
    chapter("6. Is all well?")
    examine(shown=True)
    seal()
    uninstall()
    say(f"\nthe first ten minutes took {time.monotonic() - began:.0f} seconds")


if __name__ == "__main__":
    try:
        play(*sys.argv[1:])
    except Broken as broken:
        say(f"BROKEN: {broken}")
        sys.exit(1)
