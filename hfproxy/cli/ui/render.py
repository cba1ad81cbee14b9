"""Output for the user: lines, tables and times.

Labels, paths and other texts may be chosen by an attacker, and a terminal interprets control characters. So all
characters that are not printable (control characters, text direction marks) are shown as escapes. JSON escapes them by
itself.
"""

import json
import re
import sys
import time

from hfproxy.control_client import rows
from hfproxy.wire import Message

# See docs/hub-protocol.md#token-shapes; also matches shorter texts than a real token, since it may be mistyped.
HIDDEN_SHAPES = r"(?:hf_|api_org_)[A-Za-z0-9._-]{20,}"


def printable(text: object) -> str:
    """Return a text with unprintable characters escaped; "" for None."""
    if text is None:
        return ""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in str(text))


def print_error(text: str) -> None:
    """Print one line on stderr, with token-shaped texts hidden: one may be in the arguments by mistake."""
    sys.stderr.write(f"hf-proxy: {re.sub(HIDDEN_SHAPES, '<hidden>', printable(text))}\n")


def show(text: str) -> None:
    """Print one line on stdout."""
    sys.stdout.write(encodable(text) + "\n")


def encodable(text: str) -> str:
    """Return a printable text, with characters outside of stdout's encoding escaped as well."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def show_json(value: object) -> None:
    """Print a JSON value on one line of stdout."""
    sys.stdout.write(json.dumps(value) + "\n")


def show_table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print a table on stdout."""
    for line in columns(headings, rows):
        show(line)


def columns(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    """Return the lines of a table; each column is as wide as its widest cell, an empty cell is a dash."""
    lines = [headings, *(tuple(printable(cell) or "-" for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def local_time(at: object) -> str:
    """Format a time in seconds since the epoch as local time in ISO 8601; "" for other values."""
    if not isinstance(at, int | float):
        return ""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return str(at)


def join_list(items: object) -> str:
    """Format a list for the user; "" for other values."""
    return ", ".join(map(str, items)) if isinstance(items, list) else ""


def print_revocations(answer: Message) -> None:
    """Print the outcome of each token that was to be revoked at the Hub, if there are any."""
    for outcome in rows(answer, "recalled") if "recalled" in answer else []:
        name, why = outcome.get("account"), outcome.get("why")
        match outcome.get("state"):
            case "revoked":
                show(f"revoked at the Hub: the token of account {name}; the Hub was asked and no longer knows it")
            case "waiting":
                print_error(f"NOT yet revoked: the token of {name}: {why}; it will be tried again at the next unlock")
            case _:
                print_error(f"not revoked: {name}: {why}; see: hf-proxy accounts")
