"""git under `exec`, as far as the command line has to do with it: its configuration, and its helper."""

import subprocess
from collections.abc import Callable

import pytest
from outcome import HfProxy, done, failed
from scripted_daemon import CREDENTIAL, ENDPOINT, MINTED, ScriptedDaemon

from hfproxy.cli.run.git_config import git_environment, quoted

UNDER_EXEC = {"HF_TOKEN": CREDENTIAL, "HF_ENDPOINT": ENDPOINT}
OURS = "protocol=http\nhost=127.0.0.1:4880\n"


def configured(hf_proxy: HfProxy, *words: str, extra: dict[str, str] | None = None) -> str:
    """What git, run under `exec`, says of its configuration."""
    return done(hf_proxy("exec", "--", "git", "config", *words, extra=extra))


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("https://huggingface.co/me/a", f"{ENDPOINT}/me/a"),
        ("https://hf.co/datasets/me/a", f"{ENDPOINT}/datasets/me/a"),
        ("git@hf.co:spaces/me/a", f"{ENDPOINT}/spaces/me/a"),
        ("ssh://git@hf.co/me/a.git", f"{ENDPOINT}/me/a.git"),
        ("https://hub.acme.example/me/a", f"{ENDPOINT}/me/a"),
        ("https://github.com/me/a", "https://github.com/me/a"),
        ("https://huggingface.community/me/a", "https://huggingface.community/me/a"),
    ],
)
def test_git_reads_addresses_of_the_hub_as_the_daemons(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, address: str, ours: str
) -> None:
    daemon.answers["mint"] = {**MINTED, "hub": "https://hub.acme.example"}
    assert done(hf_proxy("exec", "--", "git", "ls-remote", "--get-url", address)) == f"{ours}\n"


def test_the_password_is_in_no_address_and_no_configuration(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    assert CREDENTIAL not in configured(hf_proxy, "--list")


def test_what_git_was_told_before_stays(hf_proxy: HfProxy, daemon: ScriptedDaemon) -> None:
    before = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Ada"}
    assert configured(hf_proxy, "user.name", extra=before) == "Ada\n"


def test_a_second_exec_replaces_what_the_first_said() -> None:
    once = git_environment({}, ENDPOINT, "https://huggingface.co")
    assert git_environment(once, ENDPOINT, "https://huggingface.co") == once
    assert int(once["GIT_CONFIG_COUNT"]) == 6


@pytest.mark.parametrize("count", ["", "x", "-1", "²", "99999999999"])
def test_a_count_git_would_not_take_is_no_crash(count: str) -> None:
    assert (
        int(git_environment({"GIT_CONFIG_COUNT": count}, ENDPOINT, "https://huggingface.co")["GIT_CONFIG_COUNT"]) == 6
    )


@pytest.mark.parametrize("text", ["", "a b", "it's", "$(x)", "\\", '"', "é\n"])
def test_a_quoted_text_is_one_word_of_a_shell(text: str) -> None:
    assert subprocess.run(["sh", "-c", f"printf %s {quoted(text)}"], capture_output=True).stdout.decode() == text


def test_git_gets_the_credential_for_the_daemons_address_from_the_helper(
    hf_proxy: HfProxy, daemon: ScriptedDaemon
) -> None:
    filled = done(hf_proxy("exec", "--", "git", "credential", "fill", stdin=OURS))
    assert f"password={CREDENTIAL}\n" in filled


# --- the helper itself ---------------------------------------------------------------------------------------------


@pytest.fixture
def ask(hf_proxy: HfProxy) -> Callable[..., str]:
    """What the helper answers under `exec`."""
    return lambda stdin, word="get": done(hf_proxy("git-credential", word, stdin=stdin, extra=UNDER_EXEC))


def test_the_answer_is_git_s_protocol(ask: Callable[..., str]) -> None:
    assert ask(OURS) == f"username=hf_user\npassword={CREDENTIAL}\nephemeral=1\n"
    assert ask(OURS + "username=ada\n\n").startswith("username=ada\n")
    assert CREDENTIAL in ask("protocol=http\nhost=localhost:4880\npath=me/a\nwwwauth[]=Basic x\nwwwauth[]=y\n")


@pytest.mark.parametrize(
    "place",
    [
        "protocol=https\nhost=127.0.0.1:4880\n",
        "protocol=http\nhost=127.0.0.1:4881\n",
        "protocol=http\nhost=127.0.0.1\n",
        "protocol=https\nhost=huggingface.co\n",
        "protocol=https\nhost=evil.example\n",
        "protocol=http\nhost=127.0.0.1:4880.evil.example\n",
        "protocol=http\nhost=evil@127.0.0.1:4880\n",
        "host=127.0.0.1:4880\n",
        "protocol=http\n",
        "",
    ],
)
def test_under_exec_no_other_address_gets_an_answer(ask: Callable[..., str], place: str) -> None:
    assert ask(place) == ""


@pytest.mark.parametrize("word", ["store", "erase", "a-word-of-the-future"])
def test_nothing_is_stored_and_nothing_erased(ask: Callable[..., str], word: str) -> None:
    assert ask(f"{OURS}username=u\npassword=p\n", word) == ""


@pytest.mark.parametrize(
    "stdin",
    [
        f"{OURS}x=\r\n",
        "protocol=http\r\nhost=127.0.0.1:4880\r\n",
        f"{OURS}path=a\x00b\n",
        f"{OURS}path=\x1b[2J\n",
        f"{OURS}host=evil.example\n",
        f"{OURS}nothing\n",
        OURS + "x" * 70_000 + "=1\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(hf_proxy: HfProxy, stdin: str) -> None:
    assert "hf-proxy git-credential --help" in failed(
        hf_proxy("git-credential", "get", stdin=stdin, extra=UNDER_EXEC), 2
    )


@pytest.mark.parametrize("host", ["huggingface.co", "hf.co", "HuggingFace.co"])
def test_outside_of_exec_the_hub_gets_a_credential_made_for_it(
    hf_proxy: HfProxy, daemon: ScriptedDaemon, host: str
) -> None:
    daemon.answers["status"] = {"endpoint": ENDPOINT}
    answer = done(hf_proxy("git-credential", "--profile", "git", "get", stdin=f"protocol=https\nhost={host}\n"))
    assert answer == f"username=hf_user\npassword={CREDENTIAL}\nephemeral=1\npassword_expiry_utc=1800000000\n"
    assert daemon.requests[-1] == {
        "do": "mint", "bind": "none", "label": "git", "program": "git", "profile": "git",
    }  # fmt: skip


@pytest.mark.parametrize(
    "place",
    [
        "protocol=http\nhost=huggingface.co\n",
        "protocol=https\nhost=huggingface.co:8443\n",
        "protocol=https\nhost=huggingface.co.evil.example\n",
        "protocol=https\nhost=cdn.huggingface.co\n",
        "protocol=https\nhost=github.com\n",
    ],
)
def test_outside_of_exec_nobody_else_gets_an_answer(hf_proxy: HfProxy, daemon: ScriptedDaemon, place: str) -> None:
    daemon.answers["status"] = {"endpoint": ENDPOINT}
    assert done(hf_proxy("git-credential", "get", stdin=place)) == ""
    assert [request["do"] for request in daemon.requests] == ["status"]


def test_outside_of_exec_without_a_daemon_git_is_told_how_to_start_it(hf_proxy: HfProxy) -> None:
    result = hf_proxy("git-credential", "get", stdin="protocol=https\nhost=huggingface.co\n")
    assert "hf-proxy daemon" in failed(result, 1)


def test_the_helper_without_a_word_is_a_usage_error(hf_proxy: HfProxy) -> None:
    assert "get, store or erase" in failed(hf_proxy("git-credential"), 2)
