"""What the data plane costs, side by side with nginx and mitmproxy, in ratios of one run.

    python tests/bench/bench_proxy.py                all rows, and the table and the plot in build/
    python tests/bench/bench_proxy.py small bulk     some of them

Each row measures its contestants in turn, several rounds, and compares round with round: what disturbs one disturbs the
others. Policy and journal are on. Exits 1 where a row does not reach what it is to reach.
"""

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

from house import House  # noqa: E402
from rig import BIG, COMMIT, GIB, SMALL, Rig  # noqa: E402

ROUNDS = 5
SECONDS = 4
MIB = 1 << 20


@dataclass(frozen=True)
class Figure:
    """One ratio over all rounds, and what it is to reach: at least, or at most."""

    row: str
    name: str
    values: tuple[float, ...]
    reach: float
    at_least: bool

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def held(self) -> bool:
        return self.median >= self.reach if self.at_least else self.median <= self.reach

    def __str__(self) -> str:
        sign, verdict = ("≥" if self.at_least else "≤"), ("held" if self.held else "NOT HELD")
        spread = f"{min(self.values):.2f} … {max(self.values):.2f}"
        return f"{self.row:<10} {self.name:<44} {self.median:8.2f}  ({spread})  {sign} {self.reach:g}  {verdict}"


def at_least(row: str, name: str, values: list[float], reach: float) -> Figure:
    return Figure(row, name, tuple(values), reach, at_least=True)


def at_most(row: str, name: str, values: list[float], reach: float) -> Figure:
    return Figure(row, name, tuple(values), reach, at_least=False)


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

    def __init__(self, house: House) -> None:
        minted = house.mint("--scope", "write:me/*", "--ttl", "12h")
        assert house.process is not None
        self.house, self.pid = house, house.process.pid
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
    ours, nginx, mitm = Ours(rig.house()), f"http://127.0.0.1:{rig.nginx}", f"http://127.0.0.1:{rig.mitmproxy}"
    rounds = [
        (wrk(ours.url + SMALL, 16, ours.credential).rate, wrk(nginx + SMALL, 16).rate, wrk(mitm + SMALL, 16).rate)
        for _ in range(ROUNDS)
    ]
    print("small: requests a second of hf-proxy, nginx, mitmproxy:", [tuple(map(round, one)) for one in rounds])
    yield at_least("small", "requests a second, × mitmproxy", [us / it for us, _, it in rounds], 10)
    yield at_least("small", "requests a second, × nginx", [us / it for us, it, _ in rounds], 0.5)


def latency(rig: Rig) -> Iterator[Figure]:
    """What each adds to a request over one connection."""
    ours, nginx, direct = Ours(rig.house()), f"http://127.0.0.1:{rig.nginx}", f"https://localhost:{rig.upstream}"
    rounds = [
        (wrk(ours.url + SMALL, 1, ours.credential), wrk(nginx + SMALL, 1), wrk(direct + SMALL, 1))
        for _ in range(ROUNDS)
    ]
    print("latency: p50, p99 in ms of hf-proxy, nginx, direct:", [[(o.p50, o.p99) for o in one] for one in rounds])
    p50 = [(us.p50 - it.p50) / (nginx.p50 - it.p50) for us, nginx, it in rounds]
    p99 = [(us.p99 - it.p99) / max(nginx.p99 - it.p99, 0.001) for us, nginx, it in rounds]
    yield at_most("latency", "added at the median, × nginx's", p50, 2.5)
    yield at_most("latency", "added at p99, × nginx's", p99, 3)


def bulk(rig: Rig) -> Iterator[Figure]:
    """One GiB down and up."""
    rig.file(GIB)
    ours, nginx = Ours(rig.house()), f"http://127.0.0.1:{rig.nginx}"
    upload = ("-X", "POST", "-T", str(rig.folder / "big"), "-H", "Content-Type: application/x-ndjson", "-H", "Expect:")
    transfer(ours.url + SMALL, *ours.bearer)
    before = ours.memory()
    down = [(transfer(nginx + BIG), transfer(ours.url + BIG, *ours.bearer)) for _ in range(ROUNDS)]
    up = [
        (transfer(nginx + COMMIT, *upload), transfer(ours.url + COMMIT, *upload, *ours.bearer)) for _ in range(ROUNDS)
    ]
    print("bulk: seconds of nginx, hf-proxy, down:", down, "up:", up)
    yield at_least("bulk", "1 GiB down, × nginx's speed", [theirs / us for theirs, us in down], 1.5)
    yield at_least("bulk", "1 GiB up, × nginx's speed", [theirs / us for theirs, us in up], 1.0)
    yield at_most("bulk", "growth of the daemon, MiB", [ours.most_memory() - before], 16)


def idle(rig: Rig) -> Iterator[Figure]:
    """A daemon that has done something and does nothing now."""
    ours = Ours(rig.house())
    wrk(ours.url + SMALL, 16, ours.credential, seconds=1)
    yield at_most("idle", "resident memory, MiB", [ours.memory()], 64)


ROWS: dict[str, Callable[[Rig], Iterator[Figure]]] = {"small": small, "latency": latency, "bulk": bulk, "idle": idle}


def main(names: list[str]) -> int:
    """Returns 0 when every figure is held."""
    figures = []
    for name in names or ROWS:
        with Rig() as rig:
            for figure in ROWS[name](rig):
                print(figure, flush=True)
                figures.append(figure)
            House.built.clear()
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    told = [{"row": f.row, "name": f.name, "values": f.values, "reach": f.reach, "held": f.held} for f in figures]
    (build / "bench.json").write_text(json.dumps({"cores": os.cpu_count(), "figures": told}, indent=1))
    return int(not all(figure.held for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
