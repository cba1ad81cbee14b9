"""The mutation run: which edits are made, how they run, what counts."""

from collections import Counter
from pathlib import Path

import pytest
from toolchain import mutants
from toolchain.mutants import CORE, DAEMON, Outcome, Workspace
from toolchain.mutations import Mutant


def edited(source: str) -> list[tuple[str, str]]:
    """Operator and mutated line of each valid mutant."""
    data = source.encode()
    found = [mutant for mutant in mutants.mutants("core/a.py", data) if mutant.is_valid(data)]
    return [(mutant.operator, mutant.lines(data)[1]) for mutant in found]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", [("comparison", "x = a <= b"), ("comparison", "x = a >= b")]),
        ("x = a == b != c", [("comparison", "x = a != b != c"), ("comparison", "x = a == b == c")]),
        ("x = a in b", [("comparison", "x = a not in b")]),
        ("x = a is None", [("comparison", "x = a is not None")]),
        ("x = a and b", [("and/or", "x = a or b"), ("operand", "x = b"), ("operand", "x = a")]),
        ("x = (a or b) and c", [("and/or", "x = (a or b) or c"), ("operand", "x = c"), ("operand", "x = a or b")]),
        ("x = not a", [("not", "x = a")]),
        ("x = a + b", [("arithmetic", "x = a - b")]),
        ("x = 7", [("constant", "x = 8"), ("constant", "x = 6")]),
        ("x = True", [("constant", "x = False")]),
        ("x = 'é', 'b'", [("element", "x = 'b'"), ("element", "x = 'é'"), ("constant", "x = '', 'b'")]),
        ("x = b'a'", [("constant", "x = b''")]),
        ("x = f'{a}'", [("constant", 'x = ""')]),
        ("x = {a, b}", [("element", "x = {b}"), ("element", "x = {a}")]),
        ("x = {a: b, **c}", [("element", "x = {**c}"), ("element", "x = {a: b}")]),
        ("f(a, b, k=c)", [("statement", "pass"), ("argument", "f(a, b)"), ("argument", "f(a, k=c)")]),
        ("x = any(a)", [("counterpart", "x = all(a)")]),
        ("x = a.startswith(b)", [("counterpart", "x = a.endswith(b)")]),
        ("x = a.lower()", [("normalising", "x = a")]),
        ("x.y = a", [("statement", "pass")]),
        ("if a: pass", [("condition", "if False: pass"), ("condition", "if True: pass")]),
        ("while a: pass", [("condition", "while False: pass")]),
        ("x = b if a else c", [("condition", "x = b if False else c"), ("condition", "x = b if True else c")]),
        (
            "x = [b for b in c if b]",
            [("condition", "x = [b for b in c if False]"), ("condition", "x = [b for b in c if True]")],
        ),
        ("def f(): return a", [("return", "def f(): return None")]),
        (
            "def f(): return not a",
            [("return", "def f(): return True"), ("return", "def f(): return False"), ("not", "def f(): return a")],
        ),
        ("match a:\n case b.c | d.e: x", [("pattern", "case d.e: x"), ("pattern", "case b.c: x")]),
    ],
)
def test_every_operator_makes_its_edits(source: str, expected: list[tuple[str, str]]) -> None:
    assert Counter(edited(source)) >= Counter(expected)


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "import a",
        "x: Literal['a'] | None = y",
        "Pairs = Iterable[tuple[str, int]]",
        "def f(a: 'A') -> 'B': ...",
        "@dataclass(frozen=True)\nclass A: ...",
        "assert a == b",
        "log.info('a', b=c)",
        "self._log.info('a', b=c)",
        "raise_(*a)",
        "x = 'no such account'",
        "if TYPE_CHECKING: x = 1",
    ],
)
def test_what_decides_nothing_is_not_mutated(source: str) -> None:
    assert [pair for pair in edited(source) if pair[0] != "statement"] == []


def test_an_entry_of_the_list_survives_a_move_within_the_function() -> None:
    def entry(source: str) -> mutants.Entry:
        return mutants.entry(mutants.mutants("core/a.py", source.encode())[-1], source.encode())

    assert entry("class A:\n  def f(self):\n    x = 1") == entry(
        "y = z\nclass A:\n  def f(self):\n    y\n    x =  1  # why"
    )
    assert entry("def f(): x = 1") != entry("def g(): x = 1")


def test_a_sample_is_the_same_for_the_same_seed_and_takes_every_operator() -> None:
    source = ("x = a + b\n" * 50 + "x = not a\n" + "x = c.lower()\n").encode()
    every = mutants.mutants("core/a.py", source)
    first = mutants.draw(every, {"core/a.py": source}, 4, "1")
    assert first == mutants.draw(every, {"core/a.py": source}, 4, "1")
    assert first != mutants.draw(every, {"core/a.py": source}, 4, "2")
    assert {mutant.operator for mutant in first} == {"arithmetic", "not", "normalising"}
    assert len(mutants.draw(every, {"core/a.py": source}, 1000, "1")) == 52


RULES = "def allowed(uses, limit):\n    return uses < limit\n\n\ndef wait(n):\n    while n > 0:\n        n -= 1\n    return 7\n"
OWN = "from made_up.core.rules import allowed, wait\n\ndef test_allowed():\n    assert allowed(1, 5)\n    wait(3)\n"
BESIDE = """import subprocess, sys

def test_wait():
    command = "from made_up.core.rules import wait; print(wait(3))"
    assert subprocess.run([sys.executable, "-I", "-c", command], capture_output=True).stdout == b"7\\n"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A made-up package with tests that miss something."""
    root = tmp_path / "root"
    files = {
        "pyproject.toml": "[tool.pytest]\naddopts = ['--import-mode=importlib']\n",
        "made_up/__init__.py": "",
        "made_up/core/__init__.py": "",
        "made_up/core/rules.py": RULES,
        "tests/unit/core/test_rules.py": OWN,
        "tests/unit/core/test_beside.py": BESIDE,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Workspace(root, tmp_path / "copy", "made_up")


def made_up(operator: str, after: str) -> Mutant:
    source = RULES.encode()
    found = mutants.mutants("core/rules.py", source)
    return next(mutant for mutant in found if (mutant.operator, mutant.lines(source)[1]) == (operator, after))


def test_a_mutant_runs_in_a_copy_and_is_killed_by_a_test_that_notices_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "MIN_TIMEOUT_S", 3.0)
    assert workspace.kills(made_up("comparison", "return uses >= limit"))
    assert not workspace.kills(made_up("comparison", "return uses <= limit"))
    # By the second stage, in a process of its own that ignores PYTHONPATH.
    assert workspace.kills(made_up("constant", "return 8"))
    # By the timeout.
    assert workspace.kills(made_up("statement", "pass"))
    assert (workspace.root / "made_up/core/rules.py").read_text() == RULES
    assert (workspace.folder / "made_up/core/rules.py").read_text() == RULES


def test_tests_that_fail_without_a_mutant_end_the_run(workspace: Workspace) -> None:
    (workspace.folder / "tests/unit/core/test_rules.py").write_text("def test_it():\n    assert False\n")
    with pytest.raises(SystemExit, match="fails without a mutant"):
        workspace.kills(made_up("constant", "return 8"))


@pytest.mark.parametrize(
    ("killed", "survived", "reached"), [(95, 5, True), (94, 5, False), (1, 0, True), (0, 1, False), (0, 0, True)]
)
def test_equivalent_mutants_do_not_count(killed: int, survived: int, reached: bool) -> None:
    results = [Outcome.KILLED] * killed + [Outcome.SURVIVED] * survived + [Outcome.EQUIVALENT] * 50
    outcomes = {Mutant("core/hub/a.py", "f", "not", place, place, ""): result for place, result in enumerate(results)}
    assert mutants.report(outcomes) is reached


def test_every_listed_mutant_exists_and_has_a_reason() -> None:
    """What is moved or renamed keeps its entry up to date; what is gone has none."""
    known = mutants.equivalent()
    sources = {path: source for package in CORE + DAEMON for path, source in mutants.modules(package).items()}
    exist = {
        mutants.entry(mutant, source) for path, source in sources.items() for mutant in mutants.mutants(path, source)
    }
    assert [place for place in known if place not in exist] == []
    assert all(known.values())
