"""`audit verify`: verify the journal's chain from its first line to its last, without key or daemon.

The chain reveals every change but two. A truncated end is found with a hash from elsewhere: an anchor recorded earlier,
or that of the running daemon; each must be the hash of an entry. A wholly rewritten journal is found by the MACs of the
entries: the daemon is asked about them, if it is running and its vault is open.
"""

import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from hfproxy import paths
from hfproxy.cli.journal import chain
from hfproxy.cli.journal.chain import Chain
from hfproxy.cli.journal.macs import MacChecker
from hfproxy.cli.ui.arguments import CommandSpec
from hfproxy.cli.ui.progress import show_progress
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request, text
from hfproxy.errors import HFProxyError, JournalError
from hfproxy.wire import MAX_LINE

SYNTAX = CommandSpec(
    "audit verify",
    "Check the journal: no entry was changed, and none is missing.",
    ("--anchor", "HEX", "a hash from 'audit anchor' that the journal must contain"),
    positionals="[FILE]",
    max_positional=1,
)

ADVICE = "do not change the file, and compare it with a copy: hf-proxy audit verify COPY"


def run(words: list[str]) -> int:
    """Verify the journal and print the result.

    Raises:
        JournalError: the journal does not verify, or cannot be read.
        UsageError: the anchor is malformed.
    """
    arguments = SYNTAX.read(words)
    anchor = (arguments.text("--anchor") or "").lower()
    if arguments.switch("--anchor") and not re.fullmatch("[0-9a-f]{64}", anchor):
        raise SYNTAX.usage_error("an anchor is 64 hexadecimal digits")
    running = "" if arguments.positionals else _daemon_head()
    files = arguments.positionals or _journal_files()
    check = _Verification({anchor, running}, running)
    with show_progress("checking the journal", lambda: f"{check.chain.seq} entries"):
        check.all(files)
    if anchor in check.missing:
        raise JournalError(f"no entry has the hash {anchor}: the end was cut off, or the journal rewritten; {ADVICE}")
    if running in check.missing:
        raise JournalError(f"the daemon's last entry is not in {files[-1]}: its end was cut off; {ADVICE}")
    _show_result(check, compared=bool(running))
    return 0


def _show_result(check: "_Verification", *, compared: bool) -> None:
    macs, entries = check.macs, check.chain.seq
    show(f"entries: {entries}")
    show(f"head: {check.chain.hash}")
    show(f"compared with the daemon: {'yes' if compared else 'no'}")
    for number, seconds in check.chain.set_back:
        show(f"clock: went back at entry {number} by {seconds} seconds")
    show(f"authenticity: {f'{macs.fitting} of {entries} entries' if macs.key else 'not checked'}")
    if macs.without.count and (macs.key or macs.without.count < entries):
        show(f"without a MAC: {macs.without.count} (entries {macs.without})")
    if macs.key and macs.foreign.count:
        show(f"with the MAC of another key: {macs.foreign.count} (entries {macs.foreign})")


def _daemon_head() -> str:
    """Return the head of the running daemon's chain; "" if it cannot be asked. Call it before reading the files."""
    if paths.daemon_dir() == paths.DEDICATED_DIR and paths.state_dir() != paths.DEDICATED_STATE_DIR:
        return ""  # the machine's daemon writes another journal than the one to check
    try:
        return text(request({"do": "anchor"}), "hash")
    except HFProxyError:
        return ""


def _daemon_key_id() -> str:
    """Return the id of the running daemon's key; "" if there is none."""
    try:
        return text(request({"do": "vouch", "macs": []}), "key")
    except HFProxyError:
        return ""


def _check_macs(macs: list[tuple[str, str]]) -> list[bool] | None:
    try:
        answers = request({"do": "vouch", "macs": macs}).get("fit")
    except HFProxyError:
        return None
    return answers if isinstance(answers, list) and len(answers) == len(macs) else None


def _journal_files() -> list[str]:
    directory = paths.journal_dir()
    try:
        names = sorted(name for name in os.listdir(directory) if re.fullmatch(r"[0-9]{8}\.jsonl", name))
    except OSError:
        names = []
    if not names and paths.daemon_dir() == paths.DEDICATED_DIR:
        check = f"sudo HFPROXY_STATE_DIR={paths.DEDICATED_STATE_DIR} hf-proxy audit verify"
        raise JournalError(f"only root can check the journal of the machine's daemon; run: {check}")
    if not names:
        raise JournalError(f"there is no journal in {directory}; the daemon writes it: hf-proxy daemon")
    return [os.path.join(directory, name) for name in names]


class _Verification:
    """A single pass over all files.

    Attributes:
        missing: the expected hashes that no entry so far has.
        chain: the state of the chain.
        macs: the state of the check of MACs.
    """

    def __init__(self, expected: set[str], running: str) -> None:
        """Start a pass; `running` is the head of the running daemon, or ""."""
        self.missing = expected - {"", chain.FIRST_PREV}
        self.chain = Chain()
        self.macs = MacChecker(_daemon_key_id(), _check_macs)
        self._running = running
        self._path = ""

    def all(self, files: list[str]) -> None:
        """Verify all files in order.

        Raises:
            JournalError: the message names the file, the first invalid entry, and the reason.
        """
        try:
            for path in files:
                self._path = path
                self._file(path, is_last=path == files[-1])
            self.macs.flush()
        except OSError as error:
            raise JournalError(
                f"{self._path} cannot be read ({error.strerror}); name a journal file: hf-proxy audit verify FILE"
            ) from None
        except JournalError as error:
            raise JournalError(f"{self._mac_error() or error}; {ADVICE}") from None

    def _mac_error(self) -> JournalError | None:
        """Return the error of a false MAC before the entry that broke the chain, if there is one."""
        try:
            self.macs.flush()
        except JournalError as error:
            return error
        return None

    def _file(self, path: str, *, is_last: bool) -> None:
        with open(path, "rb") as file:
            for index, line in enumerate(self._lines(file, is_last=is_last)):
                try:
                    entry = chain.read(line)
                    if index == 0:
                        self.chain.begin(entry, path)
                    self.chain.follow(entry)
                except JournalError as error:
                    raise self._invalid_entry(str(error)) from None
                self.macs.take(entry, path)
                self.missing.discard(entry.hash)

    def _lines(self, file: BinaryIO, *, is_last: bool) -> Iterator[bytes]:
        while line := file.readline(MAX_LINE + 1):
            if not line.endswith(b"\n"):
                if is_last and self._running and self._running not in self.missing:
                    # The daemon is writing this line now; the entry of the head that it returned precedes it.
                    return
                raise self._invalid_entry("it has no end (the file was truncated, or a write was interrupted)")
            yield line[:-1]

    def _invalid_entry(self, why: str) -> JournalError:
        return JournalError(f"{self._path}: entry {self.chain.seq + 1} is wrong: {why}")
