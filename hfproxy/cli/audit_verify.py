"""`audit verify`: follow the journal's chain from its first line to its last, without key or daemon.

The chain shows any change but one: that its end was cut off. For that a hash from elsewhere is needed: an
anchor that was written down, or, where the daemon is up, the one it holds. Each has to be an entry's hash.
"""

import glob
import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from hfproxy import paths
from hfproxy.cli.options import Syntax
from hfproxy.cli.render import show
from hfproxy.client import ask, text
from hfproxy.core import audit
from hfproxy.core.audit import Head
from hfproxy.errors import HFProxyError, JournalError
from hfproxy.wire import MAX_LINE

SYNTAX = Syntax(
    "audit verify",
    "Check the journal: every entry is as it was written, and none is missing.",
    ("--anchor", "HEX", "a hash from 'audit anchor' that has to be in it"),
    rest="[FILE]",
    most=1,
)

ADVICE = "keep the file as it is, and compare it with a copy: hf-proxy audit verify COPY"


def run(words: list[str]) -> int:
    """Raises JournalError for a journal that does not verify, UsageError for an anchor that is none."""
    arguments = SYNTAX.read(words)
    anchor = (arguments.text("--anchor") or "").lower()
    if arguments.switch("--anchor") and not re.fullmatch("[0-9a-f]{64}", anchor):
        raise SYNTAX.wrong("an anchor is 64 hexadecimal digits")
    running = "" if arguments.rest else _hash_of_the_daemon()
    files = arguments.rest or _journal_files()
    chain = _Chain({anchor, running} - {""}, running)
    head = chain.check(files)
    if anchor in chain.missing:
        raise JournalError(f"no entry has the hash {anchor}: the end was cut off, or all rewritten; {ADVICE}")
    if running in chain.missing:
        raise JournalError(f"the daemon's last entry is not in {files[-1]}: its end was cut off; {ADVICE}")
    show(f"entries: {head.seq}")
    show(f"head: {head.hash}")
    show(f"compared with the daemon: {'yes' if running else 'no'}")
    show("authenticity: not checked")
    return 0


def _hash_of_the_daemon() -> str:
    """Where the daemon says the chain stands; empty if it cannot be asked. Ask before reading: files grow."""
    try:
        return text(ask({"do": "anchor"}), "hash")
    except HFProxyError:
        return ""


def _journal_files() -> list[str]:
    directory = paths.journal_dir()
    files = sorted(glob.glob(os.path.join(glob.escape(directory), "[0-9]*.jsonl")))
    if not files:
        raise JournalError(f"there is no journal in {directory}; the daemon writes it: hf-proxy daemon")
    return files


class _Chain:
    """One way through all files, that looks for hashes as it goes."""

    def __init__(self, sought: set[str], running: str) -> None:
        self.missing = sought - {audit.START}
        self._running = running

    def check(self, files: list[str]) -> Head:
        """Where the chain ends.

        Raises:
            JournalError: names the file and what is wrong.
        """
        head = Head()
        for path in files:
            try:
                with open(path, "rb") as file:
                    head = audit.check(self._lines(file, head), head)
            except OSError as error:
                raise JournalError(f"{path} cannot be read ({error.strerror}); see: hf-proxy status") from None
            except JournalError as error:
                raise JournalError(f"{path}: {error}; {ADVICE}") from None
        return head

    def _lines(self, file: BinaryIO, head: Head) -> Iterator[bytes]:
        number = head.seq
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if not line.endswith(b"\n"):
                if self._running and self._running not in self.missing:
                    # The daemon is writing this one now: all that it told of is before it.
                    return
                raise JournalError(f"entry {number} is wrong: it has no end (the file was cut, or a write was)")
            line = line[:-1]
            if number == 1:
                _refuse_late_start(line)
            self.missing.discard(_claimed_hash(line))
            yield line


def _claimed_hash(line: bytes) -> str:
    """The hash at the end of a line; that it is the line's own is for `audit.check` to find."""
    return line[-66:-2].decode("ascii", "replace")


def _refuse_late_start(line: bytes) -> None:
    """A later file alone would only say that its first line follows nothing."""
    try:
        seq = audit.standing(line).seq
    except JournalError:
        return
    if seq != 1:
        raise JournalError(f"it begins with entry {seq}: the files before it are missing")
