"""What is written for a person: lines, tables and moments.

Labels, paths and the like were chosen by others, and a terminal obeys what it is shown. So all that cannot be
printed (control characters, text direction marks) is shown as an escape. JSON does that by itself.
"""

import json
import re
import sys
import time

from hfproxy.control_client import rows
from hfproxy.wire import Message

# docs/hub-protocol.md#token-shapes; shorter than a real token, since a mistyped one is still one.
SECRETS = r"(?:hf_|api_org_)[A-Za-z0-9._-]{20,}"


def printable(text: object) -> str:
    """Text that a terminal only shows; nothing for None."""
    if text is None:
        return ""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in str(text))


def print_error(text: str) -> None:
    """One line on stderr. What has the shape of a token is left out: it may have been typed by mistake."""
    sys.stderr.write(f"hf-proxy: {re.sub(SECRETS, '<hidden>', printable(text))}\n")


def show(text: str) -> None:
    """One line on stdout."""
    sys.stdout.write(encodable(text) + "\n")


def encodable(text: str) -> str:
    """Printable text, with what the encoding of stdout cannot say as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def show_json(value: object) -> None:
    """One JSON value on one line of stdout."""
    sys.stdout.write(json.dumps(value) + "\n")


def show_table(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """A table on stdout."""
    for line in columns(headings, rows):
        show(line)


def columns(headings: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    """The lines of a table, its columns as wide as their widest cell; an empty cell is a dash."""
    lines = [headings, *(tuple(printable(cell) or "-" for cell in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def local_time(at: object) -> str:
    """A moment in local time, ISO 8601; nothing for what is none."""
    if not isinstance(at, int | float):
        return ""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return str(at)


def join_list(items: object) -> str:
    """A list as a person reads it."""
    return ", ".join(map(str, items)) if isinstance(items, list) else ""


def tell_recalled(answer: Message) -> None:
    """What became of tokens that were to be revoked at the Hub; nothing if none was."""
    for one in rows(answer, "recalled") if "recalled" in answer else []:
        name, why = one.get("account"), one.get("why")
        match one.get("state"):
            case "revoked":
                show(
                    f"revoked at the Hub: the token of account {name}; the Hub was asked and does not know it any more"
                )
            case "waiting":
                print_error(f"NOT yet revoked: the token of {name}: {why}; it will be tried again at the next unlock")
            case _:
                print_error(f"not revoked: {name}: {why}; see: hf-proxy accounts")
