"""What the data plane costs, side by side with nginx and mitmproxy, in ratios of one run.

    python tests/bench/bench_proxy.py                all rows, and the table and the plot in build/
    python tests/bench/bench_proxy.py small bulk     some of them

Each row measures its contestants in turn, several rounds, and compares round with round: what disturbs one disturbs the
others. Policy and journal are on. Exits 1 where a row does not reach what it is to reach.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "bench")]

import figures  # noqa: E402
import needs  # noqa: E402
from figures import Figure  # noqa: E402
from daemon_fixture import DaemonFixture  # noqa: E402
from rig import BIG, COMMIT, GIB, SLOW, SLOW_BYTES, SMALL, Rig  # noqa: E402

ROUNDS = 5
SECONDS = 4
STREAMS = 1000
# Starts of a program that are timed together: one alone is too short.
FEW = 10
TODAY = datetime.now(UTC).date().isoformat()


def at_least(row: str, name: str, values: list[float], reach: float) -> Figure:
    return Figure(row, name, values, reach, at_least=True, date=TODAY)


def at_most(row: str, name: str, values: list[float], reach: float) -> Figure:
    return Figure(row, name, values, reach, at_least=False, date=TODAY)


@dataclass(frozen=True)
class Load:
    """What wrk says: requests a second, and milliseconds."""

    rate: float
    p50: float
    p99: float


def wrk(url: str, connections: int, credential: str | None = None, seconds: int = SECONDS) -> Load:
    """Ask for one address as fast as it goes, over some connections."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-H", f"Authorization: Bearer {credential}"] if credential else []
    said = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    percent = {number: _milliseconds(taken) for number, taken in re.findall(r"(\d+)%\s+([\d.]+\w+)", said)}
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert rate is not None, said
    return Load(float(rate[1]), percent["50"], percent["99"])


def warm(*asked: tuple[str, int, str | None]) -> None:
    """Before the first round everybody has open connections and full caches: address, connections, credential."""
    for url, connections, credential in asked:
        wrk(url, connections, credential, seconds=1)


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def transfer(url: str, *options: str) -> float:
    """Seconds that curl takes."""
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{time_total}", *options, url]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


class Ours:
    """The daemon under measurement."""

    def __init__(self, daemon: DaemonFixture) -> None:
        minted = daemon.mint("--scope", "write:me/*", "--ttl", "12h")
        assert daemon.process is not None
        self.daemon, self.pid = daemon, daemon.process.pid
        self.url, self.credential = minted["endpoint"], minted["credential"]
        self.bearer = ("-H", f"Authorization: Bearer {self.credential}")

    def memory(self) -> float:
        """Its resident set in MiB."""
        return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[0]) / 1024

    def most_memory(self) -> float:
        """The most it ever was."""
        return int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[0]) / 1024


def small(rig: Rig) -> Iterator[Figure]:
    """Small replies over 16 connections."""
    ours, nginx, mitm = Ours(rig.daemon()), f"http://127.0.0.1:{rig.nginx}", f"http://127.0.0.1:{rig.mitmproxy}"
    bare = f"http://127.0.0.1:{rig.bare}"
    warm((ours.url + SMALL, 16, ours.credential), *((url + SMALL, 16, None) for url in (nginx, mitm, bare)))
    rounds = [
        (wrk(ours.url + SMALL, 16, ours.credential).rate, *(wrk(url + SMALL, 16).rate for url in (nginx, mitm, bare)))
        for _ in range(ROUNDS)
    ]
    print("small: requests a second of hf-proxy, nginx, mitmproxy, bare:", [tuple(map(round, one)) for one in rounds])
    yield at_least("small", "requests a second, × mitmproxy", [us / mitm for us, _, mitm, _ in rounds], 10)
    yield at_least("small", "requests a second, × nginx", [us / nginx for us, nginx, _, _ in rounds], 0.5)


def latency(rig: Rig) -> Iterator[Figure]:
    """What each adds to a request over one connection."""
    ours, nginx, direct = Ours(rig.daemon()), f"http://127.0.0.1:{rig.nginx}", f"https://localhost:{rig.upstream}"
    bare = f"http://127.0.0.1:{rig.bare}"
    warm((ours.url + SMALL, 1, ours.credential), *((url + SMALL, 1, None) for url in (nginx, direct, bare)))
    rounds = [
        (wrk(ours.url + SMALL, 1, ours.credential), *(wrk(url + SMALL, 1) for url in (nginx, direct, bare)))
        for _ in range(ROUNDS)
    ]
    print(
        "latency: p50, p99 in ms of hf-proxy, nginx, direct, bare:", [[(o.p50, o.p99) for o in one] for one in rounds]
    )
    p50 = [(us.p50 - it.p50) / (nginx.p50 - it.p50) for us, nginx, it, _ in rounds]
    p99 = [(us.p99 - it.p99) / max(nginx.p99 - it.p99, 0.001) for us, nginx, it, _ in rounds]
    yield at_most("latency", "added at the median, × nginx's", p50, 2.5)
    yield at_most("latency", "added at p99, × nginx's", p99, 3)


def bulk(rig: Rig) -> Iterator[Figure]:
    """One GiB down and up."""
    rig.file(GIB)
    ours, nginx = Ours(rig.daemon()), f"http://127.0.0.1:{rig.nginx}"
    direct = (f"https://localhost:{rig.upstream}{BIG}", "--cacert", str(rig.folder / "ca.pem"))
    upload = ("-X", "POST", "-T", str(rig.folder / "big"), "-H", "Content-Type: application/x-ndjson", "-H", "Expect:")
    transfer(ours.url + SMALL, *ours.bearer)
    transfer(nginx + SMALL)
    before = ours.memory()
    down = [(transfer(nginx + BIG), transfer(ours.url + BIG, *ours.bearer), transfer(*direct)) for _ in range(ROUNDS)]
    up = [
        (transfer(nginx + COMMIT, *upload), transfer(ours.url + COMMIT, *upload, *ours.bearer)) for _ in range(ROUNDS)
    ]
    print("bulk: seconds of nginx, hf-proxy, direct, down:", down, "of nginx, hf-proxy, up:", up)
    yield at_least("bulk", "1 GiB down, × nginx's speed", [theirs / us for theirs, us, _ in down], 1.5)
    yield at_least("bulk", "1 GiB up, × nginx's speed", [theirs / us for theirs, us in up], 1.0)
    yield at_most("bulk", "growth of the daemon, MiB", [ours.most_memory() - before], 16)


def idle(rig: Rig) -> Iterator[Figure]:
    """A daemon that has done something and does nothing now."""
    ours = Ours(rig.daemon())
    wrk(ours.url + SMALL, 16, ours.credential, seconds=1)
    yield at_most("idle", "resident memory, MiB", [ours.memory()], 64)


def streams(rig: Rig) -> Iterator[Figure]:
    """A small request beside a thousand slow downloads."""
    ours = Ours(rig.daemon())
    warm((ours.url + SMALL, 1, ours.credential))
    alone = wrk(ours.url + SMALL, 1, ours.credential)
    port = ours.url.rpartition(":")[2]
    arguments = [port, SLOW, ours.credential, str(STREAMS), str(SLOW_BYTES)]
    command = [sys.executable, str(ROOT / "tests/bench/streams.py"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as many:
        time.sleep(3)  # until all of them run; they take ten seconds
        beside = wrk(ours.url + SMALL, 1, ours.credential)
        whole = int(many.communicate()[0])
    print("streams: p50, p99 in ms alone and beside them:", (alone.p50, alone.p99), (beside.p50, beside.p99))
    yield at_least("streams", f"complete, of {STREAMS}", [whole], STREAMS)
    yield at_most("streams", "p99 of a small request, × alone", [beside.p99 / alone.p99], 5)


def many(rig: Rig) -> Iterator[Figure]:
    """100,000 grants and 1,000,000 lines of journal, against none."""
    empty = Ours(rig.daemon("empty"))
    filled = rig.daemon("filled")
    filled.stop()
    subprocess.run([sys.executable, str(ROOT / "tests/bench/fill.py"), str(filled.state)], check=True)
    starts = [(_start(empty.daemon), _start(filled)) for _ in range(ROUNDS)]
    for daemon in (empty.daemon, filled):
        daemon.login(rig.token)
    one, other = Ours(empty.daemon), Ours(filled)
    warm((one.url + SMALL, 1, one.credential), (other.url + SMALL, 1, other.credential))
    rounds = [
        (wrk(other.url + SMALL, 1, other.credential).p50, wrk(one.url + SMALL, 1, one.credential).p50)
        for _ in range(ROUNDS)
    ]
    print("many: seconds to start, empty and filled:", starts, "ms a request, filled and empty:", rounds)
    yield at_most("many", "a request, × an empty daemon's", [full / none for full, none in rounds], 1.3)
    yield at_most("many", "start, × an empty daemon's", [full / none for none, full in starts], 2)


def _start(daemon: DaemonFixture) -> float:
    """Seconds until a daemon answers."""
    daemon.stop()
    start = time.perf_counter()
    daemon.start()
    return time.perf_counter() - start


def download(rig: Rig) -> Iterator[Figure]:
    """`hf download` of many small files and a large one over a link of 25 ms each way, each time into an empty cache."""
    rig.repository({f"file{number}.json": 2_000 for number in range(200)} | {"model.bin": 500_000_000})
    far = f"https://localhost:{rig.far(25)}"
    daemon = rig.daemon("far", far)
    hf = str(ROOT / ".venvs/hub24/bin/hf")
    _download([hf], rig.folder / "warm", HF_ENDPOINT=far, HF_TOKEN=rig.token, **rig.trust)
    rounds = []
    for number in range(ROUNDS):
        direct = _download([hf], rig.folder / f"direct{number}", HF_ENDPOINT=far, HF_TOKEN=rig.token, **rig.trust)
        exec_ = [*daemon.hfproxy, "exec", "--scope", "read:me/*", "--", hf]
        rounds.append((_download(exec_, rig.folder / f"ours{number}", **daemon.env), direct))
    print("download: seconds of hf-proxy, direct:", rounds)
    yield at_most("download", "hf download, × direct", [us / direct for us, direct in rounds], 0.8)


def _download(command: list[str], home: Path, **more: str) -> float:
    home.mkdir()
    env = {"PATH": os.environ["PATH"], "HF_HUB_DISABLE_TELEMETRY": "1", **more, "HOME": str(home), "HF_HOME": str(home)}
    start = time.perf_counter()
    subprocess.run([*command, "download", "me/small", "--quiet"], env=env, check=True, stdout=subprocess.DEVNULL)
    taken = time.perf_counter() - start
    shutil.rmtree(home)
    return taken


def trivial(rig: Rig) -> Iterator[Figure]:
    """`exec` of a command that does nothing, by a daemon that runs."""
    daemon = rig.daemon()
    _exec(daemon)
    rounds = [(sum(_exec(daemon) for _ in range(FEW)), sum(_bare() for _ in range(FEW))) for _ in range(ROUNDS)]
    print(f"exec: seconds of {FEW} execs, of as many bare interpreters:", rounds)
    yield at_most("exec", "exec -- true, × a bare interpreter", [us / bare for us, bare in rounds], 3)


def _exec(daemon: DaemonFixture) -> float:
    start = time.perf_counter()
    subprocess.run([*daemon.hfproxy, "exec", "--", "true"], env=daemon.env, check=True)
    return time.perf_counter() - start


def cold(rig: Rig) -> Iterator[Figure]:
    """The first `exec` of a trivial command, which starts the daemon by socket activation."""
    daemon = DaemonFixture(
        rig.folder / "cold", f"https://localhost:{rig.upstream}", rig.folder / "ca.pem", vault="sealed-file"
    )
    key = rig.folder / "key"
    key.write_text("a passphrase of the bench\n")
    key.chmod(0o600)
    daemon.configure(f'key_file = "{key}"\n')
    daemon.start()
    daemon.must("unlock")
    daemon.login(rig.token)
    daemon.stop()
    rounds = [(_cold(daemon), _bare()) for _ in range(ROUNDS)]
    print("cold: seconds of the first exec, of a bare interpreter:", rounds)
    yield at_most("cold", "first exec, × a bare interpreter", [us / bare for us, bare in rounds], 40)


def _cold(daemon: DaemonFixture) -> float:
    (daemon.runtime / "control.sock").unlink(missing_ok=True)
    daemon.runtime.mkdir(mode=0o700, exist_ok=True)
    names = ["--fdname=control", "-l", str(daemon.runtime / "control.sock")]
    variables = [f"-E{name}={value}" for name, value in daemon.env.items() if name.startswith(("HFPROXY_", "HOME"))]
    command = ["systemd-socket-activate", *names, *variables, *daemon.hfproxy, "daemon"]
    activator = subprocess.Popen(command, env=daemon.env, stderr=subprocess.DEVNULL)
    while not (daemon.runtime / "control.sock").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    taken = _exec(daemon)
    activator.terminate()
    activator.wait()
    return taken


def _bare() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
    return time.perf_counter() - start


ROWS: dict[str, Callable[[Rig], Iterator[Figure]]] = {
    "small": small,
    "latency": latency,
    "bulk": bulk,
    "idle": idle,
    "streams": streams,
    "many": many,
    "download": download,
    "exec": trivial,
    "cold": cold,
}


def main(names: list[str]) -> int:
    """Returns 0 when every figure is held."""
    needs.check()
    measured: list[Figure] = []
    for name in names or ROWS:
        with Rig() as rig:
            for figure in ROWS[name](rig):
                print(figure, flush=True)
                measured.append(figure)
            DaemonFixture.built.clear()
        # Row by row, so that a row that fails takes nothing from those before it.
        figures.write(figures.merged(figures.read(), measured, ROWS), ROWS)
    return int(not all(figure.held for figure in measured))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
