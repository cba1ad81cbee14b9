"""`learn` with real clients: with what it prints, and nothing else, the same command runs again; with less it does not."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fakehub import FakeHub
from daemon_fixture import DaemonFixture
from real_client import CANARY, RUN, Client

pytestmark = pytest.mark.shared_daemon

JOB = Path(__file__).with_name("learn_job.py")
NEEDED = [
    "create:spaces/me/learned",
    "discuss:models/you/public-model",
    "read:datasets/me/table",
    "read:models/you/public-model",
    "run:spaces/me/learned",
    "secrets:spaces/me/learned",
    "write:spaces/me/learned",
]

Ran = "subprocess.CompletedProcess[str]"


class Shop:
    """Runs words of `hf-proxy` before a command, from a home of its own, and clears away what the job made."""

    def __init__(self, hub: FakeHub, daemon: DaemonFixture, client: Client) -> None:
        self.hub, self.daemon, self.client = hub, daemon, client
        self.env = client.env("learning") | {k: v for k, v in daemon.env.items() if k.startswith("HFPROXY_")}
        self.home = Path(self.env["HOME"])

    def hfproxy(self, *words: str, **more: str) -> Ran:
        command = [*self.daemon.hfproxy, *words]
        return subprocess.run(command, env=self.env | more, cwd=self.home, stdin=subprocess.DEVNULL, **RUN)

    def job(self, *words: str, cache: str = "cache") -> Ran:
        self.hub.world.repos.pop(("space", "me/learned"), None)
        cached = {"HF_HUB_CACHE": str(self.home / cache)}
        return self.hfproxy(*words, "--", *self.client.command(JOB), str(self.home / "space"), **cached)


@pytest.fixture
def shop(hub: FakeHub, daemon: DaemonFixture, client: Client) -> Shop:
    return Shop(hub, daemon, client)


def scopes_in(text: str) -> list[str]:
    return re.findall(r'^  "(.*)",$', text, re.MULTILINE)


def options(scopes: list[str]) -> list[str]:
    return [word for scope in scopes for word in ("--scope", scope)]


def begin_anew(daemon: DaemonFixture, config: str) -> None:
    daemon.stop()
    daemon.configure(config)
    daemon.start()
    daemon.login(CANARY)


@pytest.fixture
def learned(shop: Shop) -> Ran:
    done = shop.job("learn", "--yes", "--write", cache="first")
    assert done.returncode == 0, done.stderr
    return done


def test_the_projects_file_that_it_writes_is_enough(shop: Shop, learned: Ran) -> None:
    assert scopes_in((shop.home / ".hf-proxy.toml").read_text()) == NEEDED
    assert shop.job("exec", "--strict", cache="second").returncode == 125
    assert shop.hfproxy("allow", "--yes").returncode == 0
    again = shop.job("exec", "--strict", cache="third")
    assert (again.returncode, again.stdout) == (0, learned.stdout), again.stderr


@pytest.mark.own_daemon
def test_the_profile_that_it_prints_is_enough(shop: Shop, learned: Ran, daemon: DaemonFixture) -> None:
    table = learned.stderr[learned.stderr.index("[profiles.learned]") : learned.stderr.index("hf-proxy exec")]
    assert scopes_in(table) == NEEDED
    begin_anew(daemon, table)
    again = shop.job("exec", "--strict", "--profile", "learned", cache="second")
    assert (again.returncode, again.stdout) == (0, learned.stdout), again.stderr


@pytest.mark.parametrize("missing", NEEDED)
def test_without_any_one_of_its_scopes_the_command_fails(shop: Shop, missing: str) -> None:
    less = shop.job("exec", "--strict", *options([one for one in NEEDED if one != missing]))
    assert less.returncode == 1, f"it ran without {missing}"
    assert "hf-proxy" in less.stderr


def test_the_line_that_it_prints_is_the_same(learned: Ran) -> None:
    assert learned.stderr.count(f"hf-proxy exec {' '.join(options(NEEDED))} -- CMD\n") == 1


def test_its_grant_ends_with_it(learned: Ran, daemon: DaemonFixture) -> None:
    assert daemon.status()["grants"] == 0
    assert [entry["kind"] for entry in daemon.audit_with("revoked")][-1] == "revoked"


@pytest.mark.own_daemon
def test_beyond_the_ceiling_it_learns_what_would_be_needed(shop: Shop, daemon: DaemonFixture) -> None:
    begin_anew(daemon, '[grants]\nceiling = ["read"]\n')
    done = shop.job("learn", "--yes")
    assert done.returncode == 1
    assert "may need more" in done.stderr
    assert "create:spaces/me/learned" in scopes_in(done.stderr)


def test_what_hands_out_tokens_stays_refused_and_is_told(shop: Shop) -> None:
    script = (
        "import os, sys, urllib.request as u\n"
        "r = u.Request(os.environ['HF_ENDPOINT'] + '/api/models/me/secret-model/jwt',\n"
        "    headers={'Authorization': 'Bearer ' + os.environ['HF_TOKEN']})\n"
        "u.urlopen(r)"
    )
    done = shop.hfproxy("learn", "--yes", "--", *shop.client.command(script))
    assert done.returncode == 1
    assert "# Refused, and no scope allows it: GET /api/models/me/secret-model/jwt (minting)" in done.stderr


def test_what_a_command_runs_under_exec_is_learned_as_well(shop: Shop, daemon: DaemonFixture) -> None:
    inner = [*daemon.hfproxy, "exec", "--scope", "read:me/table", "--"]
    script = "from huggingface_hub import HfApi; HfApi().dataset_info('me/table')"
    done = shop.hfproxy("learn", "--yes", "--", *inner, *shop.client.command(script))
    assert done.returncode == 0, done.stderr
    assert scopes_in(done.stderr) == ["read:datasets/me/table"]


# --- git --------------------------------------------------------------------------------------------------------------

Push = Callable[[str], Ran]


@pytest.fixture
def push(hub: FakeHub, daemon: DaemonFixture, tmp_path: Path) -> Push:
    shop = Shop(hub, daemon, Client("bash", hub, tmp_path / "clients"))
    who = {f"GIT_{role}_{what}": "me@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def run(script: str) -> Ran:
        clone = "set -eu; git clone -q https://huggingface.co/me/secret-model model && cd model"
        done = shop.hfproxy("learn", "--yes", "--", "bash", "-c", f"{clone}; {script}", **who)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.mark.needs("git-lfs")
def test_a_push_that_loses_nothing_is_not_learned_as_deleting(push: Push) -> None:
    """Though under a grant that may delete nothing would have to be proven."""
    done = push("git commit -q --allow-empty -m a; git push -q origin HEAD:main")
    assert scopes_in(done.stderr) == ["write:models/me/secret-model"]


@pytest.mark.needs("git-lfs")
def test_a_push_that_loses_history_is(push: Push) -> None:
    done = push("git commit -q --amend -m rewritten; git push -q --force origin HEAD:main")
    assert scopes_in(done.stderr) == ["delete:models/me/secret-model", "write:models/me/secret-model"]
