"""Makes mutants of a module: copies with one edit each. `mutants.py` runs them.

Not mutated: annotations, decorators, assertions, log lines, and prose, the strings of several words.
"""

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

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
COMMENT = re.compile(r"  # .*")
GENERIC = re.compile(r"[A-Z]\w*[a-z]\w*|tuple|list|dict|set|frozenset|type")  # whose subscripts are types
LOGGERS = frozenset({"log", "logger", "LOG", "logs"})
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
TYPING_FIELDS = frozenset({"annotation", "returns", "decorator_list", "type_params"})

Edit = tuple[str, ast.AST, str]


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
        """The edited lines before and after, without indentation and comments: they survive a move."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = len(source) if (end := source.find(b"\n", self.end)) < 0 else end
        after = source[first : self.start] + self.text.encode() + source[self.end : last]
        return _normalised(source[first:last]), _normalised(after)

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


def _normalised(lines: bytes) -> str:
    return " ".join(COMMENT.sub("", lines.decode()).split())


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
            inner = f"{function}.{child.name}".lstrip(".") if isinstance(child, SCOPES) else function
            yield inner, child
            if not isinstance(child, ast.JoinedStr):  # Python 3.11 gives wrong positions inside
                yield from _mutable(child, inner)


def _is_exempt(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Subscript(value=ast.Name(id=name)):
            return GENERIC.fullmatch(name) is not None
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
            starts = [_start(key) if key else _start(value, len("**")) for key, value in zip(keys, values, strict=True)]
        case ast.Set(elts=values) | ast.List(elts=values, ctx=ast.Load()) | ast.Tuple(elts=values, ctx=ast.Load()):
            starts = [_start(value) for value in values]
        case _:
            return
    yield from pairwise(starts)
    if len(values) > 1:
        yield _end(values[-2]), _end(values[-1])


def _start(node: ast.expr, before: int = 0) -> tuple[int, int]:
    return node.lineno, node.col_offset - before


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0
