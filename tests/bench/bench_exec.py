"""What `hf-proxy exec -- true` costs, as a multiple of a bare start of the same interpreter: at most 3.0.

    python tests/bench/bench_exec.py --fake    against a scripted control socket: the command line's own cost
    python tests/bench/bench_exec.py           against the daemon of HFPROXY_RUNTIME_DIR (or XDG_RUNTIME_DIR)

Both are run in turn, so that what disturbs one disturbs the other, and the medians of 30 are compared.
Exits 1 above the bar.
"""

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = 30
BAR = 3.0


@contextmanager
def scripted() -> Iterator[dict[str, str]]:
    """A scripted daemon; gives the variables that lead to it."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    from scripted_daemon import MINTED, ScriptedDaemon  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        daemon = ScriptedDaemon(Path(directory))
        daemon.answers["mint"] = MINTED
        yield {"HFPROXY_RUNTIME_DIR": directory}
        daemon.close()


def program() -> list[str]:
    """The installed script beside this interpreter, else the package in this tree."""
    script = shutil.which("hf-proxy", path=os.path.dirname(sys.executable))
    return [script] if script else [sys.executable, "-m", "hfproxy"]


def measure(commands: dict[str, list[str]], environment: dict[str, str]) -> dict[str, list[float]]:
    """Milliseconds of each command, run in turn. The first round only fills caches."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment, check=True)
            taken[name].append(1000 * (time.perf_counter() - start))
    return {name: times[1:] for name, times in taken.items()}


def compare(more: dict[str, str]) -> float:
    """Print the medians; returns the ratio."""
    environment = {**os.environ, **more}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    exec_true = [*program(), "exec", "--", "true"]
    if exec_true[0] == sys.executable:
        environment["PYTHONPATH"] = str(ROOT)
    compileall.compile_dir(str(ROOT / "hfproxy"), quiet=1)
    taken = measure({"bare": [sys.executable, "-I", "-c", "pass"], "exec": exec_true}, environment)
    for name, times in taken.items():
        print(f"{name}: median {statistics.median(times):.1f} ms, least {min(times):.1f}, most {max(times):.1f}")
    ratio = statistics.median(taken["exec"]) / statistics.median(taken["bare"])
    print(f"ratio: {ratio:.2f} (bar {BAR}) with {exec_true[0]}")
    return ratio


def main() -> int:
    """Returns 0 when the bar is held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fake", action="store_true", help="against a scripted control socket")
    if not parser.parse_args().fake:
        return int(compare({}) > BAR)
    with scripted() as variables:
        return int(compare(variables) > BAR)


if __name__ == "__main__":
    sys.exit(main())
