"""The patterns of `--exclude GLOB`: the syntax of .gitignore without `!`.

A pattern without a slash matches names at any depth (`*.lock`); one with a slash matches a path relative to the start
of the scan (`tests/data`); one with a slash at the end matches directories only. `*` and `?` match within one name,
`**` matches across names.
"""

import re
from typing import Final

PIECES: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^]/]*\]|.", re.DOTALL)
MEANING: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Globs:
    """A set of patterns, compiled into one expression."""

    __slots__ = ("_any", "_directories")

    def __init__(self, patterns: list[str]) -> None:
        unrestricted = [pattern for pattern in patterns if not pattern.endswith("/")]
        self._any = _alternation(unrestricted)
        self._directories = _alternation([pattern.rstrip("/") for pattern in patterns])

    def __bool__(self) -> bool:
        return self._directories is not None

    def matches(self, path: str, *, directory: bool) -> bool:
        """Return whether any pattern matches a path, given relative to the start of the scan."""
        pattern = self._directories if directory else self._any
        return pattern is not None and pattern.fullmatch(path) is not None


def _alternation(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_to_regex, patterns)), re.DOTALL) if patterns else None


def _to_regex(pattern: str) -> str:
    anchored = "/" in pattern
    body = "".join(map(_piece, PIECES.findall(pattern.lstrip("/"))))
    return f"(?:{body})" if anchored else f"(?:.*/)?(?:{body})"


def _piece(text: str) -> str:
    if text in MEANING:
        return MEANING[text]
    if len(text) > 1:  # [a-z], [!a-z]
        return f"[{'^' if text[1] == '!' else ''}{re.escape(text[1:-1].removeprefix('!')).replace(chr(92) + '-', '-')}]"
    return re.escape(text)
