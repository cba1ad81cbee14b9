"""Stock clients, each straight at the Hub with the token and under `hf-proxy exec`: nothing may differ but the refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.clients.matrix.rows import ROWS, Row, Words, digest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import OPTIONS, Client

pytestmark = pytest.mark.shared_daemon

NARROW = ("--scope", "read:datasets/you/nothing")
OURS = "hf-proxy exec"
ClientAt = Callable[[FakeHub], Client]


def needed(name: str) -> tuple[str, ...]:
    """The programs that the machine has to have. A row's own environment brings its `python`, which Debian has not."""
    program = ROWS[name].program.rpartition("/")[2]
    return ("git-lfs",) if name.startswith("git") else () if program == "python" else (program,)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs(*needed(name))) for name in ROWS])
def row(request: pytest.FixtureRequest) -> Row:
    return ROWS[request.param]


@pytest.fixture
def client_at(row: Row, interpreter: Callable[[str], str], tmp_path: Path) -> ClientAt:
    """Gives the row's client for a Hub, with the row's environment activated."""
    first = Path(interpreter(row.environment)).parent if row.environment else None
    return lambda hub: Client(row.program, hub, tmp_path / "clients", first)


def in_folder(words: Words, folder: Path) -> Words:
    """The words with a new folder in place of `FOLDER`."""
    folder.mkdir()
    return tuple(str(folder) if word == "FOLDER" else word for word in words)


def results(printed: str) -> dict[str, object]:
    lines = [line.removeprefix("RESULT") for line in printed.splitlines() if line.startswith("RESULT")]
    return {name: value for line in lines for name, value in json.loads(line).items()}


def contents(hub: FakeHub) -> dict[tuple[str, str], dict[str, str]]:
    """Every branch and pull request of every repository, by the digests of its files."""
    return {
        (name, rev): {path: digest(data) for path, data in hub.files(name, kind, rev).items()}
        for (kind, name), repo in hub.world.repos.items()
        for rev in (*repo.branches, *(f"refs/pr/{number}" for number in repo.pulls))
    }


def at_hub(hub: FakeHub) -> dict[str, str]:
    """What `exec` does for git, for a run without it."""
    helper = '!f() { test "$1" = get && echo username=me && echo "password=$HF_TOKEN"; }; f'
    return {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.{hub.url}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://huggingface.co/",
        "GIT_CONFIG_KEY_1": f"credential.{hub.url}.helper",
        "GIT_CONFIG_VALUE_1": helper,
    }


def test_the_client_does_the_same_with_a_credential_as_with_the_token(
    row: Row, client_at: ClientAt, plain_hub: FakeHub, hub: FakeHub, daemon: DaemonFixture, tmp_path: Path
) -> None:
    plainly = in_folder(row.work, tmp_path / "plainly")
    direct = results(client_at(plain_hub).direct(*plainly, **at_hub(plain_hub)))
    proxied = results(client_at(hub).proxied(daemon, *in_folder(row.work, tmp_path / "proxied"), options=OPTIONS))
    assert proxied == direct
    assert row.seen.items() <= proxied.items()
    assert contents(hub) == contents(plain_hub)
    for (kind, name), files in row.made.items():
        assert files.items() <= hub.files(name, kind).items()
    assert not hub.saw(b"hf_px_"), "the credential went past the proxy"


def attempt(client: Client, words: Words, daemon: DaemonFixture, *options: str) -> str:
    """Try this with a credential for something else; gives what the client printed about it."""
    hub = client.hub
    before = contents(hub)
    done = client.attempt(daemon, *words, options=(*NARROW, *options))
    assert done.returncode != 0, done.stdout
    assert contents(hub) == before
    assert not hub.saw(b"hf_px_"), "the credential went past the proxy"
    return done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("--strict",)], ids=["anonymous", "strict"])
def test_a_read_out_of_scope_is_refused_in_words_that_the_client_prints(
    row: Row, client_at: ClientAt, hub: FakeHub, daemon: DaemonFixture, options: tuple[str, ...]
) -> None:
    assert OURS in attempt(client_at(hub), row.read, daemon, *options)


def test_a_write_out_of_scope_is_refused_in_words_that_the_client_prints(
    row: Row, client_at: ClientAt, hub: FakeHub, daemon: DaemonFixture
) -> None:
    assert OURS in attempt(client_at(hub), row.write, daemon)
