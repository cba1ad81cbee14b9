"""Changes the code that decides, one place at a time, and counts the changes that the unit tests notice.

    PYTHONPATH=tests python -m toolchain.mutants core/hub daemon/grants --sample 60 --seed 7

A mutant is a module with one edit. It runs in a copy of the repository with an interpreter environment of its own, so that
processes started with `-I` import the mutant as well: first against the unit tests of its module, then against those of its
package. A failing test or a timeout kills it. The sample is stratified: it takes mutants of each module and operator in turn.

`mutants.toml` is the closed list of equivalent mutants; `test_mutants.py` fails for an entry that fits no mutant.
"""

import argparse
import contextlib
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from importlib.util import cache_from_source
from pathlib import Path

from toolchain.mutations import Mutant, mutants

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_suffix(".toml")
CORE = ["core/audit", "core/git", "core/http", "core/hub", "core/policy"]
DAEMON = [f"daemon/{name}" for name in ("accounts", "control", "grants", "journal", "proxy", "tokens", "upstream")]
REACH = {"core": 0.95, "daemon": 0.85}  # the share of the mutants that are not equivalent
MIN_TIMEOUT_S = 20.0
TIMEOUT_FACTOR = 5

# What is run last for a package: real daemons decide there what its unit tests do not.
MORE_TESTS = {
    "daemon/accounts": ("tests/integration/control",),
    "daemon/control": ("tests/integration/control",),
    "daemon/proxy": ("tests/e2e/attacks/test_hostile_hub.py", "tests/e2e/client_quirks/test_refusals.py"),
    "daemon/tokens": ("tests/integration/control",),
    "daemon/upstream": ("tests/e2e/attacks/test_hostile_hub.py",),
}


class Outcome(Enum):
    """The result of a mutant's run."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"


def draw(candidates: list[Mutant], sources: dict[str, bytes], count: int, seed: str) -> list[Mutant]:
    """A sample of valid mutants: a random one of each module and operator in turn."""
    chance = random.Random(seed)
    strata = defaultdict(list)
    for mutant in candidates:
        strata[mutant.path, mutant.operator].append(mutant)
    for members in strata.values():
        chance.shuffle(members)
    sample: list[Mutant] = []
    while len(sample) < count and (strata := {key: members for key, members in strata.items() if members}):
        for key in chance.sample(sorted(strata), len(strata)):
            mutant = strata[key].pop()
            if len(sample) < count and mutant.is_valid(sources[mutant.path]):
                sample.append(mutant)
    return sample


Entry = tuple[str, str, str, str]


def entry(mutant: Mutant, source: bytes) -> Entry:
    """The key of a mutant in the list of equivalent ones: place, operator, the lines before and after."""
    return f"{mutant.path}:{mutant.function}", mutant.operator, *mutant.lines(source)


def equivalent(path: Path = EQUIVALENT) -> dict[Entry, str]:
    """The list of equivalent mutants, each with its reason."""
    rows = tomllib.loads(path.read_text())["equivalent"] if path.exists() else []
    return {(row["where"], row["operator"], row["before"], row["after"]): row["reason"] for row in rows}


class Workspace:
    """A copy of the repository and an environment that imports it, also in processes started with `-I`.

    The environment takes every other package from the one that runs this script.
    """

    def __init__(self, root: Path, folder: Path, package: str, depth: int | None = None) -> None:
        """`depth`: how many of a module's stages run; None: all."""
        self.root, self.package, self.folder, self.depth = root, package, folder, depth
        self.temporary, self.output = folder / "tmp", folder / "pytest.log"
        self.baselines: dict[str, float] = {}
        for name in (package, "tests", "systemd", "man", "docs"):
            if (root / name).exists():
                shutil.copytree(
                    root / name,
                    folder / name,
                    ignore=shutil.ignore_patterns("node_modules", "__pycache__"),
                    symlinks=True,
                )
        for file in (*root.glob("*.toml"), root / "Makefile", root / "README.md"):
            if file.exists():
                shutil.copy(file, folder / file.name)
        venv.create(folder / ".venv", symlinks=True)
        library = next((folder / ".venv" / "lib").glob("python*")) / "site-packages"
        (library / "mutant.pth").write_text(
            f"{folder}\n" + "".join(f"{line}\n" for line in sys.path if "site-packages" in line)
        )
        self.python = folder / ".venv" / "bin" / "python"
        command = folder / ".venv" / "bin" / "hf-proxy"
        command.write_text(f"#!{self.python}\nimport sys\nfrom {package}.__main__ import main\nsys.exit(main())\n")
        command.chmod(0o755)

    def stages(self, mutant: Mutant) -> list[str]:
        """The tests to run, the narrowest first; those that are not there are left out."""
        folder = f"tests/unit/{mutant.package}".rstrip("/")
        own = f"{folder}/test_{Path(mutant.path).name}"
        stages = [own, f"{folder} --ignore={own}", *MORE_TESTS.get(mutant.package, ())]
        return [stage for stage in stages[: self.depth] if (self.folder / stage.split()[0]).exists()]

    def baseline(self, tests: str) -> float:
        """The seconds that a file or folder of tests takes without a mutant.

        Raises:
            SystemExit: it fails without one, so that it would kill every mutant.
        """
        if tests not in self.baselines:
            began = time.monotonic()
            if (status := self._pytest(tests, 1800, write_bytecode=True)) not in (0, 5):
                sys.exit(f"{self.output.read_text()}\n{tests} fails without a mutant ({status})")
            self.baselines[tests] = time.monotonic() - began
        return self.baselines[tests]

    def kills(self, mutant: Mutant) -> bool:
        """Whether a test fails with the mutant in place of its module, or does not end."""
        stages = self.stages(mutant)
        limits = [max(MIN_TIMEOUT_S, TIMEOUT_FACTOR * self.baseline(stage.split()[0])) for stage in stages]
        module = self.folder / self.package / mutant.path
        original = module.read_bytes()
        # Byte code is chosen by size and second of its source: that of the original could stand for the mutant.
        Path(cache_from_source(str(module))).unlink(missing_ok=True)
        module.write_bytes(mutant.apply(original))
        try:
            return any(self._pytest(stage, limit) not in (0, 5) for stage, limit in zip(stages, limits, strict=True))
        finally:
            module.write_bytes(original)
            # Hypothesis would try the examples of one mutant first on the next.
            shutil.rmtree(self.folder / ".hypothesis" / "examples", ignore_errors=True)

    def _pytest(self, stage: str, timeout_s: float, *, write_bytecode: bool = False) -> int | None:
        """Pytest's exit status; None after the timeout. Nothing that it started outlives it."""
        # A short basetemp: the path of a Unix socket has 107 characters at most (unix(7)).
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", f"--basetemp={self.temporary / 'p'}"]
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                [self.python, "-m", "pytest", *options, *stage.split()],
                cwd=self.folder,
                env=self._environment(write_bytecode=write_bytecode),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(self.temporary, ignore_errors=True)

    def _environment(self, *, write_bytecode: bool) -> dict[str, str]:
        self.temporary.mkdir(exist_ok=True)
        return {name: value for name, value in os.environ.items() if name != "CI"} | {  # there a skip is a failure
            "HFPROXY_CLIENTS": os.environ.get("HFPROXY_CLIENTS", str(self.root / ".venvs")),
            "PYTHONDONTWRITEBYTECODE": "" if write_bytecode else "1",
            "TMPDIR": str(self.temporary),
        }


def run(
    sample: list[Mutant], sources: dict[str, bytes], known: dict[Entry, str], jobs: int, depth: int | None = None
) -> dict[Mutant, Outcome]:
    """Run the mutants, `jobs` at a time, each job in a workspace of its own."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        for number in range(jobs):
            free.put(Workspace(ROOT, Path(temporary) / str(number), "hfproxy", depth))

        def outcome(mutant: Mutant) -> Outcome:
            if entry(mutant, sources[mutant.path]) in known:
                return Outcome.EQUIVALENT
            workspace = free.get()
            try:
                killed = workspace.kills(mutant)
            finally:
                free.put(workspace)
            print("." if killed else _described(mutant, sources[mutant.path]), end="", flush=True)
            return Outcome.KILLED if killed else Outcome.SURVIVED

        pool = ThreadPoolExecutor(jobs)
        try:
            outcomes = dict(zip(sample, pool.map(outcome, sample), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupt ends the run after the mutants under way
        print()
        return outcomes


def _described(mutant: Mutant, source: bytes) -> str:
    """A survivor: its diff, and the entry for the list of equivalent mutants, should it be one."""
    where, operator, before, after = (repr(text) for text in entry(mutant, source))
    return (
        f"\nSURVIVED\n{mutant.diff(source)}\n"
        f"[[equivalent]]\nwhere = {where}\noperator = {operator}\nbefore = {before}\nafter = {after}\n"
    )


def report(outcomes: dict[Mutant, Outcome]) -> bool:
    """Print the figures of each package; return whether `core` and `daemon` reach their shares."""
    counts: dict[str, Counter[Outcome]] = defaultdict(Counter)
    for mutant, outcome in outcomes.items():
        for name in (mutant.package, mutant.package.partition("/")[0]):
            counts[name][outcome] += 1
    print(f"{'':20}{'sample':>8}{'killed':>8}{'survived':>10}{'equivalent':>12}{'reach':>9}")
    shares = {}
    for name, count in sorted(counts.items()):
        decided = count[Outcome.KILLED] + count[Outcome.SURVIVED]
        shares[name] = count[Outcome.KILLED] / decided if decided else 1.0
        figures = (
            f"{count.total():8}{count[Outcome.KILLED]:8}{count[Outcome.SURVIVED]:10}{count[Outcome.EQUIVALENT]:12}"
        )
        print(f"{name:20}{figures}{shares[name]:9.1%}")
    return all(shares.get(name, 1.0) >= reach for name, reach in REACH.items())


def modules(package: str) -> dict[str, bytes]:
    """The sources of a folder, or of one module, by path below `hfproxy/`."""
    place = ROOT / "hfproxy" / package
    files = [place] if place.suffix == ".py" else sorted(place.glob("*.py"))
    return {str(file.relative_to(ROOT / "hfproxy")): file.read_bytes() for file in files}


def main(words: list[str]) -> int:
    """Draw a sample of each package, run it, print survivors as they come and the figures at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=CORE + DAEMON, help="folders or modules below hfproxy/")
    parser.add_argument(
        "--seed", default=time.strftime("%Y-%m-%d"), help="another sample for another seed; the date by default"
    )
    parser.add_argument("--sample", type=int, default=25, help="mutants of each package")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--matching", default="", help="only mutants with this text in their place, operator or lines")
    parser.add_argument("--depth", type=int, help="1: only the module's own tests; 2: also those of its package")
    options = parser.parse_args(words)

    known = equivalent()
    sources: dict[str, bytes] = {}
    sample: list[Mutant] = []
    for package in options.packages:
        files = modules(package)
        sources |= files
        candidates = {
            mutant: entry(mutant, source) for path, source in files.items() for mutant in mutants(path, source)
        }
        matching = [mutant for mutant, place in candidates.items() if options.matching in " ".join(place)]
        sample += draw(matching, files, options.sample, f"{options.seed} {package}")
        print(f"{package}: {len(candidates)} mutants, seed {options.seed}", flush=True)
    return 0 if report(run(sample, sources, known, options.jobs, options.depth)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
