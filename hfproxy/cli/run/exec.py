"""`exec`: become the command, with a credential in its environment.

No process of ours is left: the process id stays, so signals, terminal and exit code are the command's own,
and the daemon, which holds the grant to this process id, ends it with the command.
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
    rest="[--] CMD...",
    starts_command=True,
)

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h; it survives execve(2)


def run(words: list[str]) -> int:
    """Returns only if the command could not be run: 125, 126 or 127.

    Raises:
        UsageError: what was typed cannot mean anything.
    """
    arguments = SYNTAX.read(words)
    command = arguments.rest
    if not command or not command[0]:
        raise SYNTAX.usage_error("there is no command to run")
    wanted = mint_request(arguments, bind="pid", of="caller")
    try:
        program = printable_path(os.path.basename(command[0]))
        minted = mint({**with_project(wanted), "program": program, "found": token_candidates(os.environ)})
        environment = for_child(os.environ, minted)
    except UsageError:
        raise
    except HFProxyError as error:
        print_error(str(error))
        return NO_DAEMON
    if minted.get("container") is True:
        from hfproxy.cli.run.containers import with_variables  # noqa: PLC0415  (only this pays for it)

        command = with_variables(command, environment)
    if wanted["bind"] == "tree":
        _become_subreaper()
    return _exec(command, environment, minted)


def _exec(command: list[str], environment: dict[str, str], minted: Message) -> int:
    try:
        _set_pipe_signals(signal.SIG_DFL)
        os.execvpe(command[0], command, environment)
    except (FileNotFoundError, NotADirectoryError):
        code, what = NOT_FOUND, "command not found"
    except OSError as error:
        code, what = NOT_EXECUTABLE, str(error.strerror)
    _set_pipe_signals(signal.SIG_IGN)
    _revoke_unused(minted)
    print_error(f"{command[0]}: {what}; it was not run and its grant is revoked")
    return code


def _become_subreaper() -> None:
    """What the command's children leave behind is handed to the command, so that the daemon sees it in the tree."""
    from ctypes import CDLL  # noqa: PLC0415  (only this pays for it)

    CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _set_pipe_signals(handler: signal.Handlers) -> None:
    """Python ignores these, and a command would inherit that: `yes | head` would not end as it does."""
    signal.signal(signal.SIGPIPE, handler)
    signal.signal(signal.SIGXFSZ, handler)


def _revoke_unused(minted: Message) -> None:
    """Revoke what is not used. Where that fails it still ends with this process, or with its time."""
    try:  # noqa: SIM105  (as in client)
        request({"do": "revoke", "ids": [text(minted, "id")]})
    except HFProxyError:
        pass
