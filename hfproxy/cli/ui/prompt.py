"""Reads secrets from a prompt, a pipe, a file or an open descriptor, never from the command line."""

import getpass
import os
import sys
import warnings

from hfproxy.errors import HFProxyError, UsageError

# More than any token or passphrase; also bounds the read of a mistaken `< /dev/zero`.
LIMIT_BYTES = 64 * 1024


def read_hidden(question: str, *, instead: str) -> str:
    """Prompt on the terminal without echo.

    Args:
        question: the text of the prompt.
        instead: the command to use without a terminal, for messages.

    Raises:
        UsageError: there is no terminal.
        HFProxyError: the answer is empty.
    """
    with warnings.catch_warnings():
        # Without a terminal getpass would read stdin with echo, and only warn of it.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            typed = getpass.getpass(f"{question}: ")
        except (getpass.GetPassWarning, EOFError):
            raise UsageError(f"there is no terminal to ask on; use: {instead}") from None
    if not typed:
        raise HFProxyError(f"nothing was typed, nothing was changed; try again, or: {instead}")
    return typed


def require_terminal(instead: str) -> None:
    """Raise UsageError if stdin is not a terminal; `instead` is the command to use then."""
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask on; use: {instead}")


def confirm(question: str) -> bool:
    """Ask the user on the terminal; any answer but `y` or `yes` counts as no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def from_descriptor(number: int, option: str) -> str:
    """Read a secret from an open file descriptor, with one trailing newline, if any, removed.

    Raises:
        UsageError: the descriptor is not open for reading.
        HFProxyError: the content is empty, too long, or not UTF-8.
    """
    try:
        with os.fdopen(number, "rb", closefd=False) as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError:
        raise UsageError(f"descriptor {number} is not open for reading; use: {option} 3 3<FILE") from None
    return decode_secret(content, f"descriptor {number}").removesuffix("\n").removesuffix("\r")


def from_stdin() -> str:
    """Read a secret from stdin.

    Raises:
        HFProxyError: the content is empty, too long, or not UTF-8.
    """
    return decode_secret(sys.stdin.buffer.read(LIMIT_BYTES + 1), "stdin")


def from_file(path: str) -> str:
    """Read a secret from a file.

    Raises:
        HFProxyError: the file cannot be read, or its content is empty, too long, or not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise HFProxyError(f"{path} cannot be read ({error.strerror}); name another: --token-file FILE") from None
    return decode_secret(content, path)


def decode_secret(content: bytes, source: str) -> str:
    """Decode a secret; `source` is for messages.

    Raises:
        HFProxyError: the content is empty, too long, or not UTF-8. The message does not contain it.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text.strip() or len(content) > LIMIT_BYTES:
        raise HFProxyError(f"{source} holds nothing that could be a secret; nothing was changed; try again")
    return text
