"""What a TAB brings, in the real shells: by typing where a shell has to have a terminal."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outcome import HfProxy, failed
from scripted_daemon import ScriptedDaemon
from terminal import HOME, TAB, Terminal

from hfproxy.cli.commands import COMMANDS
from hfproxy.cli.ui.help_pages import pages

STATUS = {
    "accounts": [
        {"name": "default", "user": "ada", "role": "write"},
        {"name": "work", "user": "acme-bot", "role": "read"},
    ],
    "profiles": ["default", "space"],
}
GRANTS: list[dict[str, object]] = [
    {"id": "0a1b2c3d4e5f6071", "label": "night run", "program": "python"},
    {"id": "9f8e7d6c5b4a3021", "label": None, "program": "git"},
    {},
]
PROMPT = "READY: "

Typing = Callable[[str, str, str], tuple[str, str]]

pytestmark = pytest.mark.needs("zsh", "fish")


@pytest.fixture
def live(daemon: ScriptedDaemon) -> ScriptedDaemon:
    daemon.answers |= {"status": STATUS, "grants": GRANTS}
    return daemon


@pytest.fixture
def path(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """The environment of a shell that finds `hf-proxy`, and beside it a command with names of its own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "hf-proxy").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hfproxy "$@"\n')
    (programs / "hf-proxy").chmod(0o755)
    (programs / "zzcommand").symlink_to("/bin/true")
    (tmp_path / "unique-file.txt").touch()
    return environment | {"PATH": f"{programs}:{environment['PATH']}", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


@pytest.fixture
def typed(path: dict[str, str], tmp_path: Path) -> Iterator[Typing]:
    """Type into a shell; gives what was listed meanwhile, and the line that it had become."""
    open_ones: list[Terminal] = []

    def type_in(shell: str, setup: str, keys: str) -> tuple[str, str]:
        terminal = Terminal(STARTED[shell], path, tmp_path)
        open_ones.append(terminal)
        terminal.press(setup + "\necho SET''UP\n")
        terminal.until(r"SETUP\r?\n")
        terminal.until(PROMPT)
        terminal.press(keys)
        # Back to the beginning of the line: `echo` then says what it was, and nothing of it is run.
        terminal.press(f"{HOME}echo LINE''IS \n")
        listed = terminal.until(r"(?s)(.*?)LINEIS ([^\r\n]*)")
        return listed[1], listed[2].strip()

    yield type_in
    for terminal in open_ones:
        terminal.close()


STARTED = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
SETUP = {
    "bash": f"bind 'set enable-bracketed-paste off'; PS1='{PROMPT}'; eval \"$(hf-proxy completion bash)\"",
    "zsh": f"unset zle_bracketed_paste; unsetopt prompt_sp; bindkey -e; PS1='{PROMPT}'"
    '; autoload -U compinit && compinit -u -D; eval "$(hf-proxy completion zsh)"',
}
LINES = [
    ("hf-proxy gran\t", "hf-proxy grants"),
    ("hf-proxy audit ver\t", "hf-proxy audit verify"),
    ("hf-proxy exec --max-u\t", "hf-proxy exec --max-u"),
    ("hf-proxy exec --max-us\t", "hf-proxy exec --max-uses"),
    ("hf-proxy exec --bind tr\t", "hf-proxy exec --bind tree"),
    ("hf-proxy renew 0\t", "hf-proxy renew 0a1b2c3d4e5f6071"),
    ("hf-proxy revoke 9f8e7d6c5b4a3021 0a\t", "hf-proxy revoke 9f8e7d6c5b4a3021 0a1b2c3d4e5f6071"),
    ("hf-proxy audit --grant 9\t", "hf-proxy audit --grant 9f8e7d6c5b4a3021"),
    ("hf-proxy mint --account w\t", "hf-proxy mint --account work"),
    ("hf-proxy mint --profile=sp\t", "hf-proxy mint --profile=space"),
    ("hf-proxy exec --scope wri\t", "hf-proxy exec --scope write:"),
    ("hf-proxy exec --scope write:spa\tada\t", "hf-proxy exec --scope write:spaces/ada/"),
    ("hf-proxy exec --scope read:x -- zzcom\t", "hf-proxy exec --scope read:x -- zzcommand"),
    ("hf-proxy exec --scope read:x zzcommand uniq\t", "hf-proxy exec --scope read:x zzcommand unique-file.txt"),
    ("hf-proxy login --token-file uniq\t", "hf-proxy login --token-file unique-file.txt"),
]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(("keys", "line"), LINES)
def test_a_tab_completes_what_is_typed(live: ScriptedDaemon, typed: Typing, shell: str, keys: str, line: str) -> None:
    assert typed(shell, SETUP[shell], keys)[1] == line


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_behind_exec_the_command_s_own_completion_goes_on(typed: Typing, shell: str) -> None:
    """A shell function of the user's own for a command, which bash-completion has to be asked for."""
    own = {
        "bash": "source /usr/share/bash-completion/bash_completion; "
        'ours() { [[ ${COMP_WORDS[*]} == "zzcommand first "* ]] && COMPREPLY=(mine-$COMP_CWORD); }; complete -F ours zzcommand',
        "zsh": 'ours() { [[ "$words" == "zzcommand first "* ]] && compadd mine-$((CURRENT - 1)); }; compdef ours zzcommand',
    }
    _, line = typed(
        shell, f"{SETUP[shell]}; {own[shell]}", "hf-proxy exec --scope=write:a/b --ttl 1h -- zzcommand first mi\t"
    )
    assert line == "hf-proxy exec --scope=write:a/b --ttl 1h -- zzcommand first mine-2"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_listing_says_which_grant_is_which(live: ScriptedDaemon, typed: Typing, shell: str) -> None:
    listed, line = typed(shell, SETUP[shell], "hf-proxy revoke \t\t")
    assert "0a1b2c3d4e5f6071" in listed and "night run, python" in listed
    assert line == "hf-proxy revoke" or line == "hf-proxy revoke 0a1b2c3d4e5f6071"  # zsh begins to go through them


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_without_a_daemon_a_tab_adds_nothing_and_says_nothing(typed: Typing, shell: str) -> None:
    listed, line = typed(shell, SETUP[shell], "hf-proxy revoke \t\t")
    assert line == "hf-proxy revoke"
    assert "no daemon" not in listed and "Traceback" not in listed


@pytest.mark.parametrize(("keys", "line"), LINES)
def test_fish_proposes_the_same(
    live: ScriptedDaemon, path: dict[str, str], tmp_path: Path, keys: str, line: str
) -> None:
    *before, last = keys.removesuffix(TAB).replace("spa\t", "spaces/").split(" ")
    proposed = fish(path, tmp_path, " ".join([*before, last]))
    assert [word for word in proposed if line.endswith(f" {word}") or word.startswith("--max-u")]


def test_fish_says_what_each_is(live: ScriptedDaemon, path: dict[str, str], tmp_path: Path) -> None:
    assert fish(path, tmp_path, "hf-proxy renew ") == {
        "0a1b2c3d4e5f6071": "night run, python",
        "9f8e7d6c5b4a3021": "git",
    }
    assert fish(path, tmp_path, "hf-proxy gran") == {"grants": COMMANDS["grants"][1]}


def fish(path: dict[str, str], directory: Path, typed_so_far: str) -> dict[str, str]:
    """What fish proposes for a line, with what it says about each."""
    script = "hf-proxy completion fish | source; complete -C $argv[1]"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, typed_so_far],
        env=path,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return {word: about for word, _, about in (line.partition("\t") for line in done.stdout.splitlines())}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_every_command_is_proposed(hf_proxy: HfProxy, command: str) -> None:
    found = pages(command)
    assert command in found
    for name, page in found.items():
        lines = hf_proxy("completion", "--next", "hf-proxy", *name.split(), "-").stdout.splitlines()
        proposed = {line.partition("\t")[0] for line in lines[1:]}
        assert {option for option, _, _ in page.options} <= proposed


@pytest.mark.parametrize("words", [[], ["hf-proxy"], ["hf-proxy", "nonsense", "x"], ["hf-proxy", "renew", ""]])
def test_the_answer_to_a_tab_is_never_an_error(hf_proxy: HfProxy, words: list[str]) -> None:
    result = hf_proxy("completion", "--next", *words)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("words\n")


def test_a_daemon_that_does_not_answer_is_not_waited_for(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    """The stand-in answers only once this test is over; the daemon's own patience would be 30 seconds."""
    over = threading.Event()
    daemon.answers["status"] = lambda _: {} if over.wait(60) else {}
    result = hf_proxy("completion", "--next", "hf-proxy", "login", "--account", "")
    over.set()
    assert (result.returncode, result.stdout, result.stderr) == (0, "words\n", "")


def test_completion_asks_for_a_shell_it_knows(hf_proxy: HfProxy) -> None:
    for words in ((), ("tcsh",)):
        assert "bash, zsh, fish" in failed(hf_proxy("completion", *words), 2)
