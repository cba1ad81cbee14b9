"""The grants on disk, so that they survive the daemon: an upgrade, a crash, a power failure.

Kept on disk: every living grant as JSON (`grant_codec`), its summary in a table of its own, the digests of the last
`MAX_ENDED` ended credentials, the survivors (processes that outlive the grant they were bound to), the last moment
that was written down, and the boot id that processes belong to. There is no secret in it.

Durability: SQLite in write-ahead mode, synced at every commit (https://sqlite.org/pragma.html#pragma_synchronous,
FULL). What `await` has returned from is on disk, as far as the disk tells the truth. A file that is damaged, or that a
newer version wrote, is refused, and the message says what to do; no request is ever allowed because something could not
be read.

At the start only the summaries are read (`load`), and compared with the grants they belong to. A grant is read when it
is first asked for (`grant`).

Left to others: the rules of the policy (`core.policy.broker`), and which grant is read when (`lazy_broker`).
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import structlog

from hfproxy.core.policy import grant_codec
from hfproxy.core.policy.broker import MAX_ENDED
from hfproxy.core.policy.decision import Refusal
from hfproxy.core.policy.grant import Grant
from hfproxy.core.policy.unloaded_grants import GrantSummary
from hfproxy.daemon.runtime.procfs import Process
from hfproxy.errors import StartError, StoreError

log = structlog.get_logger()
# A directory, since the write-ahead log belongs to the file beside it: neither may be moved without the other.
STORE_DIRECTORY: Final = "grants"
DATABASE_FILE: Final = "grants.sqlite"
# A grant's summary, read from its JSON.
SUMMARY_COLUMNS: Final = ", ".join(
    f"json_extract(spelled, '$.{place}')" for place in ("expires_at", "order.parent", "order.uid", "order.pid")
)
# What each version of the schema added to the one before. The table `barred` of version 2 holds the survivors.
# Version 3 gave a grant its owner; until then all were the daemon's own user's. Version 4 added the summaries; until
# then all grants were read at the start. Version 5 keys a summary by the row of its grant: with the id as key the
# comparison at the start (`CONTRADICTIONS`) took twice as long.
SCHEMA: Final = (
    """
CREATE TABLE grants (id TEXT PRIMARY KEY, spelled TEXT NOT NULL);
CREATE TABLE ended (digest BLOB PRIMARY KEY, how TEXT NOT NULL);
CREATE TABLE known (name TEXT PRIMARY KEY, value TEXT NOT NULL);
""",
    "CREATE TABLE barred (pid INTEGER, start INTEGER, PRIMARY KEY (pid, start));",
    f"UPDATE grants SET spelled = json_set(spelled, '$.order.uid', {os.getuid()});",  # noqa: S608  (a number)
    """
CREATE TABLE IF NOT EXISTS briefs (id TEXT PRIMARY KEY, expires_at INTEGER, parent TEXT, uid INTEGER, pid INTEGER);
""",
    f"""
DROP TABLE briefs;
CREATE TABLE briefs
    (number INTEGER PRIMARY KEY, id TEXT, expires_at INTEGER, parent TEXT, uid INTEGER, pid INTEGER);
INSERT INTO briefs SELECT rowid, id, {SUMMARY_COLUMNS} FROM grants;
""",  # noqa: S608  (a constant)
)
# Counts the rows that this program did not write (JSON functions of SQLite raise an error for malformed JSON). The
# rest of a grant's JSON is checked when it is read.
CONTRADICTIONS: Final = f"""
SELECT count(*) FROM grants LEFT JOIN briefs ON number = grants.rowid WHERE
    (grants.id, substr(json_extract(spelled, '$.digest'), 1, 16), {SUMMARY_COLUMNS},
        json_extract(spelled, '$.caveats[0][1].at'))
    IS NOT (briefs.id, briefs.id, expires_at, parent, uid, pid, expires_at)
"""  # noqa: S608  (a constant)
VERSION: Final = len(SCHEMA)
# How long a statement waits for a lock on the file; then the request behind it is refused.
BUSY_SECONDS: Final = 10

Result = TypeVar("Result")


class _Row(NamedTuple):
    """A grant as its two tables have it."""

    id: str
    json: str
    digest: bytes
    summary: GrantSummary


class _EndedRow(NamedTuple):
    """An ended grant: its id, its credential's digest, and the refusal that the credential is answered with."""

    id: str
    digest: bytes
    how: str


@dataclass(frozen=True, slots=True)
class StoredState:
    """The part of the store that is read at the start.

    Attributes:
        summaries: The living grants, oldest first.
        ended: Digests of ended credentials, with the refusal that each is answered with.
        survivors: Processes that outlive the grant they were bound to.
        at: The last moment that was written down, in seconds since the epoch.
        boot: The boot id of the machine when the processes were recorded.
    """

    summaries: tuple[GrantSummary, ...]
    ended: tuple[tuple[bytes, Refusal], ...]
    survivors: tuple[Process, ...]
    at: int
    boot: str


class GrantStore:
    """The database file, one connection and thread that write it, and one connection that reads."""

    def __init__(self, directory: Path) -> None:
        """Open the file in the state directory `directory`; create it if there is none.

        Raises:
            StartError: it is damaged, or a newer version wrote it.
        """
        self._directory = directory / STORE_DIRECTORY
        # Ends that are not on disk yet: every later write includes them, until one succeeds.
        self._ended: list[_EndedRow] = []
        self._survivors: list[Process] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._file = sqlite3.connect(
                self._directory / DATABASE_FILE, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._prepare()
            # In write-ahead mode a reader neither waits for the writer nor sees half of a transaction.
            self._reading = sqlite3.connect(
                self._directory / DATABASE_FILE, timeout=BUSY_SECONDS, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._damaged(str(error)) from None

    def load(self) -> StoredState:
        """Check the file, and read what the daemon must know at the start. Blocks; not for the event loop.

        Raises:
            StartError: the file is damaged, or holds rows that this version did not write.
        """
        try:
            self._check()
            summaries = self._file.execute("SELECT id, expires_at, parent, uid, pid FROM briefs ORDER BY number")
            ended = self._file.execute("SELECT digest, how FROM ended")
            survivors = self._file.execute("SELECT pid, start FROM barred")
            meta = dict(self._file.execute("SELECT name, value FROM known"))
            return StoredState(
                tuple(map(GrantSummary._make, summaries)),
                tuple((bytes(digest), Refusal(how)) for digest, how in ended),
                tuple(Process(pid, start) for pid, start in survivors),
                int(meta.get("at", 0)),
                meta.get("boot", ""),
            )
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(str(error)) from None

    def grant(self, grant_id: str) -> Grant | None:
        """Read one grant; None if there is no such row or this version does not understand it. One row, by its key.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            row = self._reading.execute("SELECT spelled FROM grants WHERE id = ?", (grant_id,)).fetchone()
        except sqlite3.Error as error:
            log.warning("grant_not_read", grant=grant_id, reason=str(error))
            raise StoreError(
                f"the grants in {self._directory} cannot be read ({error}); see: hf-proxy status"
            ) from None
        try:
            return grant_codec.decode(row[0] if row else "")
        except StoreError as error:
            log.warning("grant_not_read", grant=grant_id, reason=str(error))
            return None

    async def save(self, grants: Iterable[Grant], at: int) -> None:
        """Write the present state of grants, and every end that could not be written before.

        A grant that has ended is not written: a renewal that was under way must not bring it back.

        Args:
            grants: May be empty; then the time and earlier ends are written.
            at: The present moment, in seconds since the epoch.

        Raises:
            StoreError: nothing of it is on disk.
        """
        # Encoded here, on the event loop: the thread must not read a grant that is being used.
        rows = [_Row(grant.id, grant_codec.encode(grant), grant.digest, grant.summary) for grant in grants]
        await self._run(lambda: self._write(rows, at))

    async def save_ended(
        self, grants: Iterable[tuple[Grant, Refusal]], at: int, survivors: Iterable[Process] = ()
    ) -> None:
        """Write that grants ended, each with the refusal that answers its credential from now on.

        Args:
            grants: Grants that are EXPIRED or REVOKED.
            at: The present moment, in seconds since the epoch.
            survivors: Processes that outlive their grant.

        Raises:
            StoreError: nothing of it is on disk; the next write includes it.
        """
        ended, processes = [_EndedRow(grant.id, grant.digest, how.value) for grant, how in grants], list(survivors)
        await self._run(lambda: self._write((), at, ended, processes))

    async def forget_survivor(self, process: Process) -> None:
        """Delete a survivor that has exited.

        Raises:
            StoreError: it could not be deleted.
        """
        await self._run(lambda: self._file.execute("DELETE FROM barred WHERE pid = ? AND start = ?", process))

    def set_meta(self, name: str, value: str) -> None:
        """Write one fact about the machine. Blocks; only for the start."""
        self._file.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (name, value))

    @property
    def has_unsaved(self) -> bool:
        """Whether some grants ended and that is not on disk yet."""
        return bool(self._ended)

    def close(self) -> None:
        """Finish the writes under way and close the file."""
        self._thread.shutdown()
        self._reading.close()
        self._file.close()

    def _write(
        self, rows: Collection[_Row], at: int, ended: Iterable[_EndedRow] = (), survivors: Iterable[Process] = ()
    ) -> None:
        """In the store's thread: one transaction, with the ends that could not be written before."""
        self._ended += ended
        self._survivors += survivors
        with self._transaction():
            self._upsert(rows)
            self._delete_ended()
            self._file.executemany("INSERT OR IGNORE INTO barred VALUES (?, ?)", self._survivors)
            self._file.execute("INSERT OR REPLACE INTO known VALUES ('at', ?)", (str(at),))
        self._ended.clear()
        self._survivors.clear()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._file.execute("COMMIT")
        except BaseException:
            if self._file.in_transaction:  # SQLite rolls back by itself where the disk is full or cannot be read
                self._file.execute("ROLLBACK")
            raise

    def _upsert(self, rows: Collection[_Row]) -> None:
        # Not `REPLACE`: it would give the row a new number, after its children's, and load() returns the oldest first.
        self._file.executemany(
            "INSERT INTO grants SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM ended WHERE digest = ?)"
            " ON CONFLICT (id) DO UPDATE SET spelled = excluded.spelled",
            [row[:3] for row in rows],
        )
        # Nothing is selected, and so nothing inserted, for a grant that had ended.
        self._file.executemany(
            "INSERT INTO briefs SELECT rowid, ?, ?, ?, ?, ? FROM grants WHERE id = ?"
            " ON CONFLICT (number) DO UPDATE SET expires_at = excluded.expires_at",
            [(*row.summary, row.id) for row in rows],
        )

    def _delete_ended(self) -> None:
        for row in self._ended:
            self._file.execute("DELETE FROM briefs WHERE number = (SELECT rowid FROM grants WHERE id = ?)", (row.id,))
            self._file.execute("DELETE FROM grants WHERE id = ?", (row.id,))
            self._file.execute("INSERT OR REPLACE INTO ended VALUES (?, ?)", (row.digest, row.how))
        self._file.execute("DELETE FROM ended WHERE rowid <= (SELECT max(rowid) FROM ended) - ?", (MAX_ENDED,))

    async def _run(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(
                f"the grants in {self._directory} cannot be written ({error}); make room, and see: hf-proxy status"
            ) from None

    def _prepare(self) -> None:
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        (version,) = self._file.execute("PRAGMA user_version").fetchone()
        if not 0 <= version <= VERSION:
            raise self._damaged("another version of hf-proxy wrote it")
        if version < VERSION:
            migration = "".join(SCHEMA[version:])
            self._file.executescript(f"BEGIN IMMEDIATE; {migration} PRAGMA user_version = {VERSION}; COMMIT;")

    def _check(self) -> None:
        (fault,) = self._file.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise ValueError(fault)
        (contradictions,) = self._file.execute(CONTRADICTIONS).fetchone()
        # The join above does not see a summary without a grant.
        (surplus,) = self._file.execute(
            "SELECT (SELECT count(*) FROM briefs) - (SELECT count(*) FROM grants)"
        ).fetchone()
        if contradictions or surplus:
            raise ValueError("a grant in it contradicts itself")

    def _damaged(self, why: str) -> StartError:
        self._thread.shutdown(wait=False)
        reason = " ".join(why.split())[:200]
        return StartError(
            f"the grants in {self._directory} cannot be used ({reason}); to start without them:"
            f" mv {self._directory} {self._directory}.bad"
        )
