"""What is known of the grants, on disk, so that it survives the daemon: an upgrade, a crash, a pulled plug.

SQLite from the standard library, in write-ahead mode with a sync at every commit: what `await` has returned from is on
disk. There is no secret in it. A file that is damaged, or that a newer version wrote, is refused, and the message says
what to do; nothing is ever allowed because something could not be read.

A grant is read when it is first asked for (`core.asleep`). What must be known before lies in a table of its own, which
is read at the start, and there it is made sure that both say the same.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from hfproxy.core.policy import grant_codec
from hfproxy.core.policy.broker import MAX_ENDED
from hfproxy.core.policy.decision import Refusal
from hfproxy.core.policy.grant import Grant
from hfproxy.core.policy.unloaded_grants import GrantSummary
from hfproxy.daemon.runtime.procfs import Process
from hfproxy.errors import StartError, StoreError

log = structlog.get_logger()
# A directory, since the log beside the file belongs to it: neither may be moved without the other.
DIRECTORY: Final = "grants"
FILE: Final = "grants.sqlite"
# What a grant's brief says, of what is spelled.
SUMMARY: Final = ", ".join(
    f"json_extract(spelled, '$.{place}')" for place in ("expires_at", "order.parent", "order.uid", "order.pid")
)
# What each version added to the one before. Before the third a grant did not say whose it is: it was the daemon's own
# user's. Before the fourth all of them were read at the start. Since the fifth a brief's number is the row of its
# grant: to find it by its id took as long as all else that is compared.
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
INSERT INTO briefs SELECT rowid, id, {SUMMARY} FROM grants;
""",  # noqa: S608  (a constant)
)
# Rows that this version did not write (SQLite itself refuses what is no JSON); the rest of what is spelled is looked at
# when it is read.
CONTRADICTIONS: Final = f"""
SELECT count(*) FROM grants LEFT JOIN briefs ON number = grants.rowid WHERE
    (grants.id, substr(json_extract(spelled, '$.digest'), 1, 16), {SUMMARY},
        json_extract(spelled, '$.caveats[0][1].at'))
    IS NOT (briefs.id, briefs.id, expires_at, parent, uid, pid, expires_at)
"""  # noqa: S608  (a constant)
VERSION: Final = len(SCHEMA)
# Longer than any disk should take; then the request that waits is refused.
BUSY_SECONDS: Final = 10

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StoredState:
    """What was found at the start: briefs of the living grants, the oldest first, credentials that ended, and processes
    that live on without their grant.

    `at` is the last moment that was written down, `boot` the start of the machine that processes were counted from.
    """

    summaries: tuple[GrantSummary, ...]
    ended: tuple[tuple[bytes, Refusal], ...]
    survivors: tuple[Process, ...]
    at: int
    boot: str


class GrantStore:
    """The file, and the one thread that writes it."""

    def __init__(self, directory: Path) -> None:
        """Open the file; makes it if there is none.

        Raises:
            StartError: it is damaged, or of a newer version.
        """
        self._directory = directory / DIRECTORY
        # Until it is on disk what ended is written again with whatever is written next.
        self._ended: list[tuple[str, bytes, str]] = []
        self._survivors: list[Process] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._file = sqlite3.connect(
                self._directory / FILE, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._prepare()
            # Reads what is written down, while the other is amid writing.
            self._reading = sqlite3.connect(self._directory / FILE, timeout=BUSY_SECONDS, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise self._damaged(str(error)) from None

    def load(self) -> StoredState:
        """Look through the file, and read what must be known at the start.

        Raises:
            StartError: something in it is not what this version wrote.
        """
        try:
            self._check()
            briefs = map(
                GrantSummary._make,
                self._file.execute("SELECT id, expires_at, parent, uid, pid FROM briefs ORDER BY number"),
            )
            ended = [
                (bytes(digest), Refusal(how)) for digest, how in self._file.execute("SELECT digest, how FROM ended")
            ]
            barred = [Process(pid, start) for pid, start in self._file.execute("SELECT pid, start FROM barred")]
            known = dict(self._file.execute("SELECT name, value FROM known"))
            return StoredState(
                tuple(briefs), tuple(ended), tuple(barred), int(known.get("at", 0)), known.get("boot", "")
            )
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(str(error)) from None

    def grant(self, grant_id: str) -> Grant | None:
        """A grant as it was written down; None if it is not to be understood.

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
        """Write grants down as they are now, but for what has ended; and what could not be written before.

        Raises:
            StoreError: they could not be written.
        """
        rows = [(grant.id, grant_codec.encode(grant), grant.digest, grant.brief) for grant in grants]
        await self._run(lambda: self._write(rows, (), at))

    async def save_ended(
        self, grants: Iterable[tuple[Grant, Refusal]], at: int, barred: Iterable[Process] = ()
    ) -> None:
        """Write down that grants ended, and how, and which processes live on without theirs; raises as `keep`."""
        rows, processes = [(grant.id, grant.digest, how.value) for grant, how in grants], list(barred)
        await self._run(lambda: self._write((), rows, at, processes))

    async def forget_survivor(self, process: Process) -> None:
        """Such a process has ended as well; raises as `keep`."""
        await self._run(lambda: self._file.execute("DELETE FROM barred WHERE pid = ? AND start = ?", process))

    def set_meta(self, name: str, value: str) -> None:
        """Write down one thing about the machine, at the start."""
        self._file.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (name, value))

    @property
    def has_unsaved(self) -> bool:
        """Whether some that ended are not on disk yet."""
        return bool(self._ended)

    def close(self) -> None:
        """Finish what is being written and let go of the file."""
        self._thread.shutdown()
        self._reading.close()
        self._file.close()

    def _write(
        self,
        kept: Collection[tuple[str, str, bytes, GrantSummary]],
        ended: Iterable[tuple[str, bytes, str]],
        at: int,
        barred: Iterable[Process] = (),
    ) -> None:
        self._ended += ended
        self._survivors += barred
        self._file.execute("BEGIN IMMEDIATE")
        try:
            # Not `REPLACE`, which would move the row behind its children.
            self._file.executemany(
                "INSERT INTO grants SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM ended WHERE digest = ?)"
                " ON CONFLICT (id) DO UPDATE SET spelled = excluded.spelled",
                [row[:3] for row in kept],
            )
            self._file.executemany(
                "INSERT INTO briefs SELECT rowid, ?, ?, ?, ?, ? FROM grants WHERE id = ?"
                " ON CONFLICT (number) DO UPDATE SET expires_at = excluded.expires_at",
                [(*brief, brief.id) for *_, brief in kept],
            )
            for grant_id, digest, how in self._ended:
                self._file.execute(
                    "DELETE FROM briefs WHERE number = (SELECT rowid FROM grants WHERE id = ?)", (grant_id,)
                )
                self._file.execute("DELETE FROM grants WHERE id = ?", (grant_id,))
                self._file.execute("INSERT OR REPLACE INTO ended VALUES (?, ?)", (digest, how))
            self._file.execute("DELETE FROM ended WHERE rowid <= (SELECT max(rowid) FROM ended) - ?", (MAX_ENDED,))
            self._file.executemany("INSERT OR IGNORE INTO barred VALUES (?, ?)", self._survivors)
            self._file.execute("INSERT OR REPLACE INTO known VALUES ('at', ?)", (str(at),))
            self._file.execute("COMMIT")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise
        self._ended.clear()
        self._survivors.clear()

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
            steps = "".join(SCHEMA[version:])
            self._file.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")

    def _check(self) -> None:
        (fault,) = self._file.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise ValueError(fault)
        (wrong,) = self._file.execute(CONTRADICTIONS).fetchone()
        (more,) = self._file.execute("SELECT (SELECT count(*) FROM briefs) - (SELECT count(*) FROM grants)").fetchone()
        if wrong or more:
            raise ValueError("a grant in it contradicts itself")

    def _damaged(self, why: str) -> StartError:
        self._thread.shutdown(wait=False)
        reason = " ".join(why.split())[:200]
        return StartError(
            f"the grants in {self._directory} cannot be used ({reason}); to start without them:"
            f" mv {self._directory} {self._directory}.bad"
        )
