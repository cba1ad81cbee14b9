"""The examples of README.md and docs/guide: they parse in bash, zsh and fish, name commands and options that exist, and the
README's everyday commands print what it says, in each of the three shells, against a real daemon. So do the guide's examples run that need
nothing but a daemon.
"""

import fcntl
import os
import pty
import re
import shlex
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from canary import made_up
from fakehub import FakeHub
from daemon_fixture import HFPROXY, DaemonFixture
from fixtures import seeded
from toolchain.markdown import GUIDE, README, Block, blocks, prose

SHELLS = {
    "bash": ("bash", "--norc", "--noprofile"),
    "zsh": ("zsh", "--no-rcs"),
    "fish": ("fish", "--no-config"),
}
# Which shells a block is for. `text` is output; `console`, where commands and output mix, is not used: it cannot be pasted.
LANGUAGES = {"sh": ("bash", "zsh", "fish"), "bash": ("bash", "zsh"), "fish": ("fish",)}
NO_COMMANDS = {"text", "toml", "json", "yaml"}
MOST_LINES = 150
PLAYED = "Everyday commands"
# The blocks of the guide that need a daemon and an account, but no service manager, keyring, container or person: page and first words.
RUNNABLE = [
    ("audit", "hf-proxy audit\n"),
    ("audit", "hf-proxy audit report"),
    ("audit", "hf-proxy audit verify"),
    ("audit", "hf-proxy audit anchor"),
    ("editors-and-notebooks", 'eval "$(hf-proxy env'),
    ("editors-and-notebooks", "hf-proxy env --shell fish"),
    ("git", "git config --global url."),
    ("incident-response", "hf-proxy audit report"),
    ("sealed-and-headless", "sh -c 'umask 077"),
]
TOKEN = made_up()
PROMPT = b"Token for account 'default'"

ALL = [block for page in (README, *GUIDE) for block in blocks(page)]
SHELL_BLOCKS = [block for block in ALL if block.language in LANGUAGES]

pytestmark = pytest.mark.needs("bash", "zsh", "fish")


# --- what can be checked of every example -------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MOST_LINES


def test_every_block_says_its_language() -> None:
    assert {block.language for block in ALL} <= LANGUAGES.keys() | NO_COMMANDS
    assert len(SHELL_BLOCKS) > 40


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=str)
def test_an_example_parses_in_the_shells_that_it_is_for(block: Block) -> None:
    for shell in LANGUAGES[block.language]:
        done = subprocess.run([*SHELLS[shell], "-n"], input=block.text, capture_output=True, text=True, timeout=60)
        assert (shell, done.returncode, done.stderr) == (shell, 0, "")


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=str)
def test_an_example_can_be_pasted(block: Block) -> None:
    """An interactive zsh takes `#` for a word, and zsh and fish take a `*` that fits no file for an error."""
    assert not re.search(r"(?:^|\s)#", block.text)
    assert not re.search(r"^\$ ", block.text, re.MULTILINE)
    bare = re.sub(r"'[^']*'", "", block.text)
    assert "*" not in bare


def test_make_targets_exist() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (README.parent / "Makefile").read_text("utf-8"), re.MULTILINE)
    used = {word for block in SHELL_BLOCKS for word in re.findall(r"^make (\w+)", block.text, re.MULTILINE)}
    used |= {word for page in (README, *GUIDE) for word in re.findall(r"`make (\w+)", prose(page))}
    assert phony
    assert {"demo", "test", "docs"} <= used <= set(phony[1].split())


def test_commands_and_options_exist() -> None:
    """In blocks and in the code of sentences. What comes after ` -- ` is another program's."""
    used = [(str(block), line) for block in SHELL_BLOCKS for line in block.text.splitlines()]
    used += [(page.name, code) for page in (README, *GUIDE) for code in re.findall(r"`([^`\n]+)`", prose(page))]
    wrong, seen = [], set()
    for place, line in used:
        for call in re.findall(r"hf-proxy ([a-z][^|;&)`]*)", line):
            name, *words = call.split(" -- ")[0].removesuffix(" --").split()
            seen.add(name)
            known = options(name)
            wrong += [f"{place}: hf-proxy {call}"] if known is None else []
            wrong += [f"{place}: {word}" for word in words if word.startswith("--") and word not in (known or ())]
    assert wrong == []
    assert len(seen) > 20


@cache
def options(command: str) -> set[str] | None:
    """The options that a command's help names, those of its subcommands too; None: there is no such command."""
    help_ = _help(command)
    if help_ is None:
        return None
    further = [_help(*words.split()) or "" for words in re.findall(rf"hf-proxy ({command} [a-z]+)", help_)]
    return set(re.findall(r"(?:^|\s)(--[a-z-]+)", "\n".join([help_, *further])))


def _help(*words: str) -> str | None:
    done = subprocess.run([*HFPROXY, *words, "--help"], capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else None


# --- the README's commands, for real ------------------------------------------------------------------------------------


def seed(hub: FakeHub) -> None:
    """Ada may read a gated model, and has a Space."""
    hub.add_user("ada", TOKEN, orgs=("acme",))
    hub.add_user("meta-llama", made_up())
    model = {"config.json": b'{"model_type": "llama"}\n'}
    hub.add_repo("model", "meta-llama/Llama-3.2-1B", gated=True, granted=("ada",), files=model)
    hub.add_repo("space", "ada/demo", files={"README.md": b"# demo\n"})


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with seeded(seed) as hub:
        yield hub


@pytest.fixture
def daemon(hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_commands_of_the_readme_print_what_it_says(
    shell: str, daemon: DaemonFixture, hub: FakeHub, tmp_path: Path, interpreter: Callable[[str], str]
) -> None:
    played = [block for block in blocks(README) if block.section == PLAYED]
    pairs = list(zip(played[::2], played[1::2], strict=True))
    assert len(pairs) >= 5
    home = tmp_path / "daemon" / "home"
    (home / "app.py").write_text("import gradio\n")
    environment = surroundings(daemon, hub, tmp_path / "bin", Path(interpreter("hub24")).parent)
    for commands, output in pairs:
        assert (commands.language, output.language) == ("sh", "text")
        _, printed = run([*SHELLS[shell], "-c", commands.text], environment, home)
        assert even(printed, hub, daemon) == even(output.text, hub, daemon), commands


@pytest.mark.needs("git")
@pytest.mark.parametrize("shell", SHELLS)
def test_the_runnable_examples_of_the_guide_succeed(
    shell: str, daemon: DaemonFixture, hub: FakeHub, tmp_path: Path, interpreter: Callable[[str], str]
) -> None:
    daemon.login(TOKEN)
    environment = surroundings(daemon, hub, tmp_path / "bin", Path(interpreter("hub24")).parent)
    for page, first in RUNNABLE:
        (block,) = [one for one in SHELL_BLOCKS if one.page.stem == page and one.text.startswith(first)]
        if shell not in LANGUAGES[block.language]:
            continue
        sets_environment = "hf-proxy env" in block.text
        script = block.text + (
            'test "$HF_ENDPOINT" = "' + daemon.status()["endpoint"] + '"\n' if sets_environment else ""
        )
        done = run([*SHELLS[shell], "-c", script], environment, tmp_path / "daemon" / "home")
        assert (str(block), done[0]) == (str(block), 0), done[1]


def surroundings(daemon: DaemonFixture, hub: FakeHub, programs: Path, clients: Path) -> dict[str, str]:
    """The user's environment, with `hf-proxy` and `hf` on PATH and the test's CA for storage."""
    programs.mkdir()
    for name, command in {"hf-proxy": HFPROXY, "hf": (str(clients / "hf"),)}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (programs / name).chmod(0o755)
    trusted = {key: value for key, value in hub.environment(None).items() if key != "HF_ENDPOINT"}
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TERM": "dumb", "COLUMNS": "200"}
    return {**daemon.env, **trusted, **quiet, "PATH": f"{programs}:{os.environ['PATH']}"}


def run(command: list[str], environment: dict[str, str], directory: Path) -> tuple[int, str]:
    """Run a command on a terminal at which the token is typed when it is asked for; returns its exit code and output."""
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=directory,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # /dev/tty is this one
    )
    os.close(terminal)
    typist = threading.Thread(target=_type_token, args=(keyboard,))
    typist.start()
    try:
        printed, _ = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
        typist.join()
        os.close(keyboard)
    return process.returncode, printed.decode()


def _type_token(keyboard: int) -> None:
    shown = b""
    while True:
        try:
            shown += os.read(keyboard, 4096)
        except OSError:  # the last program has closed the terminal
            return
        if PROMPT in shown:
            os.write(keyboard, TOKEN.encode() + b"\n")
            shown = b""


def even(text: str, hub: FakeHub, daemon: DaemonFixture) -> str:
    """The text without the parts that differ between runs: addresses, the home, identifiers, credentials, times, colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = text.replace(hub.url, "https://huggingface.co").replace(daemon.status()["endpoint"], "http://127.0.0.1:4880")
    text = text.replace(str(daemon.root / "home"), "/home/ada")
    text = re.sub(r"\b[0-9a-f]{16}\b", "<id>", text)
    text = re.sub(r"\bhf_px_\w+", "<credential>", text)
    return re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", "<time>", text)
