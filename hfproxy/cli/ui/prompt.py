"""Secrets come in by a prompt, a pipe or an open descriptor, never in the command line."""

import getpass
import os
import sys
import warnings

from hfproxy.errors import HFProxyError, UsageError

# More than any token or passphrase; a mistaken `< /dev/zero` ends here.
LIMIT_BYTES = 64 * 1024


def read_hidden(question: str, *, instead: str) -> str:
    """Ask on the terminal without showing what is typed.

    Args:
        question: what to ask for.
        instead: the command for where there is no terminal.

    Raises:
        UsageError: there is no terminal to ask on.
        HFProxyError: nothing was typed.
    """
    with warnings.catch_warnings():
        # Without a terminal getpass reads stdin and shows what is typed; it only warns of it.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            typed = getpass.getpass(f"{question}: ")
        except (getpass.GetPassWarning, EOFError):
            raise UsageError(f"there is no terminal to ask on; use: {instead}") from None
    if not typed:
        raise HFProxyError(f"nothing was typed, nothing was changed; try again, or: {instead}")
    return typed


def needs_terminal(instead: str) -> None:
    """Raises UsageError: there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask on; use: {instead}")


def confirm(question: str) -> bool:
    """Ask a person on the terminal for a yes; anything else is a no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def from_descriptor(number: int, option: str) -> str:
    """What an open file descriptor holds, without one newline at its end.

    Raises:
        UsageError: it is not open for reading.
        HFProxyError: it is empty, too long, or no text.
    """
    try:
        with os.fdopen(number, "rb", closefd=False) as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError:
        raise UsageError(f"descriptor {number} is not open for reading; use: {option} 3 3<FILE") from None
    return decoded(content, f"descriptor {number}").removesuffix("\n").removesuffix("\r")


def from_stdin() -> str:
    """What stdin holds; raises as `decoded`."""
    return decoded(sys.stdin.buffer.read(LIMIT_BYTES + 1), "stdin")


def from_file(path: str) -> str:
    """What a file holds; raises as `decoded`, or because it cannot be read."""
    try:
        with open(path, "rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise HFProxyError(f"{path} cannot be read ({error.strerror}); name another: --token-file FILE") from None
    return decoded(content, path)


def decoded(content: bytes, source: str) -> str:
    """The text of what was read.

    Raises:
        HFProxyError: it is empty, too long, or no text. It is not repeated.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text.strip() or len(content) > LIMIT_BYTES:
        raise HFProxyError(f"{source} holds nothing that could be a secret; nothing was changed; try again")
    return text
