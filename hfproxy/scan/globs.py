"""`--exclude GLOB`, in the language of .gitignore without its `!`.

A pattern without a slash fits names at any depth (`*.lock`); one with a slash, a path from where the scan begins
(`tests/data`); a slash at its end, directories only. `*` and `?` stay within one name, `**` does not.
"""

import re
from typing import Final

PIECES: Final = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^]/]*\]|.", re.DOTALL)
MEANING: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Globs:
    """Several patterns as one question."""

    __slots__ = ("_any", "_directories")

    def __init__(self, patterns: list[str]) -> None:
        bare = [pattern for pattern in patterns if not pattern.endswith("/")]
        self._any = _one_of(bare)
        self._directories = _one_of([pattern.rstrip("/") for pattern in patterns])

    def __bool__(self) -> bool:
        return self._directories is not None

    def matches(self, path: str, *, directory: bool) -> bool:
        """Whether one of them fits a path, which is relative to where the scan began."""
        pattern = self._directories if directory else self._any
        return pattern is not None and pattern.fullmatch(path) is not None


def _one_of(patterns: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_translated, patterns)), re.DOTALL) if patterns else None


def _translated(pattern: str) -> str:
    anchored = "/" in pattern
    body = "".join(map(_piece, PIECES.findall(pattern.lstrip("/"))))
    return f"(?:{body})" if anchored else f"(?:.*/)?(?:{body})"


def _piece(text: str) -> str:
    if text in MEANING:
        return MEANING[text]
    if len(text) > 1:  # [a-z], [!a-z]
        return f"[{'^' if text[1] == '!' else ''}{re.escape(text[1:-1].removeprefix('!')).replace(chr(92) + '-', '-')}]"
    return re.escape(text)
