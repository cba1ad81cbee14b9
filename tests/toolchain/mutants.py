"""Changes the code that decides, one place at a time, and counts the changes that the unit tests notice.

    python tests/toolchain/mutants.py core/hub daemon/grants --sample 60 --seed 7

A mutant is a module with one edit. It runs in a copy of the repository with an interpreter environment of its own, so that
processes started with `-I` import the mutant as well: first against the unit tests of its module, then against those of its
package. A failing test or a timeout kills it. The sample is stratified: it takes mutants of each module and operator in turn.

Not mutated: annotations, decorators, assertions, log lines, and prose, the strings of several words.
`mutants.toml` is the closed list of equivalent mutants; an entry that fits no mutant of a listed package is an error.
"""

import argparse
import ast
import contextlib
import difflib
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from importlib.util import cache_from_source
from pathlib import Path

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_suffix(".toml")
CORE = ["core/audit", "core/git", "core/http", "core/hub", "core/policy"]
DAEMON = [f"daemon/{name}" for name in ("accounts", "control", "grants", "journal", "proxy", "tokens", "upstream")]
REACH = {"core": 0.95, "daemon": 0.85}  # the share of the mutants that are not equivalent
MIN_TIMEOUT_S = 20.0
TIMEOUT_FACTOR = 5

# What else is run for a package that its unit tests alone do not decide.
MORE_TESTS: dict[str, tuple[str, ...]] = {}

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
COUNTERPARTS = {
    "any": "all",
    "all": "any",
    "min": "max",
    "max": "min",
    "startswith": "endswith",
    "endswith": "startswith",
}
# Methods that normalise a text: without the call, other spellings pass.
NORMALISING = frozenset({"lower", "casefold", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix"})
PROSE = re.compile(r"[A-Za-z,;'}] [A-Za-z{(]")
LOGGERS = frozenset({"log", "logger", "LOG", "logs"})
TYPING_FIELDS = frozenset({"annotation", "returns", "decorator_list", "type_params"})

Edit = tuple[str, ast.AST, str]


class Outcome(Enum):
    """The result of a mutant's run."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"


@dataclass(frozen=True)
class Mutant:
    """One edit of a module: the bytes from `start` to `end` become `text`.

    Attributes:
        path: the module's file below the package's folder, `core/hub/rewrite.py`.
        function: the dotted name of the function or class around the edit, empty at module level.
    """

    path: str
    function: str
    operator: str
    start: int
    end: int
    text: str

    @property
    def package(self) -> str:
        """The folder of the module, `core/hub`."""
        return self.path.rpartition("/")[0]

    def apply(self, source: bytes) -> bytes:
        """The mutated source."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def lines(self, source: bytes) -> tuple[str, str]:
        """The edited lines before and after, without indentation and with single blanks: they survive a move."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = len(source) if (end := source.find(b"\n", self.end)) < 0 else end
        after = source[first : self.start] + self.text.encode() + source[self.end : last]
        return " ".join(source[first:last].decode().split()), " ".join(after.decode().split())

    def is_valid(self, source: bytes) -> bool:
        """Whether the mutant parses and differs from the source as a syntax tree."""
        try:
            return ast.dump(ast.parse(self.apply(source))) != ast.dump(ast.parse(source))
        except SyntaxError:
            return False

    def diff(self, source: bytes) -> str:
        """The edit as a unified diff."""
        before, after = source.decode().splitlines(), self.apply(source).decode().splitlines()
        return "\n".join(list(difflib.unified_diff(before, after, self.path, self.operator, n=2, lineterm="")))


def mutants(path: str, source: bytes) -> list[Mutant]:
    """All mutants of a module, in the order of the source. A few do not parse: see `Mutant.is_valid`."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def position(line: int, column: int) -> int:
        return starts[line - 1] + column

    found = []
    for function, node in _mutable(ast.parse(source), ""):
        for operator, place, text in _edits(node):
            start = position(place.lineno, place.col_offset)
            end = position(place.end_lineno, place.end_col_offset)
            found.append(Mutant(path, function, operator, start, end, text))
        found += [
            Mutant(path, function, "element", position(*start), position(*end), "") for start, end in _elements(node)
        ]
    return found


def _mutable(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """The nodes that may be mutated, each with the dotted name of the function around it."""
    for field, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        for child in children if field not in TYPING_FIELDS else []:
            if not isinstance(child, ast.AST) or _is_exempt(child):
                continue
            inner = (
                f"{function}.{child.name}".lstrip(".")
                if hasattr(child, "body") and hasattr(child, "name")
                else function
            )
            yield inner, child
            if not isinstance(child, ast.JoinedStr):  # Python 3.11 gives wrong positions inside
                yield from _mutable(child, inner)


def _is_exempt(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Subscript(value=ast.Name(id="Literal")):
            return True
        case (
            ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name))))
            | ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Attribute(attr=name))))
        ):
            return name.lstrip("_") in LOGGERS
    return False


def _edits(node: ast.AST) -> Iterator[Edit]:
    """The edits of one node: operator, the node to be replaced, its replacement."""
    match node:
        case ast.Compare():
            for index, operation in enumerate(node.ops):
                for other in COMPARISONS[type(operation)]:
                    changed = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                    yield "comparison", node, ast.unparse(ast.Compare(node.left, changed, node.comparators))
        case ast.BoolOp(op=operation, values=values):
            other = ast.Or() if isinstance(operation, ast.And) else ast.And()
            yield "and/or", node, ast.unparse(ast.BoolOp(other, values))
            for index in range(len(values)):
                rest = values[:index] + values[index + 1 :]
                yield "operand", node, ast.unparse(rest[0] if len(rest) == 1 else ast.BoolOp(operation, rest))
        case ast.UnaryOp(op=ast.Not()):
            yield "not", node, ast.unparse(node.operand)
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield "arithmetic", node, ast.unparse(ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
        case ast.Constant(value=bool() as flag):
            yield "constant", node, str(not flag)
        case ast.Constant(value=int() | float() as number):
            yield "constant", node, repr(number + 1)
            yield "constant", node, repr(number - 1) if number else "-1"
        case ast.Constant(value=str() as text) if not PROSE.search(text):
            yield "constant", node, repr("" if text else "X")
        case ast.Constant(value=bytes() as data):
            yield "constant", node, repr(b"" if data else b"X")
        case ast.JoinedStr() if not PROSE.search(ast.unparse(node)):
            yield "constant", node, '""'
        case ast.Call():
            yield from _call_edits(node)
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            forced = ("True", "False") if isinstance(value, ast.Compare | ast.BoolOp | ast.UnaryOp) else ("None",)
            yield from (("return", value, text) for text in forced)
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.Delete() | ast.Continue() | ast.AugAssign():
            yield "statement", node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield "statement", node, "pass"
        case ast.MatchOr(patterns=patterns):
            for index in range(len(patterns)):
                rest = patterns[:index] + patterns[index + 1 :]
                yield "pattern", node, ast.unparse(rest[0] if len(rest) == 1 else ast.MatchOr(rest))
    for test in _conditions(node):
        yield "condition", test, "False"
        if not isinstance(node, ast.While):
            yield "condition", test, "True"


def _call_edits(node: ast.Call) -> Iterator[Edit]:
    match node.func:
        case ast.Name(id=name) if name in COUNTERPARTS:
            yield "counterpart", node.func, COUNTERPARTS[name]
        case ast.Attribute(value=receiver, attr=name) if name in COUNTERPARTS:
            yield "counterpart", node.func, ast.unparse(ast.Attribute(receiver, COUNTERPARTS[name]))
        case ast.Attribute(value=receiver, attr=name) if name in NORMALISING:
            yield "normalising", node, ast.unparse(receiver)
    for index, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            rest = node.keywords[:index] + node.keywords[index + 1 :]
            yield "argument", node, ast.unparse(ast.Call(node.func, node.args, rest))
    if len(node.args) > 1:
        yield "argument", node, ast.unparse(ast.Call(node.func, node.args[:-1], node.keywords))


def _conditions(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if not isinstance(test, ast.Constant):
            return [test]
        case ast.comprehension(ifs=tests):
            return tests
        case ast.match_case(guard=ast.expr() as test):
            return [test]
    return []


def _elements(node: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """From where to where the text of each element of a literal reaches, one comma included."""
    match node:
        case ast.Dict(keys=keys, values=values):
            pairs = [(key or value, value) for key, value in zip(keys, values, strict=True)]
        case ast.Set(elts=values) | ast.List(elts=values, ctx=ast.Load()) | ast.Tuple(elts=values, ctx=ast.Load()):
            pairs = [(value, value) for value in values]
        case _:
            return
    for index, (first, last) in enumerate(pairs):
        following = pairs[index + 1][0] if index + 1 < len(pairs) else None
        if following is not None:
            yield (first.lineno, first.col_offset), (following.lineno, following.col_offset)
        elif index:
            before = pairs[index - 1][1]
            yield (before.end_lineno, before.end_col_offset), (last.end_lineno, last.end_col_offset)


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
    """How the list of equivalent mutants finds a mutant again: place, operator, the lines before and after."""
    return f"{mutant.path}:{mutant.function}", mutant.operator, *mutant.lines(source)


def equivalent(path: Path = EQUIVALENT) -> dict[Entry, str]:
    """The list of equivalent mutants, each with its reason."""
    rows = tomllib.loads(path.read_text())["equivalent"] if path.exists() else []
    return {(row["where"], row["operator"], row["before"], row["after"]): row["reason"] for row in rows}


class Workspace:
    """A copy of the repository and an environment that imports it, also in processes started with `-I`.

    The environment takes every other package from the one that runs this script.
    """

    def __init__(self, root: Path, folder: Path, package: str = "hfproxy") -> None:
        self.root, self.package, self.folder = root, package, folder
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
        stages = [own, folder, *MORE_TESTS.get(mutant.package, ())]
        return [stage for stage in stages if any((self.folder / path).exists() for path in stage.split())]

    def baseline(self, stage: str) -> float:
        """The seconds that a stage takes without a mutant.

        Raises:
            SystemExit: it fails without one, so that it would kill every mutant.
        """
        if stage not in self.baselines:
            began = time.monotonic()
            if (status := self._pytest(stage, 1800, write_bytecode=True)) not in (0, 5):
                sys.exit(f"{stage} fails without a mutant ({status}): run it in {self.folder}")
            self.baselines[stage] = time.monotonic() - began
        return self.baselines[stage]

    def kills(self, mutant: Mutant) -> bool:
        """Whether a test fails with the mutant in place of its module, or does not end."""
        stages = self.stages(mutant)
        limits = [max(MIN_TIMEOUT_S, TIMEOUT_FACTOR * self.baseline(stage)) for stage in stages]
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
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        process = subprocess.Popen(
            [self.python, "-m", "pytest", *options, *stage.split()],
            cwd=self.folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "" if write_bytecode else "1", "TMPDIR": str(self.temporary)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
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

    @property
    def temporary(self) -> Path:
        path = self.folder / "tmp"
        path.mkdir(exist_ok=True)
        return path


def run(sample: list[Mutant], sources: dict[str, bytes], known: dict[Entry, str], jobs: int) -> dict[Mutant, Outcome]:
    """Run the mutants, `jobs` at a time, each job in a workspace of its own."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        free: queue.SimpleQueue[Workspace] = queue.SimpleQueue()
        for number in range(jobs):
            free.put(Workspace(ROOT, Path(temporary) / str(number)))

        def outcome(mutant: Mutant) -> Outcome:
            if entry(mutant, sources[mutant.path]) in known:
                return Outcome.EQUIVALENT
            workspace = free.get()
            try:
                killed = workspace.kills(mutant)
            finally:
                free.put(workspace)
            if not killed:
                print(_described(mutant, sources[mutant.path]), flush=True)
            return Outcome.KILLED if killed else Outcome.SURVIVED

        with ThreadPoolExecutor(jobs) as pool:
            return dict(zip(sample, pool.map(outcome, sample), strict=True))


def _described(mutant: Mutant, source: bytes) -> str:
    """A survivor: its diff, and the entry for the list of equivalent mutants, should it be one."""
    where, operator, before, after = (repr(text) for text in entry(mutant, source))
    return (
        f"SURVIVED\n{mutant.diff(source)}\n"
        f"[[equivalent]]\nwhere = {where}\noperator = {operator}\nbefore = {before}\nafter = {after}\n"
    )


def report(outcomes: dict[Mutant, Outcome]) -> bool:
    """Print the figures of each package; return whether `core` and `daemon` each reach their share."""
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
    options = parser.parse_args(words)

    known = equivalent()
    sources: dict[str, bytes] = {}
    sample: list[Mutant] = []
    unknown = set(known)
    for package in options.packages:
        place = ROOT / "hfproxy" / package
        files = [place] if place.suffix == ".py" else sorted(place.glob("*.py"))
        sources |= {str(file.relative_to(ROOT / "hfproxy")): file.read_bytes() for file in files}
        candidates = [
            one for file in files for one in mutants(str(file.relative_to(ROOT / "hfproxy")), file.read_bytes())
        ]
        entries = {one: entry(one, sources[one.path]) for one in candidates}
        unknown -= set(entries.values())
        matching = [one for one in candidates if options.matching in " ".join(entries[one])]
        sample += draw(matching, sources, options.sample, f"{options.seed} {package}")
        print(f"{package}: {len(candidates)} mutants, seed {options.seed}")
    stale = [where for where, *_ in unknown if where.partition(":")[0] in sources]
    if stale:
        print("mutants.toml lists what is no mutant:", *stale, sep="\n", file=sys.stderr)
        return 1
    return 0 if report(run(sample, sources, known, options.jobs)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
