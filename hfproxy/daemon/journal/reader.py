"""The journal's reader: the entries that `hf-proxy audit` asks for, and new ones as they come.

Every query reads the files from the oldest on; there is no index. It yields to the event loop every few entries, so
that a long journal does not delay requests. Entries are returned without the fields of the chain (`CHAIN`).

Left to others: who may read what (`control.caller` sets `uid` and `root` of a query), and checking the chain, which
reads the files itself (`hf-proxy audit verify`).
"""

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
# After so many entries the event loop gets a turn. A journal of a year takes seconds to read, and a request needs
# several turns of the loop.
YIELD_EVERY: Final = 20
CHAIN_FIELDS: Final = ("prev", "mac", "hash")
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
        """Whether the query's `repo`, with or without a TYPE, is an entry's `TYPE/ns/name`; in any case."""
        queried, recorded = (self.repo or "").lower(), str(repo or "").lower()
        return bool(recorded) and queried in {recorded, recorded.partition("/")[2]}


class GrantSubtree:
    """One grant and all that were ever minted from it.

    The entries are given in order. A grant's `minted` entry names its parent, and comes before all others of it.
    """

    def __init__(self, root: str | None) -> None:
        """`root`: the id of the grant; None: every entry is in the subtree."""
        self._ids = None if root is None else {root}

    def contains(self, entry: wire.Message) -> bool:
        """Return whether an entry is about a grant of the subtree."""
        if self._ids is None:
            return True
        grant = str(entry.get("grant"))
        if entry.get("parent") in self._ids:
            self._ids.add(grant)
        return grant in self._ids


async def query(journal: JournalWriter, selection: JournalQuery) -> AsyncIterator[wire.Message]:
    """Yield the selected entries, then `{}`; with `follow`, new entries as they are written, without end.

    Raises:
        JournalError: a file is damaged or missing.
    """
    subtree, reader = GrantSubtree(selection.root), _Reader(journal)
    while True:
        await journal.flush()
        for number, entry in enumerate(reader.new_entries()):
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if subtree.contains(entry) and selection.matches(entry):
                yield entry
        if not selection.follow:
            yield {}
            return
        await asyncio.sleep(FOLLOW_SECONDS)


class _Reader:
    """A position in the journal's files, and the entries after it."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal
        self._path, self._offset = Path(), 0

    def new_entries(self) -> Iterator[wire.Message]:
        """Yield the entries of the whole lines that were written since the last call.

        Raises:
            JournalError: a file is damaged, or was removed.
        """
        # Listed before any is read: a file that has a successor in the list is complete.
        for path in self._journal.files():
            if path > self._path:
                self._path, self._offset = path, 0
            if path == self._path:
                yield from self._rest_of_file()

    def _rest_of_file(self) -> Iterator[wire.Message]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while (line := file.readline(wire.MAX_LINE)).endswith(b"\n"):
                    self._offset += len(line)
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
    for name in CHAIN_FIELDS:
        entry.pop(name, None)
    return entry


def _damaged(path: Path) -> JournalError:
    return JournalError(f"{path} is damaged; find the place with: hf-proxy audit verify")


def _at(entry: wire.Message) -> int:
    at = entry.get("at")
    return at if isinstance(at, int) else 0
