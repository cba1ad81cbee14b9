"""The journal of a real daemon: what changes the world is in it first, what cannot be written is not done, and what was
written is known again (docs/threat-model.md#t24)."""

import hashlib
import json
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import vectors
from fakehub import FakeHub, in_thread
from fakehub.record import Record
from daemon_fixture import HFPROXY, DaemonFixture
from real_client import CANARY, seed
from wire_client import Reply, ask, bearer

from hfproxy.core.audit.chain import ChainHead, append_link
from hfproxy.core.hub.strict_json import JSON
from hfproxy.daemon.journal.writer import FULL_BYTES

INFO = "/api/models/me/secret-model"
BRANCH = "/api/models/me/secret-model/branch/b"
EVERYTHING = (
    "read write discuss merge create delete move settings secrets run jobs webhooks collections profile billing org"
).split()


def scopes(words: list[str]) -> list[str]:
    return [word for scope in words for word in ("--scope", scope)]


def at_once(work: Callable[[object], Reply], items: list[object]) -> list[Reply]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, items))


# --- before its effect ---------------------------------------------------------------------------------------------


class Watch:
    """Looks into the journal's file at the moment when a request arrives at the Hub."""

    def __init__(self, daemon: DaemonFixture) -> None:
        self._journal = daemon.state / "journal" / "00000001.jsonl"
        self._one_at_a_time = threading.Lock()
        self.arrived: Counter[tuple[str, str]] = Counter()
        self.too_early: list[str] = []

    def __call__(self, record: Record) -> None:
        with self._one_at_a_time:
            what = (record.method, record.path)
            self.arrived[what] += 1
            entries = map(json.loads, self._journal.read_text().splitlines())
            decided = sum(
                (entry.get("method"), entry.get("target")) == what
                for entry in entries
                if entry["kind"] == "decided" and entry["decision"] != "deny"
            )
            if decided < self.arrived[what]:
                self.too_early.append(f"{record.method} {record.path}")


@pytest.fixture
def echo() -> Iterator[FakeHub]:
    """A Hub that takes whatever comes."""
    with in_thread() as hub:
        seed(hub)
        yield hub


def changes() -> list[vectors.Vector]:
    """Every request of the vectors that changes something and that a scope could allow."""
    found = [vector for vector in vectors.load("routes.jsonl") if "needs" in vector and "encoding" not in vector]
    return [vector for vector in found if not all(need.startswith("read ") for need in vector["needs"])]


def test_what_changes_the_world_is_in_the_journal_when_it_arrives_at_the_hub(echo: FakeHub, tmp_path: Path) -> None:
    daemon = DaemonFixture(tmp_path / "daemon", echo.url, echo.ca_path)
    daemon.start()
    daemon.login(CANARY)
    minted = daemon.mint(*scopes(EVERYTHING))
    echo.world.settings.echo = True
    echo.on_arrival = watch = Watch(daemon)

    def send(vector: vectors.Vector) -> Reply:
        headers = {
            **bearer(minted["credential"]),
            "Content-Type": vector.get("type", JSON),
            **({"X-HF-Bill-To": vector["bill_to"]} if "bill_to" in vector else {}),
        }
        body = vectors.command_list(vector["push"]) if "push" in vector else vectors.body(vector)
        return ask(minted["endpoint"], vector["method"], vector["target"], headers, body)

    replies = at_once(send, changes() * 2)  # type: ignore[arg-type]
    assert watch.too_early == []
    assert watch.arrived.total() == sum(reply.refusal is None for reply in replies) > 300
    assert {method for method, _ in watch.arrived} >= {"POST", "PUT", "DELETE", "PATCH", "GET"}
    daemon.stop()


# --- what cannot be written is not done ------------------------------------------------------------------------------


def requests(daemon: DaemonFixture, minted: dict[str, str]) -> list[Reply]:
    """A read, a write, a read outside of the scope, and one that is refused anyway."""
    asked = [
        ("GET", INFO),
        ("POST", BRANCH),
        ("GET", "/api/models/you/public-model"),
        ("POST", "/api/models/you/x/branch/b"),
    ]
    return [say(minted, method, target) for method, target in asked]


def say(minted: dict[str, str], method: str, target: str) -> Reply:
    headers = {**bearer(minted["credential"]), "Content-Type": JSON}
    return ask(minted["endpoint"], method, target, headers, b"" if method == "GET" else b"{}")


def fill(daemon: DaemonFixture, hub: FakeHub, minted: dict[str, str]) -> None:
    """Write until there is no more room: a last line may still fit into what the file has already."""
    for _ in range(100):
        hub.recorder.clear()
        reply = say(minted, "POST", BRANCH)
        if reply.refusal is not None:
            assert (reply.status, reply.refusal) == (403, "journal")
            assert "hf-proxy daemon" in reply.headers["x-error-message"]
            assert hub.requests == []
            return
    raise AssertionError("there was always room")


def check_that_nothing_is_done(daemon: DaemonFixture, hub: FakeHub, minted: dict[str, str]) -> None:
    fill(daemon, hub, minted)
    for _ in range(2):
        assert [reply.refusal for reply in requests(daemon, minted)] == ["journal"] * 4
    assert hub.requests == []
    mint = daemon.cli("mint")
    assert (mint.returncode, mint.stdout) == (1, "")
    assert "cannot be written" in mint.stderr
    assert daemon.cli("status").returncode == 0
    revoke = daemon.cli("revoke", minted["id"])
    assert (revoke.returncode, revoke.stdout) == (1, "")
    assert "revoked, but that could not be recorded" in revoke.stderr
    assert say(minted, "GET", INFO).refusal == "revoked"


def check_that_it_works_again(daemon: DaemonFixture, hub: FakeHub) -> None:
    minted = daemon.mint(*scopes(["write:me/*"]))
    replies = requests(daemon, minted)
    assert [reply.refusal for reply in replies] == [None, None, None, "scope"]
    assert "compared with the daemon: yes" in daemon.must("audit", "verify")


def test_a_journal_that_may_not_grow_stops_everything_until_it_may(daemon: DaemonFixture, hub: FakeHub) -> None:
    """A limit on the size of files fails as a full disk does, and needs no root."""
    minted = daemon.mint(*scopes(["write:me/*"]))
    room = (daemon.state / "journal" / "00000001.jsonl").stat().st_size + 1000
    assert daemon.process is not None
    subprocess.run(["prlimit", "--pid", str(daemon.process.pid), f"--fsize={room}:{room}"], check=True)
    check_that_nothing_is_done(daemon, hub, minted)
    daemon.stop()
    daemon.start()
    daemon.login(CANARY)
    check_that_it_works_again(daemon, hub)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A directory on a disk of 1 MiB that nobody else sees, and the words that run a command where it is seen."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a disk that can be full")
    place = tmp_path / "disk"
    place.mkdir()
    script = f"mount -t tmpfs -o size=1m,mode=700 none '{place}' && echo there && exec sleep 600"
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    if holder.stdout.readline() != b"there\n":
        holder.wait()
        pytest.skip("needs to be allowed to mount a tmpfs in a mount namespace")
    yield place, ("nsenter", "-t", str(holder.pid), "-m")
    holder.kill()
    holder.wait()
    holder.stdout.close()


@pytest.fixture
def on_a_small_disk(
    hub: FakeHub, tmp_path: Path, small_disk: tuple[Path, tuple[str, ...]]
) -> Callable[..., "subprocess.CompletedProcess[bytes]"]:
    """Run a command where the small disk is."""
    _, enter = small_disk
    return lambda *words: subprocess.run([*enter, *words], capture_output=True, check=False)


def test_a_full_disk_stops_everything_until_there_is_room(
    hub: FakeHub,
    tmp_path: Path,
    small_disk: tuple[Path, tuple[str, ...]],
    on_a_small_disk: Callable[..., "subprocess.CompletedProcess[bytes]"],
) -> None:
    place, enter = small_disk
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    daemon.state = place
    daemon.hfproxy = (*enter, *HFPROXY)
    daemon.start(before=enter)
    daemon.login(CANARY)
    minted = daemon.mint(*scopes(["write:me/*"]))
    full = on_a_small_disk("dd", "if=/dev/zero", f"of={place}/filler", "bs=4k")
    assert b"No space left" in full.stderr
    check_that_nothing_is_done(daemon, hub, minted)
    daemon.stop()
    assert on_a_small_disk("rm", f"{place}/filler").returncode == 0
    daemon.start(before=enter)
    daemon.login(CANARY)
    minted = daemon.mint(*scopes(["write:me/*"]))
    assert [reply.refusal for reply in requests(daemon, minted)] == [None, None, None, "scope"]
    verified = on_a_small_disk("env", *(f"{k}={v}" for k, v in daemon.env.items()), *HFPROXY, "audit", "verify")
    assert b"compared with the daemon: yes" in verified.stdout
    daemon.stop()


def test_a_journal_that_cannot_be_written_to_starts_no_daemon(
    hub: FakeHub,
    tmp_path: Path,
    small_disk: tuple[Path, tuple[str, ...]],
    on_a_small_disk: Callable[..., "subprocess.CompletedProcess[bytes]"],
) -> None:
    place, enter = small_disk
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    daemon.state = place
    daemon.start(before=enter)
    daemon.stop()
    journal = str(place / "journal")
    assert on_a_small_disk("mount", "--bind", "-o", "ro", journal, journal).returncode == 0
    done = on_a_small_disk("env", *(f"{k}={v}" for k, v in daemon.env.items()), *HFPROXY, "daemon")
    assert done.returncode == 1
    assert (
        done.stderr.decode()
        == f"hf-proxy: the journal in {journal} cannot be opened (Read-only file system); see: ls -ld {journal}\n"
    )


# --- what was written is known again -----------------------------------------------------------------------------


class TestSealedVault:
    """A daemon whose vault survives it, so that the journal's key does."""

    @pytest.fixture
    def daemon(self, hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
        daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path, vault="sealed-file")
        daemon.start()
        unlock(daemon)
        daemon.login(CANARY)
        yield daemon
        daemon.stop()

    def test_every_entry_is_vouched_for_while_the_vault_is_open(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint()
        ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"]))
        said = verified(daemon)
        assert said[0] == f"authenticity: {len(daemon.audit()) - 2} of {len(daemon.audit())} entries"
        assert said[1] == "without a MAC: 2 (entries 1-2)"  # the first unlock and login: the key came with the account
        daemon.must("lock")
        assert verified(daemon) == ["authenticity: not checked", "without a MAC: 2 (entries 1-2)"]

    def test_a_restart_and_a_lock_leave_entries_without_a_mac_and_the_rest_fits(self, daemon: DaemonFixture) -> None:
        daemon.mint()
        daemon.must("lock")
        daemon.must("revoke", "--all")
        daemon.stop()
        daemon.start()
        unlock(daemon)
        daemon.mint()
        kinds = [entry["kind"] for entry in daemon.audit()]
        assert kinds == ["unlock", "login", "minted", "lock", "revoked", "started", "unlock", "minted"]
        assert verified(daemon) == ["authenticity: 4 of 8 entries", "without a MAC: 4 (entries 1-2, 5-6)"]

    def test_a_lockdown_is_no_forgery(self, daemon: DaemonFixture) -> None:
        daemon.mint()
        daemon.must("lockdown", "--yes")
        assert verified(daemon)[0] == "authenticity: not checked"
        unlock(daemon)
        daemon.mint()
        kinds = [entry["kind"] for entry in daemon.audit()]
        assert kinds == ["unlock", "login", "minted", "lock", "revoked", "lockdown", "unlock", "minted"]
        assert verified(daemon) == ["authenticity: 4 of 8 entries", "without a MAC: 4 (entries 1-2, 5-6)"]

    def test_a_made_up_past_is_found(self, daemon: DaemonFixture) -> None:
        daemon.mint("--label", "mine")
        daemon.stop()
        journal = daemon.state / "journal" / "00000001.jsonl"
        kept = journal.read_bytes()
        for take_off in (False, True):
            journal.write_bytes(made_up(kept, take_off=take_off))
            daemon.start()
            unlock(daemon)
            failed = daemon.cli("audit", "verify")
            said = "entry 3 is wrong: its MAC is false"
            if take_off:  # an entry of that daemon follows, with a MAC that fits: what is before it has none at all
                assert failed.returncode == 0
                assert "authenticity: 1 of 5 entries\nwithout a MAC: 4 (entries 1-4)\n" in failed.stdout
            else:
                assert (failed.returncode, said in failed.stderr) == (1, True)
            daemon.stop()

    def test_a_locked_daemon_has_no_key_to_ask_about(self, daemon: DaemonFixture) -> None:
        daemon.must("lock")
        assert verified(daemon)[0] == "authenticity: not checked"


def unlock(daemon: DaemonFixture) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a passphrase")
    os.close(writing)
    done = subprocess.run(
        [*daemon.hfproxy, "unlock", "--passphrase-fd", str(reading)],
        env=daemon.env,
        pass_fds=(reading,),
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(reading)
    assert done.returncode == 0, done.stderr


def verified(daemon: DaemonFixture) -> list[str]:
    """What `audit verify` says from the authenticity on."""
    lines = daemon.must("audit", "verify").splitlines()
    return lines[next(place for place, line in enumerate(lines) if line.startswith("authenticity")) :]


def made_up(journal: bytes, *, take_off: bool) -> bytes:
    """What somebody without the key makes of it: another past, with a chain that fits."""
    head, lines = ChainHead(), []
    for line in journal.splitlines():
        event = {name: value for name, value in json.loads(line).items() if name not in {"seq", "prev", "hash"}}
        mac = re.search(rb',"mac":"[^"]*"', line)
        event.pop("mac", None)
        if event["kind"] == "minted":
            event["scopes"] = ["write"]
        sealed, following = append_link(event, head)
        if mac and not take_off:
            sealed, following = resealed(sealed.replace(b',"hash"', mac[0] + b',"hash"'), head.seq + 1)
        lines.append(sealed)
        head = following
    return b"".join(lines)


def resealed(line: bytes, seq: int) -> tuple[bytes, ChainHead]:
    body = line.rpartition(b',"hash":')[0]
    digest = hashlib.sha256(body).hexdigest()
    return body + f',"hash":"{digest}"}}\n'.encode(), ChainHead(seq, digest)


# --- a long one -----------------------------------------------------------------------------------------------------

MANY = 200_000


@pytest.fixture
def long_journal_daemon(hub: FakeHub, tmp_path: Path) -> Iterator[DaemonFixture]:
    """A daemon with a year behind it, in two files of which the newest is full."""
    daemon = DaemonFixture(tmp_path / "daemon", hub.url, hub.ca_path)
    (daemon.state / "journal").mkdir(parents=True, mode=0o700)
    daemon.state.chmod(0o700)
    head, said = (
        ChainHead(),
        {"kind": "completed", "grant": "g", "target": "/api/models/me/" + "x" * 430, "status": 200},
    )
    for number in (1, 2):
        with (daemon.state / "journal" / f"0000000{number}.jsonl").open("wb") as file:
            for _ in range(MANY // 2):
                line, head = append_link({"at": 1_700_000_000 + head.seq, **said}, head)
                file.write(line)
            assert file.tell() > FULL_BYTES
    daemon.start()
    daemon.login(CANARY)
    yield daemon
    daemon.stop()


def resident_peak_kib(daemon: DaemonFixture) -> int:
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])  # type: ignore[index]


def test_a_long_journal_is_read_in_turns_and_from_file_to_file(long_journal_daemon: DaemonFixture) -> None:
    minted = long_journal_daemon.mint(*scopes(["read:me/*"]))
    assert sorted(path.name for path in (long_journal_daemon.state / "journal").iterdir())[2:] == ["00000003.jsonl"]
    before = resident_peak_kib(long_journal_daemon)
    command = [*HFPROXY, "audit", "--json", "--grant", minted["id"]]
    with subprocess.Popen(command, env=long_journal_daemon.env, stdout=subprocess.PIPE, text=True) as reading:
        replies = [ask(minted["endpoint"], "GET", INFO, bearer(minted["credential"])) for _ in range(5)]
        assert reading.poll() is None, "the journal was too short to be read meanwhile"
        assert [reply.status for reply in replies] == [200] * 5
        assert reading.stdout is not None
        assert [json.loads(line)["kind"] for line in reading.stdout][:1] == ["minted"]
    assert reading.returncode == 0
    assert [entry["kind"] for entry in long_journal_daemon.audit("--since", "1h")][:3] == ["started", "login", "minted"]
    assert {
        entry["action"] for entry in long_journal_daemon.audit("--action", "read", "--repo", "me/secret-model")
    } == {"read"}
    assert long_journal_daemon.audit("--denied") == []
    assert long_journal_daemon.must("audit", "--repo", "nobody/nothing") == ""
    assert resident_peak_kib(long_journal_daemon) - before < 20_000
    assert f"without a MAC: {MANY + 2} (entries 1-{MANY + 2})" in long_journal_daemon.must("audit", "verify")
