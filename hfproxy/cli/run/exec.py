"""`exec`: replace this process by a command with a credential in its environment.

There is no wrapper process: the process id stays the same, so signals, terminal and exit code are the command's own,
and the daemon ends the grant, which is bound to this process id, when the command ends.
"""

import os
import signal

from hfproxy.cli.project.project_file import printable_path, with_project
from hfproxy.cli.run.environment import for_child, token_candidates
from hfproxy.cli.run.exit_codes import NO_DAEMON, NOT_EXECUTABLE, NOT_FOUND
from hfproxy.cli.run.grant_request import GRANT_OPTIONS, mint, mint_request
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.render import print_error
from hfproxy.control_client import request, text
from hfproxy.errors import HFProxyError, UsageError
from hfproxy.wire import Message

SYNTAX = CommandSpec(
    "exec",
    "Run a command with a credential in place of the token. The grant ends with the command.",
    *GRANT_OPTIONS,
    positionals="[--] CMD...",
    starts_command=True,
)

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h; it survives execve(2)


def run(words: list[str]) -> int:
    """Run the command; returns only if it could not be run: 125, 126 or 127.

    Raises:
        UsageError: an argument is malformed.
    """
    arguments = SYNTAX.read(words)
    command = arguments.positionals
    if not command or not command[0]:
        raise SYNTAX.usage_error("there is no command to run")
    message = mint_request(arguments, bind="pid", of="caller")
    try:
        program = printable_path(os.path.basename(command[0]))
        minted = mint({**with_project(message), "program": program, "found": token_candidates(os.environ)})
        environment = for_child(os.environ, minted)
    except UsageError:
        raise
    except HFProxyError as error:
        print_error(str(error))
        return NO_DAEMON
    if minted.get("container") is True:
        from hfproxy.cli.run.containers import with_variables  # noqa: PLC0415  (needed with --container only)

        command = with_variables(command, environment)
    if message["bind"] == "tree":
        _become_subreaper()
    return _exec(command, environment, minted)


def _exec(command: list[str], environment: dict[str, str], minted: Message) -> int:
    try:
        _set_pipe_signals(signal.SIG_DFL)
        os.execvpe(command[0], command, environment)
    except (FileNotFoundError, NotADirectoryError):
        code, reason = NOT_FOUND, "command not found"
    except OSError as error:
        code, reason = NOT_EXECUTABLE, str(error.strerror)
    _set_pipe_signals(signal.SIG_IGN)
    _revoke_unused(minted)
    print_error(f"{command[0]}: {reason}; it was not run and its grant is revoked")
    return code


def _become_subreaper() -> None:
    """Make orphans of the command's children children of the command, so that the daemon finds them in its tree."""
    from ctypes import CDLL  # noqa: PLC0415  (needed with --bind tree only)

    CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _set_pipe_signals(handler: signal.Handlers) -> None:
    """Set the handler of two signals that Python ignores; the command would inherit that, and `yes | head` not end."""
    signal.signal(signal.SIGPIPE, handler)
    signal.signal(signal.SIGXFSZ, handler)


def _revoke_unused(minted: Message) -> None:
    """Revoke the unused grant. If that fails, the grant ends with this process or when it expires."""
    try:  # noqa: SIM105  (contextlib is slow to import)
        request({"do": "revoke", "ids": [text(minted, "id")]})
    except HFProxyError:
        pass
