"""The command line: thin and synchronous; it asks the daemon (`client`) and shows what it says.

One module a command, named here as text and loaded when it is the one: `exec` pays for nothing but itself. A
module has `run(words) -> exit code`. Failures come up as `HFProxyError` and become one line on stderr here.
"""

import os
import sys
from importlib import import_module

from hfproxy.cli.render import print_error
from hfproxy.errors import HFProxyError, UsageError

COMMANDS = {
    "login": "put a token into the vault, once",
    "accounts": "the tokens of the vault: whose they are and what they may",
    "logout": "forget a token",
    "exec": "run a command with a credential in place of the token",
    "mint": "a credential for what cannot be run by exec",
    "env": "a credential as lines for a shell to eval",
    "allow": "trust what a project's file asks for",
    "learn": "run a command, and print the smallest profile that it needs",
    "grants": "what is granted now",
    "renew": "let a grant live on",
    "revoke": "end grants now",
    "audit": "read the journal; also: audit report, audit verify, audit anchor",
    "lockdown": "the bad day: end every grant, lock the vault, revoke the tokens",
    "rotate": "replace a token by a new one that may do what was used",
    "status": "is the daemon up",
    "doctor": "what is weak here, measured",
    "metrics": "counters of the daemon, for Prometheus",
    "daemon": "run the daemon in the foreground",
    "service": "have systemd run the daemon: install, uninstall, status",
    "unlock": "open a sealed vault",
    "lock": "close the vault",
    "vault": "seal what lies in the keyring; the way back",
    "scan": "find tokens in the clear; with --migrate: move them into the vault",
    "completion": "complete the words of hf-proxy in bash, zsh or fish",
    "git-credential": "answer git when it asks for a password",
}


def run(words: list[str]) -> int:
    """Do what was typed; returns the exit code: 0 done, 1 failed, 2 usage, 130 interrupted (`exec`: more)."""
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
        return _cannot_write(error)
    return code


def _cannot_write(error: OSError) -> int:
    """Whoever read our output has enough (as a shell says it: 141), or there is no room for it."""
    # Python would try again when it closes stdout.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return 141
    print_error(f"{error.strerror}; try again")
    return 1


def _dispatch(words: list[str]) -> int:
    if not words:
        sys.stderr.write(_help())
        return 2
    command, *rest = words
    if command in COMMANDS:
        code: int = import_module(f"hfproxy.cli.{command.replace('-', '_')}").run(rest)
        return code
    if command in {"--help", "-h"}:
        sys.stdout.write(_help())
    elif command == "--version":
        sys.stdout.write(f"hf-proxy {_version()}\n")
    else:
        raise _unknown(command)
    return 0


def _help() -> str:
    lines = [f"  {name:<16}{purpose}\n" for name, purpose in COMMANDS.items()]
    return (
        "usage: hf-proxy COMMAND [OPTION...]\n\n"
        "Short-lived, narrow credentials in place of a Hugging Face token.\n\n"
        f"{''.join(lines)}\nAbout one command: hf-proxy COMMAND --help\n"
    )


def _version() -> str:
    from hfproxy import __version__  # noqa: PLC0415

    return __version__


def _unknown(word: str) -> UsageError:
    from difflib import get_close_matches  # noqa: PLC0415  (only a mistake pays for it)

    near = get_close_matches(word, COMMANDS, n=1)
    hint = f"; did you mean: hf-proxy {near[0]}" if near else "; see: hf-proxy --help"
    return UsageError(f"there is no command '{word[:40]}'{hint}")
