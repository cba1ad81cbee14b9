"""Reads the words of a command.

Our own, since `argparse` costs `exec` half the start of a bare interpreter (5 of 11 ms), repeats what was
typed in its errors, which may be a token, and takes abbreviations, whose meaning changes as options come.
The rules: `--name VALUE` or `--name=VALUE`; a value that begins with `--` needs the second form; the last of
several wins, but for those asked for with `texts`; `--` ends the options.
"""

import sys
from collections.abc import Iterator

from hfproxy.errors import UsageError

# As typed; what its value is called ("" for a switch); what it does.
Option = tuple[str, str, str]

DIGITS = 9


class Arguments:
    """What was typed: options by name, and the rest in order."""

    __slots__ = ("_given", "rest")

    def __init__(self, given: dict[str, list[str]], rest: list[str]) -> None:
        self._given = given
        self.rest = rest

    def switch(self, name: str) -> bool:
        """Was it given?"""
        return name in self._given

    def all(self, name: str) -> list[str]:
        """Every value of an option, in order."""
        return self._given.get(name, [])

    def text(self, name: str) -> str | None:
        """The value of an option; None: not given."""
        return self._given[name][-1] if name in self._given else None

    def number(self, name: str) -> int | None:
        """The value of an option that counts something.

        Raises:
            UsageError: it is none, or has more than nine digits.
        """
        typed = self.text(name)
        if typed is None:
            return None
        if not (typed.isascii() and typed.isdigit() and len(typed) <= DIGITS):
            raise UsageError(f"{name} needs a whole number, like {name} 3")
        return int(typed)

    def choice(self, name: str, choices: tuple[str, ...], *, default: str) -> str:
        """The value of an option that is one of a few words.

        Raises:
            UsageError: it is another; says which there are.
        """
        typed = self.text(name)
        if typed is not None and typed not in choices:
            raise UsageError(f"{name} must be one of: {', '.join(choices)}")
        return default if typed is None else typed


class CommandSpec:
    """What a command takes: its options, and what may stand beside them."""

    __slots__ = ("_most", "command", "options", "purpose", "rest", "starts_command")

    def __init__(
        self,
        command: str,
        purpose: str,
        *options: Option,
        rest: str = "",
        max_positional: int = 0,
        starts_command: bool = False,
    ) -> None:
        """`rest` and `most`: what else it takes and how many; with `starts_command` the first begins CMD."""
        self.command = command
        self.purpose = purpose
        self.options = options
        self.rest = rest
        self._most = max_positional
        self.starts_command = starts_command

    def read(self, words: list[str]) -> Arguments:
        """Take the words apart. `--help` shows the help and ends the program.

        Raises:
            UsageError: an unknown option, one without its value, or too many words. No value is repeated.
        """
        given: dict[str, list[str]] = {}
        rest: list[str] = []
        coming = iter(words)
        for word in coming:
            if word == "--":
                rest.extend(coming)
            elif word.startswith("-") and word != "-":
                self._take(word, coming, given)
            else:
                rest.append(word)
                if self.starts_command:
                    rest.extend(coming)
        if len(rest) > self._most and not self.starts_command:
            raise self.usage_error("more was typed than it takes")
        return Arguments(given, rest)

    def usage_error(self, what: str) -> UsageError:
        """A failure to understand, which points to the help."""
        return UsageError(f"{what}; see: hf-proxy {self.command} --help")

    def _take(self, word: str, coming: Iterator[str], given: dict[str, list[str]]) -> None:
        name, equals, value = word.partition("=")
        if name in {"--help", "-h"}:
            sys.stdout.write(self._help())
            raise SystemExit(0)
        kind = next((kind for known, kind, _ in self.options if known == name), None)
        if kind is None:
            raise self.usage_error(f"'{self.command}' has no option '{name[:40]}'")
        if not kind and equals:
            raise self.usage_error(f"{name} takes no value")
        if kind and not equals:
            value = next(coming, "--")
            if value.startswith("--"):
                raise self.usage_error(f"{name} needs a value: {name} {kind}")
        given.setdefault(name, []).append(value)

    def _help(self) -> str:
        usage = " ".join(filter(None, ("usage: hf-proxy", self.command, "[OPTION...]" * bool(self.options), self.rest)))
        shown = [(f"{name} {kind}".rstrip(), what) for name, kind, what in self.options]
        width = max((len(form) for form, _ in shown), default=0)
        lines = "".join(f"  {form:<{width}}  {what}\n" for form, what in shown)
        return f"{usage}\n\n{self.purpose}\n" + (f"\n{lines}" if lines else "")
