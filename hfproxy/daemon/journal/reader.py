"""Reading the journal back, for `hf-proxy audit`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from hfproxy import wire
from hfproxy.daemon.journal.writer import JournalWriter
from hfproxy.errors import JournalError

FOLLOW_SECONDS: Final = 0.2
# So many entries are read before requests get their turn: a year's journal takes seconds, and a request several turns.
YIELD_EVERY: Final = 20
CHAIN: Final = ("prev", "mac", "hash")
_decoder: Final = msgspec.json.Decoder(wire.Message)


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """A selection of entries. A field that is None selects every entry.

    Attributes:
        since: The earliest `at`, in seconds since the epoch.
        grant: The id of one grant.
        repo: `TYPE/ns/name` or `ns/name`, in any case.
        action: One action word, such as `write`.
        denied: Only refused requests.
        follow: After the last entry, wait for new ones.
        root: Only the entries of this grant and of its descendants.
        uid: Only the entries of this user.
    """

    since: int | None = None
    grant: str | None = None
    repo: str | None = None
    action: str | None = None
    denied: bool = False
    follow: bool = False
    root: str | None = None
    uid: int | None = None

    def matches(self, entry: wire.Message) -> bool:
        """Whether an entry is selected, apart from `root`, which depends on the entries before it."""
        return (
            (self.uid is None or entry.get("uid") == self.uid)
            and (self.since is None or _at(entry) >= self.since)
            and (self.grant is None or entry.get("grant") == self.grant)
            and (self.repo is None or self._names(entry.get("repo")))
            and (self.action is None or entry.get("action") == self.action)
            and (not self.denied or entry.get("decision") == "deny" or entry.get("kind") == "denied_unknown")
        )

    def _names(self, repo: object) -> bool:
        """A repository may be asked for with or without its TYPE; ids compare without regard to case."""
        wanted, given = (self.repo or "").lower(), str(repo or "").lower()
        return bool(given) and wanted in {given, given.partition("/")[2]}


class GrantSubtree:
    """One grant and all that were ever minted from it. Entries come in order, so each names its parent in time."""

    def __init__(self, grant: str | None) -> None:
        """None: everything."""
        self._ids = None if grant is None else {grant}

    def contains(self, entry: wire.Message) -> bool:
        """Whether an entry is about one of them."""
        if self._ids is None:
            return True
        grant = str(entry.get("grant"))
        if entry.get("parent") in self._ids:
            self._ids.add(grant)
        return grant in self._ids


async def query(journal: JournalWriter, wanted: JournalQuery) -> AsyncIterator[wire.Message]:
    """Yield the selected entries, then `{}`; with `follow`, new entries as they are written, without end.

    Raises:
        JournalError: a file is damaged or missing.
    """
    subtree, reader = GrantSubtree(wanted.root), _Reader(journal)
    while True:
        await journal.flush()
        for number, entry in enumerate(reader.new()):
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if subtree.contains(entry) and wanted.matches(entry):
                yield entry
        if not wanted.follow:
            yield {}
            return
        await asyncio.sleep(FOLLOW_SECONDS)


class _Reader:
    """Reads on from where it stopped, from file to file."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._path, self._place = Path(), 0

    def new(self) -> Iterator[wire.Message]:
        """Whole lines that came since the last look. What is listed as followed by another file is complete.

        Raises:
            JournalError: a file is damaged, or was taken away.
        """
        for path in self._journal.files():
            if path > self._path:
                self._path, self._place = path, 0
            if path == self._path:
                yield from self._rest()

    def _rest(self) -> Iterator[wire.Message]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                while (line := file.readline(wire.MAX_LINE)).endswith(b"\n"):
                    self._place += len(line)
                    yield _entry(self._path, line)
        except OSError as error:
            raise JournalError(f"{self._path} cannot be read ({error.strerror}); see: hf-proxy status") from None
        if len(line) == wire.MAX_LINE:
            raise _damaged(self._path)


def _entry(path: Path, line: bytes) -> wire.Message:
    try:
        entry = _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _damaged(path) from None
    for name in CHAIN:
        entry.pop(name, None)
    return entry


def _damaged(path: Path) -> JournalError:
    return JournalError(f"{path} is damaged; find the place with: hf-proxy audit verify")


def _at(entry: wire.Message) -> int:
    at = entry.get("at")
    return at if isinstance(at, int) else 0
