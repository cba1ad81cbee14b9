"""`env`: print a credential as lines for a shell to evaluate: `eval "$(hf-proxy env)"`.

The result is the environment that `exec` gives its command. For a shell, every variable that takes precedence is unset,
whether it is set now or not, so that the lines can be stored; `--shell json` prints one object to merge, with null for
variables to unset, and `--shell docker` prints a file for `docker run --env-file`.
"""

import json
import os
import re
import sys

from hfproxy.cli.project.project_file import with_project
from hfproxy.cli.run.containers import for_container
from hfproxy.cli.run.environment import REMOVED_VARIABLES, for_child, token_candidates
from hfproxy.cli.run.git_config import quoted
from hfproxy.cli.run.grant_request import GRANT_OPTIONS, mint, mint_request
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import print_error

SHELLS = ("sh", "bash", "zsh", "fish", "json", "docker")

SYNTAX = CommandSpec(
    "env",
    'Print a credential as lines to evaluate: eval "$(hf-proxy env)"',
    *GRANT_OPTIONS,
    (
        "--shell",
        "|".join(SHELLS),
        "the output's syntax; without it: sh; docker is an --env-file, and needs --container",
    ),
)


def run(words: list[str]) -> int:
    """Mint a credential and print its environment. Raises HFProxyError if the daemon cannot be reached or refuses."""
    arguments = SYNTAX.read(words)
    shell = arguments.choice("--shell", SHELLS, default="sh")
    if shell == "docker" and not arguments.switch("--container"):
        raise SYNTAX.usage_error("--shell docker needs --container")
    message = with_project(mint_request(arguments, bind="none", of="parent"))
    minted = mint({**message, "found": token_candidates(os.environ)})
    child = for_child(os.environ, minted)
    lines = _env_file(child) if shell == "docker" else _lines(shell, _changed(child))
    # As bytes, so that a value that is not valid in this locale is preserved.
    sys.stdout.buffer.write(os.fsencode(lines))
    return 0


def _changed(child: dict[str, str]) -> dict[str, str]:
    """Return the variables to set, without names that no shell can export (such as those of bash functions)."""
    changed = {name: value for name, value in child.items() if os.environ.get(name) != value}
    unexportable = [name for name in changed if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]
    for name in unexportable:
        print_error(f"the variable '{name}' holds a token and cannot be set from here; remove it yourself")
        del changed[name]
    return changed


def _lines(shell: str, changed: dict[str, str]) -> str:
    if shell == "json":
        return json.dumps({**changed, **{name: None for name in REMOVED_VARIABLES if name in os.environ}}) + "\n"
    if shell == "fish":
        exports = [f"set -gx {name} {_fish_quoted(value)}" for name, value in changed.items()]
        return "\n".join([*exports, f"set -e {' '.join(REMOVED_VARIABLES)}"]) + "\n"
    exports = [f"export {name}={quoted(value)}" for name, value in changed.items()]
    return "\n".join([*exports, f"unset {' '.join(REMOVED_VARIABLES)}"]) + "\n"


def _env_file(child: dict[str, str]) -> str:
    """Return one variable a line, unquoted: neither docker nor podman supports quotes in an env-file."""
    return "".join(f"{name}={value}\n" for name, value in for_container(child).items())


def _fish_quoted(value: str) -> str:
    r"""Quote for fish, which knows the escapes `\\` and `\'` between single quotes (fish, "Quotes")."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
