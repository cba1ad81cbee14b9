"""The shape of the package: a reader finds the way, and it stays so."""

import tomllib
from pathlib import Path

import pytest
from toolchain import shape

ROOT = Path(__file__).parents[2]
KNOWN = shape.modules(shape.ROOT)
GRAPH = {name: shape.imports(module, KNOWN) for name, module in KNOWN.items()}
MAX_FILES = 13
MAX_P90_LINES = 15
MIN_DOCUMENTED = 0.94


def layers() -> list[tuple[str, list[str]]]:
    """The layers that import-linter holds: container and names, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [(one["containers"][0], one["layers"]) for one in contracts if one["type"] == "layers"]


def test_a_folder_has_few_files() -> None:
    assert {
        str(folder): count for folder, count in shape.files_per_folder(shape.ROOT).items() if count > MAX_FILES
    } == {}


def test_no_import_leads_back() -> None:
    """Imports inside functions and for the type checker count."""
    assert shape.cycles(GRAPH) == []


@pytest.mark.parametrize(("container", "names"), layers(), ids=lambda value: value if isinstance(value, str) else "")
def test_no_import_points_up(container: str, names: list[str]) -> None:
    assert shape.upward(GRAPH, container, names) == []


def test_functions_are_short() -> None:
    lengths = [shape.length(function) for module in KNOWN.values() for function in shape.functions(module)]
    assert shape.percentile(lengths, 0.9) <= MAX_P90_LINES


def test_what_is_public_has_a_docstring() -> None:
    documented = {name: has for module in KNOWN.values() for name, has in shape.public(module).items()}
    missing = [name for name, has in documented.items() if not has]
    assert len(missing) <= (1 - MIN_DOCUMENTED) * len(documented), missing


def test_a_class_name_has_one_meaning() -> None:
    assert {name: where for name, where in shape.class_names(KNOWN).items() if len(where) > 1} == {}


@pytest.fixture
def crooked(tmp_path: Path) -> Path:
    """A package with every fault."""
    root = tmp_path / "crooked"
    (root / "high").mkdir(parents=True)
    sources = {
        "__init__.py": "",
        "high/__init__.py": "",
        "high/a.py": "from crooked import low\nclass Twice: pass\n",
        "low.py": "def late():\n    from crooked.high.a import Twice\nclass Twice:\n    def method(self):\n"
        + "        x = 1\n" * 20,
    }
    for name, source in sources.items():
        (root / name).write_text(source)
    return root


def test_every_fault_is_found(crooked: Path) -> None:
    known = shape.modules(crooked)
    graph = {name: shape.imports(module, known) for name, module in known.items()}
    assert shape.files_per_folder(crooked)[Path("crooked/high")] == 2
    assert shape.cycles(graph) == [["crooked.high.a", "crooked.low"]]
    assert shape.upward(graph, "crooked", ["high", "low"]) == [("crooked.low", "crooked.high.a")]
    assert shape.upward(graph, "crooked", ["high | low"]) == [
        ("crooked.high.a", "crooked.low"),
        ("crooked.low", "crooked.high.a"),
    ]
    assert [shape.length(function) for function in shape.functions(known["crooked.low"])] == [2, 21]
    assert not any(has for module in known.values() for has in shape.public(module).values())
    assert shape.class_names(known) == {"Twice": ["crooked.high.a", "crooked.low"]}
