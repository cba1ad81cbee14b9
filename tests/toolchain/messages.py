"""Every message of a failure or a refusal in the program, found by reading its source.

A message is what one of our errors (`errors.py`) or a `Deny` is made with. Constants, and functions and tables of the same
module that give the text, are looked up; what shows only when it runs stands as `{}`.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import hfproxy
from hfproxy import errors

ROOT = Path(hfproxy.__file__).parent
KINDS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.HFProxyError)
}
# Which argument is the message.
PLACES = {**dict.fromkeys(KINDS, 0), "Deny": 1}
UNKNOWN = "{}"


class Message(NamedTuple):
    """What may be said, and where: file and line."""

    file: str
    line: int
    text: str


def all_messages() -> Iterator[Message]:
    """Those of the whole package."""
    for file in sorted(ROOT.rglob("*.py")):
        yield from Module(file).messages()


class Module:
    """One file, read and loaded."""

    def __init__(self, file: Path) -> None:
        self.file = str(file.relative_to(ROOT))
        self.tree = ast.parse(file.read_text())
        name = ".".join(("hfproxy", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        self.values = vars(import_module(name)) if not name.endswith("__main__") else {}

    def messages(self) -> Iterator[Message]:
        for call in ast.walk(self.tree):
            place = PLACES.get(name_of(call.func)) if isinstance(call, ast.Call) else None
            if place is not None and len(call.args) > place:
                yield from (Message(self.file, call.lineno, text) for text in self.texts(call.args[place]))

    def texts(self, node: ast.expr) -> list[str]:
        """What an expression can say."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return joined([self.texts(part) for part in parts])
            case ast.FormattedValue(value=ast.Name() as name):
                return self.texts(name)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return joined([self.texts(left), self.texts(right)])
            case ast.IfExp(body=body, orelse=other):
                return self.texts(body) + self.texts(other)
            case ast.Name(id=name) if isinstance(self.values.get(name), str):
                return [self.values[name]]
            case ast.Name(id=name):
                return self._assigned(name)
            case ast.Call(func=function):
                return self._returned(name_of(function))
            case ast.Subscript(value=ast.Name(id=name)):
                return self._looked_up(name)
            case _:
                return [UNKNOWN]

    def _assigned(self, name: str) -> list[str]:
        """To a variable of a function, where that is plain text."""
        given = [
            node for node in ast.walk(self.tree) if isinstance(node, ast.Assign) and name in map(name_of, node.targets)
        ]
        plain = [node.value for node in given if isinstance(node.value, ast.Constant | ast.JoinedStr | ast.IfExp)]
        return [text for value in plain for text in self.texts(value)] or [UNKNOWN]

    def _returned(self, name: str) -> list[str]:
        """By a function of this module."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef) and node.name == name]
        returns = [node.value for one in found for node in ast.walk(one) if isinstance(node, ast.Return) and node.value]
        return [text for value in returns for text in self.texts(value)] or [UNKNOWN]

    def _looked_up(self, name: str) -> list[str]:
        """In a table of this module."""
        given = (node for node in ast.walk(self.tree) if isinstance(node, ast.Assign))
        tables = [one.value for one in given if name in map(name_of, one.targets) and isinstance(one.value, ast.Dict)]
        return [text for table in tables for value in table.values for text in self.texts(value)] or [UNKNOWN]


def name_of(node: ast.expr) -> str:
    return getattr(node, "id", getattr(node, "attr", ""))


def joined(parts: list[list[str]]) -> list[str]:
    """Every way to put one of each together."""
    whole = [""]
    for part in parts:
        whole = [begun + text for begun in whole for text in part]
    return whole
