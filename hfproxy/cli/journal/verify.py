"""`audit verify`: follow the journal's chain from its first line to its last, without key or daemon.

The chain shows any change but two. That its end was cut off: for that a hash from elsewhere is needed, an anchor that
was written down, or, where the daemon is up, the one it holds. Each has to be an entry's hash. And that all was made
anew: for that the entries carry MACs, and the daemon, if it is up and its vault is open, is asked about them.
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
from hfproxy.cli.ui.progress import waiting
from hfproxy.cli.ui.render import show
from hfproxy.control_client import request, text
from hfproxy.errors import HFProxyError, JournalError
from hfproxy.wire import MAX_LINE

SYNTAX = CommandSpec(
    "audit verify",
    "Check the journal: every entry is as it was written, and none is missing.",
    ("--anchor", "HEX", "a hash from 'audit anchor' that has to be in it"),
    rest="[FILE]",
    max_positional=1,
)

ADVICE = "keep the file as it is, and compare it with a copy: hf-proxy audit verify COPY"


def run(words: list[str]) -> int:
    """Raises JournalError for a journal that does not verify, UsageError for an anchor that is none."""
    arguments = SYNTAX.read(words)
    anchor = (arguments.text("--anchor") or "").lower()
    if arguments.switch("--anchor") and not re.fullmatch("[0-9a-f]{64}", anchor):
        raise SYNTAX.usage_error("an anchor is 64 hexadecimal digits")
    running = "" if arguments.rest else _hash_of_the_daemon()
    files = arguments.rest or _journal_files()
    check = _Verification({anchor, running}, running)
    with waiting("checking the journal", lambda: f"{check.chain.seq} entries"):
        check.all(files)
    if anchor in check.missing:
        raise JournalError(f"no entry has the hash {anchor}: the end was cut off, or all rewritten; {ADVICE}")
    if running in check.missing:
        raise JournalError(f"the daemon's last entry is not in {files[-1]}: its end was cut off; {ADVICE}")
    _tell(check, compared=bool(running))
    return 0


def _tell(check: "_Verification", *, compared: bool) -> None:
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


def _hash_of_the_daemon() -> str:
    """Where the daemon says the chain stands; empty if it cannot be asked. Ask before reading: files grow."""
    if paths.daemon_dir() == paths.DEDICATED_DIR and paths.state_dir() != paths.DEDICATED_STATE_DIR:
        return ""  # the machine's, which writes another journal than what is here
    try:
        return text(request({"do": "anchor"}), "hash")
    except HFProxyError:
        return ""


def _key_of_the_daemon() -> str:
    """The name of the key that the daemon can be asked about; empty if there is none."""
    try:
        return text(request({"do": "vouch", "macs": []}), "key")
    except HFProxyError:
        return ""


def _matching_macs(macs: list[tuple[str, str]]) -> list[bool] | None:
    try:
        fit = request({"do": "vouch", "macs": macs}).get("fit")
    except HFProxyError:
        return None
    return fit if isinstance(fit, list) and len(fit) == len(macs) else None


def _journal_files() -> list[str]:
    directory = paths.journal_dir()
    try:
        names = sorted(name for name in os.listdir(directory) if re.fullmatch(r"[0-9]{8}\.jsonl", name))
    except OSError:
        names = []
    if not names and paths.daemon_dir() == paths.DEDICATED_DIR:
        check = f"sudo HFPROXY_STATE_DIR={paths.DEDICATED_STATE_DIR} hf-proxy audit verify"
        raise JournalError(f"the journal of the machine's daemon is for root to check, who runs: {check}")
    if not names:
        raise JournalError(f"there is no journal in {directory}; the daemon writes it: hf-proxy daemon")
    return [os.path.join(directory, name) for name in names]


class _Verification:
    """One way through all files, that looks for hashes as it goes."""

    def __init__(self, sought: set[str], running: str) -> None:
        self.missing = sought - {"", chain.BEGINNING}
        self.chain = Chain()
        self.macs = MacChecker(_key_of_the_daemon(), _matching_macs)
        self._running = running
        self._path = ""

    def all(self, files: list[str]) -> None:
        """Read them all.

        Raises:
            JournalError: names the file, the first entry that is wrong, and what is wrong with it.
        """
        try:
            for path in files:
                self._path = path
                self._one(path, is_last=path == files[-1])
            self.macs.flush()
        except OSError as error:
            raise JournalError(f"{self._path} cannot be read ({error.strerror}); see: hf-proxy status") from None
        except JournalError as error:
            raise JournalError(f"{self._earlier() or error}; {ADVICE}") from None

    def _earlier(self) -> JournalError | None:
        """What is wrong with an entry before the one that broke the chain."""
        try:
            self.macs.flush()
        except JournalError as error:
            return error
        return None

    def _one(self, path: str, *, is_last: bool) -> None:
        with open(path, "rb") as file:
            for place, line in enumerate(self._lines(file, is_last=is_last)):
                try:
                    entry = chain.read(line)
                    if place == 0:
                        self.chain.begin(entry, path)
                    self.chain.follow(entry)
                except JournalError as error:
                    raise self._wrong(str(error)) from None
                self.macs.take(entry, path)
                self.missing.discard(entry.hash)

    def _lines(self, file: BinaryIO, *, is_last: bool) -> Iterator[bytes]:
        while line := file.readline(MAX_LINE + 1):
            if not line.endswith(b"\n"):
                if is_last and self._running and self._running not in self.missing:
                    # The daemon is writing this one now: all that it told of is before it.
                    return
                raise self._wrong("it has no end (the file was cut, or a write was)")
            yield line[:-1]

    def _wrong(self, why: str) -> JournalError:
        return JournalError(f"{self._path}: entry {self.chain.seq + 1} is wrong: {why}")
