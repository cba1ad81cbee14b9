"""`learn`: run a command with all the rights that can be granted, and print the smallest scopes that it needed.

The command is a child of this process, which the grant is bound to, and which may read the grant's journal entries.
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
    ("--yes", "", "do not ask"),
    ("--write", "", f"also write it to {project_file.PROJECT_FILE} in this directory"),
    ("--account", "NAME", "the account of the token; without it: default, or the only one"),
    positionals="[--] CMD...",
    starts_command=True,
)
QUESTION = "To learn its needs, this command gets all the rights of your token. Run it?"


def run(words: list[str]) -> int:
    """Run the command, and return its exit code; 125, 126 and 127 as for `exec`.

    Raises:
        UsageError: there is no command, no terminal to ask on, or the file of `--write` exists.
        HFProxyError: the answer is no.
    """
    arguments = SYNTAX.read(words)
    command = arguments.positionals
    if not command or not command[0]:
        raise SYNTAX.usage_error("there is no command to run")
    if arguments.switch("--write") and os.path.lexists(project_file.PROJECT_FILE):
        raise UsageError(
            f"{project_file.PROJECT_FILE} exists already; remove it, or learn without --write: hf-proxy learn -- CMD"
        )
    if not arguments.switch("--yes"):
        prompt.require_terminal("hf-proxy learn --yes -- CMD")
        if not prompt.confirm(QUESTION):
            raise HFProxyError("it was not run; with scopes that you name: hf-proxy exec --scope SCOPE -- CMD")
    return _run(command, arguments.text("--account"), write=arguments.switch("--write"))


def _run(command: list[str], account: str | None, *, write: bool) -> int:
    program, started_at = project_file.printable_path(os.path.basename(command[0])), time.monotonic()
    message: Message = {
        "do": "mint",
        "learn": True,
        "bind": "pid",
        "of": "caller",
        "label": "learn",
        "program": program,
    }
    try:
        minted = mint({**message, **({"account": account} if account else {}), "found": token_candidates(os.environ)})
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
        # The times of journal entries are whole seconds.
        _report(_entries_of_run(int(time.monotonic() - started_at) + 2), failed=status != 0, write=write)
    except HFProxyError as error:
        print_error(str(error))
    return child.exit_like(status)


def _entries_of_run(seconds: int) -> LeastScopes:
    """Compute the scopes from the grant's entries; inside of a grant the daemon returns no others."""
    return from_entries(stream({"do": "audit", "since": f"{seconds}s"}))


def _report(profile: LeastScopes, *, failed: bool, write: bool) -> None:
    remarks = _remarks(profile, failed=failed)
    if not profile.scopes:
        remarks.append("# It needs no scope.")
        _print(remarks)
        return
    table = ["scopes = [", *(f'  "{scope}",' for scope in profile.scopes), "]"]
    options = " ".join(f"--scope {shlex.quote(str(scope))}" for scope in profile.scopes)
    _print([*remarks, "[profiles.learned]", *table, "", f"hf-proxy exec {options} -- CMD"])
    if write:
        _write([*remarks, *table])
        _print([f"written: {project_file.PROJECT_FILE}; to use it: hf-proxy allow"])


def _remarks(profile: LeastScopes, *, failed: bool) -> list[str]:
    """Return remarks on the result as comments. They omit the command's arguments, which may hold a secret."""
    lines = [f"Learned from {profile.requests} requests."]
    lines += [f"{count} of these could be replaced by one: {scope}" for scope, count in profile.wider.items()]
    if profile.searches:
        lines.append("It searches all repositories, and finds the public ones; to find private ones it needs: read")
    lines += [f"Refused, and no scope allows it: {request}" for request in profile.not_grantable]
    if profile.unrecorded:
        lines.append(f"{profile.unrecorded} more needs are not in the journal: this list is incomplete.")
    if failed:
        lines.append("The command failed: it may need more than this.")
    return [f"# {printable(line)}" for line in lines]


def _print(lines: list[str]) -> None:
    for line in lines:
        sys.stderr.write(printable(line) + "\n")


def _write(lines: list[str]) -> None:
    try:
        with open(project_file.PROJECT_FILE, "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise HFProxyError(
            f"{project_file.PROJECT_FILE} cannot be written ({error.strerror}); copy it, or try again:"
            " hf-proxy learn -- CMD"
        ) from None
