"""What every command takes: the `Syntax` of each, and of those below it (`audit`, `audit verify`).

A command that has others below it keeps each in a module of its own, `audit_verify.py`, or beside its own syntax.
"""

import os
from importlib import import_module

from hfproxy.cli.options import CommandSpec


def pages(command: str) -> dict[str, CommandSpec]:
    """By what is typed for it, the command itself first."""
    name = command.replace("-", "_")
    modules = sorted({file.removesuffix(".py") for file in os.listdir(os.path.dirname(__file__))})
    modules = [module for module in modules if module == name or module.startswith(f"{name}_")]
    values = [value for module in modules for value in vars(import_module(f"hfproxy.cli.{module}")).values()]
    found = {one.command: one for one in values if isinstance(one, CommandSpec) and one.command.split()[0] == command}
    return dict(sorted(found.items()))
