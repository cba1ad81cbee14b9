"""Parses the arguments of a command.

`argparse` is not used: it would cost `exec` half the start-up time of a bare interpreter (5 of 11 ms), it repeats the
arguments in its errors (one may be a token), and it accepts abbreviations, whose meaning changes when options are
added. The syntax: `--name VALUE` or `--name=VALUE`; a value that begins with `--` needs the second form; of a repeated
option the last value counts, unless it is read with `Arguments.values`; `--` ends the options.
"""

import sys
from collections.abc import Iterator

from hfproxy.errors import UsageError

# The option, the name of its value ("" for a switch), and its description.
Option = tuple[str, str, str]

MAX_DIGITS = 9


class Arguments:
    """Parsed arguments: the options by name, and the positional arguments, in order."""

    __slots__ = ("_options", "positionals")

    def __init__(self, options: dict[str, list[str]], positionals: list[str]) -> None:
        self._options = options
        self.positionals = positionals

    def switch(self, name: str) -> bool:
        """Return whether an option is present."""
        return name in self._options

    def values(self, name: str) -> list[str]:
        """Return every value of an option, in order."""
        return self._options.get(name, [])

    def text(self, name: str) -> str | None:
        """Return the value of an option; None if it is absent."""
        return self._options[name][-1] if name in self._options else None

    def number(self, name: str) -> int | None:
        """Return the value of a numeric option; None if it is absent.

        Raises:
            UsageError: the value is not a whole number, or has more than nine digits.
        """
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS):
            raise UsageError(f"{name} needs a whole number, like {name} 3")
        return int(value)

    def choice(self, name: str, choices: tuple[str, ...], *, default: str) -> str:
        """Return the value of an option that must be one of `choices`.

        Raises:
            UsageError: the value is not one of the choices; the message lists them.
        """
        value = self.text(name)
        if value is not None and value not in choices:
            raise UsageError(f"{name} must be one of: {', '.join(choices)}")
        return default if value is None else value


class CommandSpec:
    """The syntax of a command: its purpose, options and positional arguments."""

    __slots__ = ("_max_positional", "command", "options", "positionals", "purpose", "starts_command")

    def __init__(
        self,
        command: str,
        purpose: str,
        *options: Option,
        positionals: str = "",
        max_positional: int = 0,
        starts_command: bool = False,
    ) -> None:
        """Describe a command.

        Args:
            command: its name, and that of the subcommand.
            purpose: one line for its help.
            options: its options.
            positionals: the positional arguments, as shown in the help.
            max_positional: the largest number of positional arguments.
            starts_command: the first positional argument begins CMD, which may have any options.
        """
        self.command = command
        self.purpose = purpose
        self.options = options
        self.positionals = positionals
        self._max_positional = max_positional
        self.starts_command = starts_command

    def read(self, words: list[str]) -> Arguments:
        """Parse the arguments. `--help` prints the help and exits.

        Raises:
            UsageError: an option is unknown or lacks its value, or there are too many arguments. The message repeats no
                value.
        """
        options: dict[str, list[str]] = {}
        positionals: list[str] = []
        remaining = iter(words)
        for word in remaining:
            if word == "--":
                positionals.extend(remaining)
            elif word.startswith("-") and word != "-":
                self._parse_option(word, remaining, options)
            else:
                positionals.append(word)
                if self.starts_command:
                    positionals.extend(remaining)
        if len(positionals) > self._max_positional and not self.starts_command:
            raise self.usage_error("too many arguments")
        return Arguments(options, positionals)

    def usage_error(self, problem: str) -> UsageError:
        """Return an error that points to the command's help."""
        return UsageError(f"{problem}; see: hf-proxy {self.command} --help")

    def _parse_option(self, word: str, remaining: Iterator[str], options: dict[str, list[str]]) -> None:
        name, equals, value = word.partition("=")
        if name in {"--help", "-h"}:
            sys.stdout.write(self._help())
            raise SystemExit(0)
        metavar = next((metavar for known, metavar, _ in self.options if known == name), None)
        if metavar is None:
            raise self.usage_error(f"'{self.command}' has no option '{name[:40]}'")
        if not metavar and equals:
            raise self.usage_error(f"{name} takes no value")
        if metavar and not equals:
            value = next(remaining, "--")
            if value.startswith("--"):
                raise self.usage_error(f"{name} needs a value: {name} {metavar}")
        options.setdefault(name, []).append(value)

    def _help(self) -> str:
        usage = " ".join(
            filter(None, ("usage: hf-proxy", self.command, "[OPTION...]" * bool(self.options), self.positionals))
        )
        rows = [(f"{name} {metavar}".rstrip(), description) for name, metavar, description in self.options]
        width = max((len(form) for form, _ in rows), default=0)
        lines = "".join(f"  {form:<{width}}  {description}\n" for form, description in rows)
        return f"{usage}\n\n{self.purpose}\n" + (f"\n{lines}" if lines else "")
