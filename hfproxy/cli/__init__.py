"""The command line: thin and synchronous; it sends requests to the daemon (`control_client`) and prints the replies.

The module of a command (`hfproxy.cli.commands`) is imported when the command runs. A failure is an `HFProxyError`;
`run` turns it into one line on stderr and an exit code.
"""

import os
import sys
from importlib import import_module

from hfproxy.cli.commands import COMMANDS, module_of
from hfproxy.cli.ui.render import print_error
from hfproxy.errors import HFProxyError, UsageError


def run(words: list[str]) -> int:
    """Run a command line and return the exit code (EXIT STATUS in man/hf-proxy.1; `exec` has more).

    0 done, 1 failed, 2 usage, 130 interrupted, 141 the reader of stdout has closed it.
    """
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except UsageError as error:
        print_error(str(error))
        return 2
    except HFProxyError as error:
        print_error(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _report_write_error(error)
    return code


def _report_write_error(error: OSError) -> int:
    """Return 141 if the reader of stdout has closed it (as a shell reports SIGPIPE), else print the error."""
    # Otherwise Python would try to flush again when it closes stdout.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 141
    print_error(f"cannot write the output ({error.strerror or error}); try again")
    return 1


def _dispatch(words: list[str]) -> int:
    if not words:
        sys.stderr.write(_help())
        return 2
    command, *rest = words
    if command in COMMANDS:
        code: int = import_module(module_of(command)).run(rest)
        return code
    if command in {"--help", "-h"}:
        sys.stdout.write(_help())
    elif command == "--version":
        sys.stdout.write(f"hf-proxy {_version()}\n")
    else:
        raise _unknown(command)
    return 0


def _help() -> str:
    lines = [f"  {name:<16}{purpose}\n" for name, (_, purpose) in COMMANDS.items()]
    return (
        "usage: hf-proxy COMMAND [OPTION...]\n\n"
        "Short-lived, narrow credentials in place of a Hugging Face token.\n\n"
        f"{''.join(lines)}\nAbout one command: hf-proxy COMMAND --help\n"
    )


def _version() -> str:
    from hfproxy import __version__  # noqa: PLC0415

    return __version__


def _unknown(word: str) -> UsageError:
    from difflib import get_close_matches  # noqa: PLC0415  (needed for mistakes only)

    near = get_close_matches(word, COMMANDS, n=1)
    hint = f"; did you mean: hf-proxy {near[0]}" if near else "; see: hf-proxy --help"
    return UsageError(f"there is no command '{word[:40]}'{hint}")
