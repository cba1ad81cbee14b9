"""The syntax of each command, and of its subcommands (`audit`, `audit verify`), for completion and the manual."""

from importlib import import_module

from hfproxy.cli.commands import SUBCOMMANDS, module_of
from hfproxy.cli.ui.arguments import CommandSpec


def pages(command: str) -> dict[str, CommandSpec]:
    """Return the syntax of a command and of its subcommands, by name; the command itself comes first."""
    names = [command, *(name for name in SUBCOMMANDS if name.split()[0] == command)]
    values = [value for module in map(module_of, names) for value in vars(import_module(module)).values()]
    specs = {spec.command: spec for spec in values if isinstance(spec, CommandSpec) and spec.command in names}
    return dict(sorted(specs.items()))
