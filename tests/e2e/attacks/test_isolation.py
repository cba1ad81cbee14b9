"""The isolation table: what a program of the same user gets in each mode, attacked for real.

The daemon, the user and the attacker are ordinary users of the system. The outcome of an attack is judged by what it
brought home, and compared with docs/guide/modes.md, so that the table there cannot be wrong. Every attack is also
made where nothing stops it, or its failure would mean nothing.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from canary import leaks
from dedicated_mode import DedicatedMode
from deployment_modes import PASSPHRASE, SealedKeyringMode, SealedMode, DeploymentMode, UserMode, any_size
from fixtures import seeded
from real_client import CANARY
from system_users import SystemUsers, needs_root

MODES_PAGE = Path(__file__).parents[3] / "docs" / "guide" / "modes.md"
MODES = {"user": UserMode, "sealed": SealedMode, "sealed-keyring": SealedKeyringMode, "dedicated": DedicatedMode}
ATTACKS = ("keyring", "environ", "mem", "ptrace", "core", "socket", "config", "path")
pytestmark = [pytest.mark.timeout(300), pytest.mark.needs("useradd", "userdel")]


def table() -> dict[str, dict[str, str]]:
    """Attack → mode → what it gets, according to the page."""
    rows = re.findall(r"^\| `(\w+)`[^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|$", MODES_PAGE.read_text("utf-8"), re.MULTILINE)
    return {
        attack: dict(zip(("user", "sealed", "dedicated"), map(str.strip, cells), strict=True))
        for attack, *cells in rows
    }


@pytest.fixture(scope="module")
def system_users() -> Iterator[SystemUsers]:
    needs_root()
    system_users = SystemUsers()
    yield system_users
    system_users.close()


@pytest.fixture(scope="module", params=MODES)
def deployment(request: pytest.FixtureRequest, system_users: SystemUsers) -> Iterator[DeploymentMode]:
    with seeded() as hub:
        deployment = MODES[request.param](system_users, hub)
        yield deployment
        deployment.close()


@pytest.fixture
def victim(deployment: DeploymentMode) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of the user's that has the token and takes no care of it."""
    with deployment.careless() as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        yield victim
        victim.kill()


@pytest.mark.parametrize("attack", ["environ", "mem", "ptrace"])
def test_the_attack_works_on_a_program_that_takes_no_care(
    deployment: DeploymentMode, victim: "subprocess.Popen[bytes]", attack: str
) -> None:
    assert judged(deployment.attack(attack, victim.pid)) == "the token"


def test_such_a_program_leaves_its_memory_behind_when_it_is_made_to_crash(
    deployment: DeploymentMode, victim: "subprocess.Popen[bytes]"
) -> None:
    assert leaves_its_memory(deployment, victim)


def test_the_table_has_every_attack() -> None:
    assert tuple(table()) == ATTACKS


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gets_what_the_readme_says(deployment: DeploymentMode, attack: str) -> None:
    assert OUTCOMES[attack](deployment) == table()[attack][deployment.mode]


def test_doctor_measures_the_same(deployment: DeploymentMode) -> None:
    report = deployment.doctor()
    assert report["mode"] == deployment.mode
    measured = {row["attack"]: row["got"] for row in report["isolation"]}
    assert measured == {attack: cells[deployment.mode] for attack, cells in table().items()}


@pytest.mark.parametrize("deployment", ["sealed", "sealed-keyring"], indirect=True)
def test_a_key_that_the_kernel_keeps_is_there_for_every_program_and_doctor_says_so(deployment: DeploymentMode) -> None:
    """Which is why it is kept only when asked for, and gone with `lock`."""
    deployment.must("unlock", "--keep", "5m", "--passphrase-fd", "0", stdin=PASSPHRASE)
    assert deployment.doctor()["isolation"][0]["got"] == "the token"
    deployment.must("lock")
    deployment.must("unlock", "--passphrase-fd", "0", stdin=PASSPHRASE)
    assert deployment.doctor()["isolation"][0]["got"] == "ciphertext"


def keyring(deployment: DeploymentMode) -> str:
    found = deployment.attack("keyring", deployment.state)
    return "the token" if leaks(found, CANARY) else "ciphertext" if found.strip() else "nothing"


def of_process(name: str) -> Callable[[DeploymentMode], str]:
    def outcome(deployment: DeploymentMode) -> str:
        found = deployment.attack(name, deployment.process.pid)
        deployment.must("status")
        return judged(found)

    return outcome


def judged(found: bytes) -> str:
    return "the token" if leaks(found, CANARY) else "something" if found.strip() else "nothing"


def core(deployment: DeploymentMode) -> str:
    """The daemon begins with no limit, and the attacker crashes it."""
    deployment.again(preexec_fn=any_size)
    left = leaves_its_memory(deployment, deployment.process)
    deployment.again()
    return "the token" if left else "nothing"


def leaves_its_memory(deployment: DeploymentMode, process: "subprocess.Popen[Any]") -> bool:
    """Whether it wrote a core file (or handed it to whoever collects them) when the attacker made it crash."""
    if not deployment.attack("core", process.pid).strip():
        assert process.poll() is None
        return False
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGSEGV
    return os.WCOREDUMP(status)


def socket(deployment: DeploymentMode) -> str:
    """A credential is one that works."""
    found = deployment.attack("ask", deployment.socket)
    if leaks(found, CANARY):
        return "the token"
    minted = json.loads(found.splitlines()[0])
    if "credential" not in minted:
        return "nothing"
    works = deployment.attack("request", minted["endpoint"], minted["credential"])
    assert b"200 OK" in works
    assert not leaks(works, CANARY)
    deployment.must("revoke", minted["id"])
    return "a credential"


def config(deployment: DeploymentMode) -> str:
    """Before the user does anything unusual, and once they log in again."""
    before = (deployment.config / "config.toml").read_text()
    with thief() as (address, taken):
        deployment.attack("config", deployment.config, address)
        deployment.again()
        deployment.cli("exec", "--scope", "read", "--", "true")
        minted = json.loads(deployment.cli("mint", "--json", "--scope", "read:me/*").stdout or "{}")
        if "credential" in minted:
            deployment.attack("request", minted["endpoint"], minted["credential"])
        at_once = leaks(b"".join(taken), CANARY)
        deployment.cli("login", "--token-stdin", stdin=CANARY)
        at_login = leaks(b"".join(taken), CANARY)
    deployment.replaced(before)
    deployment.again()
    return "the token" if at_once else "the token, if it is typed again" if at_login else "nothing"


class thief:  # noqa: N801
    """A server that answers nothing and keeps everything."""

    def __enter__(self) -> tuple[str, list[bytes]]:
        taken: list[bytes] = []

        class Keeper(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                taken.append(bytes(self.headers))
                self.send_error(404)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
        self.thread = Thread(target=self.server.serve_forever)
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_port}", taken

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def path(deployment: DeploymentMode) -> str:
    """The user goes on typing what they always type."""
    deployment.attack("path", deployment.place, deployment.loot)
    try:
        deployment.types("status")
        if leaks(deployment.kept(), CANARY):
            return "the token"
        deployment.types("unlock", "--passphrase-fd", "0", stdin=PASSPHRASE)
        assert PASSPHRASE.encode() in deployment.kept()
        if leaks(deployment.attack("unseal", deployment.vault, deployment.state, PASSPHRASE), CANARY):
            return "the token, once the passphrase is typed"
        deployment.types("login", "--token-stdin", stdin=CANARY)
        return "the token, if it is typed again" if leaks(deployment.kept(), CANARY) else "nothing"
    finally:
        deployment.attack("pick_up", deployment.place / "hf-proxy")


OUTCOMES: dict[str, Callable[[DeploymentMode], str]] = {
    "keyring": keyring,
    "environ": of_process("environ"),
    "mem": of_process("mem"),
    "ptrace": of_process("ptrace"),
    "core": core,
    "socket": socket,
    "config": config,
    "path": path,
}
