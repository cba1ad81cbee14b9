"""How fast a source tree is scanned: at least 200 MB/s on one core.

    python tests/bench/bench_scan.py [TREE]

Without a TREE one is made: 4,000 files of 1 to 100 KB of program text that names `hf_` things often. The same files are read in the
same way without looking at them, in turn with the scans; both are CPU time, so that other work on the machine counts for
little. Exits 1 below the bar.
"""

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hfproxy.scan.globs import Globs
from hfproxy.scan.walk import OPEN_FLAGS, Walk

FILES, TURNS, BAR_MB = 4000, 7, 200
WORDS = (
    "def return import from self config model torch hf_hub_download hf_config hf_model_id hf_token if not None None:"
    " assert state_dict = ( ) [ ] { } , . # the of and to a in is that for loss.backward() range(len(x))"
).split()


def plant(root: Path) -> None:
    """A tree of program text."""
    chance = random.Random(4)
    line = [" ".join(chance.choices(WORDS, k=12)) for _ in range(500)]
    for number in range(FILES):
        folder = root / f"p{number % 40}" / f"q{number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        size = int(min(100_000, chance.lognormvariate(9.3, 0.9)) + 1000)
        text = "\n".join(chance.choices(line, k=size // 55))
        (folder / f"m{number}.py").write_text(text)


def scan(root: str) -> int:
    """Bytes that were looked into."""
    walk = Walk(Globs([]))
    walk.scan(root)
    return walk.seen.bytes


def read(root: str) -> int:
    """The same files, only read."""
    total = 0
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in files:
            try:
                fd = os.open(f"{folder}/{name}", OPEN_FLAGS)
            except OSError:
                continue
            total += len(os.read(fd, os.fstat(fd).st_size + 1))
            os.close(fd)
    return total


SKIPPED = {"node_modules", "__pycache__", ".git", "site-packages", ".cache"}


def taken(what: Callable[[str], int], root: str) -> tuple[float, float]:
    """Megabytes a second of CPU, and of wall-clock time."""
    wall, cpu = time.perf_counter(), time.process_time()
    megabytes = what(root) / 1e6
    return megabytes / (time.process_time() - cpu), megabytes / (time.perf_counter() - wall)


def measure(root: str) -> float:
    """Print both, and return how many MB/s the scan makes of a core."""
    scan(root), read(root)  # into the page cache
    turns = [(taken(read, root), taken(scan, root)) for _ in range(TURNS)]
    reading, scanning = (statistics.median(turn[column][0] for turn in turns) for column in (0, 1))
    wall = statistics.median(turn[1][1] for turn in turns)
    print(
        f"{scan(root) / 1e6:.0f} MB: scanned at {scanning:.0f} MB/s of a core ({wall:.0f} by the clock), read at {reading:.0f}"
    )
    print(f"ratio: {reading / scanning:.2f} times as long as only reading (bar: {BAR_MB} MB/s)")
    return scanning


def main() -> int:
    """Returns 0 when the bar is held."""
    if sys.argv[1:]:
        return int(measure(sys.argv[1]) < BAR_MB)
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder))
        return int(measure(folder) < BAR_MB)


if __name__ == "__main__":
    sys.exit(main())
