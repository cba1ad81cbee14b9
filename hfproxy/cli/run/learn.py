"""`learn`: run a command with all that may be granted, and say with how little it would have run.

The command is a child of ours, so the grant is bound to us, and what the journal has of it is ours to read.
"""

import os
import shlex
import sys
import time

from hfproxy.cli.project import project_file
from hfproxy.cli.run import child
from hfproxy.cli.run.environment import for_child, token_candidates
from hfproxy.cli.run.exit_codes import NO_DAEMON, NOT_EXECUTABLE, NOT_FOUND
from hfproxy.cli.run.grant_request import mint
from hfproxy.cli.ui import prompt
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import print_error, printable
from hfproxy.control_client import stream
from hfproxy.core.audit.least_scopes import LeastScopes, from_entries
from hfproxy.errors import HFProxyError, UsageError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "learn",
    "Run a command with everything that may be granted, and print the smallest profile that it needed, on stderr.",
    ("--yes", "", "without asking"),
    ("--write", "", f"write it to {project_file.FILE} in this directory as well"),
    ("--account", "NAME", "whose token stands behind it; without it: default, or the only one"),
    rest="[--] CMD...",
    starts_command=True,
)
QUESTION = "This command will be able to do all that your token may do, so that what it needs is seen. Run it?"


def run(words: list[str]) -> int:
    """The exit code is the command's own; 125, 126 and 127 as with `exec`.

    Raises:
        UsageError: there is no command, no terminal to ask on, or a file in the way of `--write`.
        HFProxyError: the answer is no.
    """
    arguments = SYNTAX.read(words)
    command = arguments.rest
    if not command or not command[0]:
        raise SYNTAX.usage_error("there is no command to run")
    if arguments.switch("--write") and os.path.lexists(project_file.FILE):
        raise UsageError(
            f"{project_file.FILE} is there already; remove it, or learn without --write: hf-proxy learn -- CMD"
        )
    if not arguments.switch("--yes"):
        prompt.needs_terminal("hf-proxy learn --yes -- CMD")
        if not prompt.confirm(QUESTION):
            raise HFProxyError("it was not run; with scopes that you name: hf-proxy exec --scope SCOPE -- CMD")
    return _run(command, arguments.text("--account"), write=arguments.switch("--write"))


def _run(command: list[str], account: str | None, *, write: bool) -> int:
    program, began = project_file.printable_path(os.path.basename(command[0])), time.monotonic()
    wanted: Message = {"do": "mint", "learn": True, "bind": "pid", "of": "caller", "label": "learn", "program": program}
    try:
        minted = mint({**wanted, **({"account": account} if account else {}), "found": token_candidates(os.environ)})
        environment = for_child(os.environ, minted)
    except UsageError:
        raise
    except HFProxyError as error:
        print_error(str(error))
        return NO_DAEMON
    try:
        status = child.run(command, environment)
    except (FileNotFoundError, NotADirectoryError):
        print_error(f"{command[0]}: command not found; it was not run")
        return NOT_FOUND
    except OSError as error:
        print_error(f"{command[0]}: {error.strerror}; it was not run")
        return NOT_EXECUTABLE
    try:
        # Entries are stamped in whole seconds.
        _tell(_entries_of_run(int(time.monotonic() - began) + 2), failed=status != 0, write=write)
    except HFProxyError as error:
        print_error(str(error))
    return child.exit_like(status)


def _entries_of_run(seconds: int) -> LeastScopes:
    """From inside of the grant, so of this grant alone."""
    return from_entries(stream({"do": "audit", "since": f"{seconds}s"}))


def _tell(profile: LeastScopes, *, failed: bool, write: bool) -> None:
    said = _remarks(profile, failed=failed)
    if not profile.scopes:
        said.append("# It needs no scope.")
        _print(said)
        return
    table = ["scopes = [", *(f'  "{scope}",' for scope in profile.scopes), "]"]
    options = " ".join(f"--scope {shlex.quote(str(scope))}" for scope in profile.scopes)
    _print([*said, "[profiles.learned]", *table, "", f"hf-proxy exec {options} -- CMD"])
    if write:
        _write([*said, *table])
        _print([f"written: {project_file.FILE}; to use it: hf-proxy allow"])


def _remarks(profile: LeastScopes, *, failed: bool) -> list[str]:
    """What there is to know beside the scopes, as comments. The command's words are not: they may hold a secret."""
    lines = [f"Learned from {profile.requests} requests."]
    lines += [f"For {count} of these one could stand: {scope}" for scope, count in profile.wider.items()]
    if profile.searches:
        lines.append("It searches among all repositories, and finds the public ones; to find all it needs: read")
    lines += [f"Refused, and no scope allows it: {what}" for what in profile.beyond]
    if profile.unrecorded:
        lines.append(f"{profile.unrecorded} more needs are not in the journal: this is not all of it.")
    if failed:
        lines.append("The command failed: this may not be all that it needs.")
    return [f"# {printable(line)}" for line in lines]


def _print(lines: list[str]) -> None:
    for line in lines:
        sys.stderr.write(printable(line) + "\n")


def _write(lines: list[str]) -> None:
    try:
        with open(project_file.FILE, "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise HFProxyError(
            f"{project_file.FILE} cannot be written ({error.strerror}); copy it, or once more: hf-proxy learn -- CMD"
        ) from None
