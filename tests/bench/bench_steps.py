"""What a small request costs the daemon, step by step: microseconds of processor time, in build/steps.md.

The real daemon with counters in it (`counted_daemon.py`), and one without, to see that nothing is made up by counting.
"""

import os
import signal
import statistics
import sys
import time
from json import loads
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "bench")]

import needs  # noqa: E402
from bench_proxy import ROUNDS, TODAY, Ours, wrk  # noqa: E402
from daemon_fixture import PYTHON, DaemonFixture  # noqa: E402
from rig import SMALL, Rig  # noqa: E402

CONNECTIONS = 16
TICK = os.sysconf("SC_CLK_TCK")
# The work of each step, for docs/guide/performance.md.
MEANING = {
    "parse": "parsing the request head",
    "classify": "matching the route and deriving its needs",
    "authorize": "from the connection and the credential to the decision; the sequence of all steps",
    "journal": "both entries, and the thread that writes them",
    "upstream": "building and sending the request, parsing the reply",
    "rewrite": "rewriting the reply's headers, inspecting its body, sending it to the client",
    "rest": "the event loop itself: sockets, system calls, TLS",
}
HEADINGS = "| step | µs a request | min … max | work |\n|---|---|---|---|\n"


def measured(counted: Ours, plain: Ours, file: Path) -> tuple[dict[str, float], float]:
    """One round: microseconds a request by step, and of all of it without counters."""
    os.kill(counted.pid, signal.SIGUSR1)
    wrk(counted.url + SMALL, CONNECTIONS, counted.credential)
    os.kill(counted.pid, signal.SIGUSR2)
    said = loads(_written(file))
    if said["never"]:
        sys.exit(f"nothing calls {', '.join(said['never'])}; see STEPS in tests/bench/counted_daemon.py")
    before, start = _processor(plain.pid), time.perf_counter()
    rate = wrk(plain.url + SMALL, CONNECTIONS, plain.credential).rate
    requests = rate * (time.perf_counter() - start)
    alone = (_processor(plain.pid) - before) * 1e6 / requests
    print(f"counting took {said['counting'] / said['requests']:.1f} µs a request, taken off")
    return {step: us / said["requests"] for step, us in said["steps"].items()}, alone


def _written(file: Path) -> str:
    deadline = time.monotonic() + 10
    while not file.exists():
        if time.monotonic() > deadline:
            sys.exit("the counted daemon does not tell what it counted; see tests/bench/counted_daemon.py")
        time.sleep(0.05)
    text = file.read_text()
    file.unlink()
    return text


def _processor(pid: int) -> float:
    """Seconds of processor time, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def table(rounds: list[tuple[dict[str, float], float]]) -> str:
    """In Markdown."""
    columns = {step: [steps[step] for steps, _ in rounds] for step in MEANING}
    lines = [_line(step, values, MEANING[step]) for step, values in columns.items()]
    whole = [sum(steps.values()) for steps, _ in rounds]
    lines.append(_line("all", whole, f"{_median([alone for _, alone in rounds])} µs without counters; {TODAY}"))
    return HEADINGS + "\n".join(lines) + "\n"


def _line(step: str, values: list[float], meaning: str) -> str:
    return f"| {step} | {_median(values)} | {min(values):.1f} … {max(values):.1f} | {meaning} |"


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.1f}"


def main() -> None:
    """Measure in turn, several rounds."""
    needs.check()
    with Rig() as rig:
        file = rig.folder / "counted.json"
        counter = [PYTHON, "-I", str(ROOT / "tests/bench/counted_daemon.py"), str(file)]
        counted, plain = Ours(rig.daemon("counted", before=counter)), Ours(rig.daemon("plain"))
        for ours in (counted, plain):
            wrk(ours.url + SMALL, CONNECTIONS, ours.credential, seconds=1)
        told = table([measured(counted, plain, file) for _ in range(ROUNDS)])
    DaemonFixture.built.clear()
    print(told)
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "steps.md").write_text(told)


if __name__ == "__main__":
    main()
