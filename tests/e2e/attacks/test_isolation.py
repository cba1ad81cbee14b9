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
from deployment_modes import PASSPHRASE, SealedKeyringMode, SealedMode, Settlement, UserMode, any_size
from fixtures import seeded
from real_client import CANARY
from system_users import Town, needs_root

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
def town() -> Iterator[Town]:
    needs_root()
    town = Town()
    yield town
    town.close()


@pytest.fixture(scope="module", params=MODES)
def settlement(request: pytest.FixtureRequest, town: Town) -> Iterator[Settlement]:
    with seeded() as hub:
        settlement = MODES[request.param](town, hub)
        yield settlement
        settlement.close()


@pytest.fixture
def victim(settlement: Settlement) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of the user's that has the token and takes no care of it."""
    with settlement.careless() as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        yield victim
        victim.kill()


@pytest.mark.parametrize("attack", ["environ", "mem", "ptrace"])
def test_the_attack_works_on_a_program_that_takes_no_care(
    settlement: Settlement, victim: "subprocess.Popen[bytes]", attack: str
) -> None:
    assert judged(settlement.attack(attack, victim.pid)) == "the token"


def test_such_a_program_leaves_its_memory_behind_when_it_is_made_to_crash(
    settlement: Settlement, victim: "subprocess.Popen[bytes]"
) -> None:
    assert leaves_its_memory(settlement, victim)


def test_the_table_has_every_attack() -> None:
    assert tuple(table()) == ATTACKS


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gets_what_the_readme_says(settlement: Settlement, attack: str) -> None:
    assert OUTCOMES[attack](settlement) == table()[attack][settlement.mode]


def test_doctor_measures_the_same(settlement: Settlement) -> None:
    report = settlement.doctor()
    assert report["mode"] == settlement.mode
    measured = {row["attack"]: row["got"] for row in report["isolation"]}
    assert measured == {attack: cells[settlement.mode] for attack, cells in table().items()}


@pytest.mark.parametrize("settlement", ["sealed", "sealed-keyring"], indirect=True)
def test_a_key_that_the_kernel_keeps_is_there_for_every_program_and_doctor_says_so(settlement: Settlement) -> None:
    """Which is why it is kept only when asked for, and gone with `lock`."""
    settlement.must("unlock", "--keep", "5m", "--passphrase-fd", "0", stdin=PASSPHRASE)
    assert settlement.doctor()["isolation"][0]["got"] == "the token"
    settlement.must("lock")
    settlement.must("unlock", "--passphrase-fd", "0", stdin=PASSPHRASE)
    assert settlement.doctor()["isolation"][0]["got"] == "ciphertext"


def keyring(settlement: Settlement) -> str:
    found = settlement.attack("keyring", settlement.state)
    return "the token" if leaks(found, CANARY) else "ciphertext" if found.strip() else "nothing"


def of_process(name: str) -> Callable[[Settlement], str]:
    def outcome(settlement: Settlement) -> str:
        found = settlement.attack(name, settlement.daemon.pid)
        settlement.must("status")
        return judged(found)

    return outcome


def judged(found: bytes) -> str:
    return "the token" if leaks(found, CANARY) else "something" if found.strip() else "nothing"


def core(settlement: Settlement) -> str:
    """The daemon begins with no limit, and the attacker crashes it."""
    settlement.again(preexec_fn=any_size)
    left = leaves_its_memory(settlement, settlement.daemon)
    settlement.again()
    return "the token" if left else "nothing"


def leaves_its_memory(settlement: Settlement, process: "subprocess.Popen[Any]") -> bool:
    """Whether it wrote a core file (or handed it to whoever collects them) when the attacker made it crash."""
    if not settlement.attack("core", process.pid).strip():
        assert process.poll() is None
        return False
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGSEGV
    return os.WCOREDUMP(status)


def socket(settlement: Settlement) -> str:
    """A credential is one that works."""
    found = settlement.attack("ask", settlement.socket)
    if leaks(found, CANARY):
        return "the token"
    minted = json.loads(found.splitlines()[0])
    if "credential" not in minted:
        return "nothing"
    works = settlement.attack("request", minted["endpoint"], minted["credential"])
    assert b"200 OK" in works
    assert not leaks(works, CANARY)
    settlement.must("revoke", minted["id"])
    return "a credential"


def config(settlement: Settlement) -> str:
    """Before the user does anything unusual, and once they log in again."""
    before = (settlement.config / "config.toml").read_text()
    with thief() as (address, taken):
        settlement.attack("config", settlement.config, address)
        settlement.again()
        settlement.cli("exec", "--scope", "read", "--", "true")
        minted = json.loads(settlement.cli("mint", "--json", "--scope", "read:me/*").stdout or "{}")
        if "credential" in minted:
            settlement.attack("request", minted["endpoint"], minted["credential"])
        at_once = leaks(b"".join(taken), CANARY)
        settlement.cli("login", "--token-stdin", stdin=CANARY)
        at_login = leaks(b"".join(taken), CANARY)
    settlement.replaced(before)
    settlement.again()
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


def path(settlement: Settlement) -> str:
    """The user goes on typing what they always type."""
    settlement.attack("path", settlement.place, settlement.loot)
    try:
        settlement.types("status")
        if leaks(settlement.kept(), CANARY):
            return "the token"
        settlement.types("unlock", "--passphrase-fd", "0", stdin=PASSPHRASE)
        assert PASSPHRASE.encode() in settlement.kept()
        if leaks(settlement.attack("unseal", settlement.vault, settlement.state, PASSPHRASE), CANARY):
            return "the token, once the passphrase is typed"
        settlement.types("login", "--token-stdin", stdin=CANARY)
        return "the token, if it is typed again" if leaks(settlement.kept(), CANARY) else "nothing"
    finally:
        settlement.attack("pick_up", settlement.place / "hf-proxy")


OUTCOMES: dict[str, Callable[[Settlement], str]] = {
    "keyring": keyring,
    "environ": of_process("environ"),
    "mem": of_process("mem"),
    "ptrace": of_process("ptrace"),
    "core": core,
    "socket": socket,
    "config": config,
    "path": path,
}
