"""Measures the shape of the package: folders, import cycles, function lengths, docstrings, class names.

Run it for the figures: `python tests/toolchain/shape.py`. `test_shape.py` holds the limits.
"""

import ast
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
ROOT = Path(__file__).parents[2] / "hfproxy"


@dataclass(frozen=True)
class Module:
    """A module of a package: its dotted name, its file and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module


def modules(root: Path) -> dict[str, Module]:
    """The modules below a package's folder, by dotted name; a package is its `__init__`."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text()))
    return found


def files_per_folder(root: Path) -> Counter[Path]:
    """How many `.py` files lie directly in each folder."""
    return Counter(path.parent.relative_to(root.parent) for path in root.rglob("*.py"))


def imports(module: Module, known: dict[str, Module]) -> set[str]:
    """The modules of the package that a module imports anywhere: at its top, in a function, for the type checker."""
    found = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {_imported(f"{node.module}.{alias.name}", known) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {_imported(alias.name, known) for alias in node.names}
    return found - {"", module.name}


def _imported(name: str, known: dict[str, Module]) -> str:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of two or more nodes that reach one another (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def upward(graph: dict[str, set[str]], container: str, layers: list[str]) -> list[tuple[str, str]]:
    """Imports from a lower layer of a container to a higher one, and between siblings of one layer.

    `layers` are as import-linter has them: the highest first, independent siblings separated by `|`.
    """
    rank = {name.strip(): number for number, layer in enumerate(layers) for name in layer.split("|")}

    def layer(module: str) -> str | None:
        name = module.removeprefix(f"{container}.").partition(".")[0]
        return name if module.startswith(f"{container}.") and name in rank else None

    edges = ((layer(one), layer(other), one, other) for one, others in graph.items() for other in others)
    return [
        (one, other)
        for here, there, one, other in edges
        if here is not None and there is not None and here != there and rank[there] <= rank[here]
    ]


def functions(module: Module) -> list[Function]:
    """Every function and method, nested ones as well."""
    return [node for node in ast.walk(module.tree) if isinstance(node, Function)]


def length(function: Function) -> int:
    """Lines of a function from `def` on, without its docstring."""
    first = function.body[0]
    docstring = ast.get_docstring(function) is not None
    return (function.end_lineno or 0) - function.lineno + 1 - (_lines(first) if docstring else 0)


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def percentile(numbers: list[int], share: float) -> int:
    """The number below which that share of the numbers lies."""
    return sorted(numbers)[int(len(numbers) * share)]


def public(module: Module) -> dict[str, bool]:
    """Public modules, classes, functions and methods by dotted name, and whether each has a docstring.

    Not counted: dunder methods, overloads, and what is nested in a function.
    """
    found = {module.name: ast.get_docstring(module.tree) is not None}

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
                found[f"{prefix}.{node.name}"] = ast.get_docstring(node) is not None
                if isinstance(node, ast.ClassDef):
                    collect(node.body, f"{prefix}.{node.name}")

    collect(module.tree.body, module.name)
    return found


def class_names(known: dict[str, Module]) -> dict[str, list[str]]:
    """The modules that define a class, by its name."""
    found = defaultdict(list)
    for module in known.values():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(module.name)
    return dict(found)


def calls_of(name: str, module: Module) -> list[str]:
    """`module:function` of each call of a method of that name, in the order of the source."""
    found = []

    def collect(node: ast.AST, where: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = (*where, child.name) if isinstance(child, Function | ast.ClassDef) else where
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr == name:
                found.append(f"{module.name}:{'.'.join(where)}")
            collect(child, inner)

    collect(module.tree, ())
    return found


def figures(root: Path = ROOT) -> dict[str, object]:
    """All figures of a package."""
    known = modules(root)
    graph = {name: imports(module, known) for name, module in known.items()}
    lengths = [length(function) for module in known.values() for function in functions(module)]
    documented = {name: has for module in known.values() for name, has in public(module).items()}
    return {
        "modules": len(known),
        "most files in a folder": max(files_per_folder(root).values()),
        "import cycles": len(cycles(graph)),
        "function lines, median": percentile(lengths, 0.5),
        "function lines, 90th percentile": percentile(lengths, 0.9),
        "function lines, maximum": max(lengths),
        "public docstrings, per cent": round(100 * sum(documented.values()) / len(documented), 1),
        "class names with two meanings": sum(len(where) > 1 for where in class_names(known).values()),
    }


def main() -> None:
    """Print the figures."""
    for name, value in figures().items():
        print(f"{name:34}{value:>8}")


if __name__ == "__main__":
    sys.exit(main())
