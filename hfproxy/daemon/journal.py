"""The one place that writes the journal.

Events are sealed (`core.audit`) in the order in which they happened, and a thread of its own writes them: all
that is waiting in one `write`, one `fdatasync` for the lot when any of them must be durable (group
commit). After a failed write nothing is accepted any more: what cannot be recorded is not done.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hfproxy.core import audit
from hfproxy.core.audit import Event, Head
from hfproxy.errors import JournalError

FIRST: Final = "00000001.jsonl"
# A line holds an address of at most some kilobytes; the last one is looked for this far from the end.
TAIL_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Entry:
    line: bytes
    done: asyncio.Future[None] | None  # set for what must be on disk, and for barriers


class Journal:
    """An append-only file of sealed lines, and where its chain stands."""

    def __init__(self, directory: Path) -> None:
        """Open the journal for appending; makes it if there is none.

        Raises:
            JournalError: it cannot be opened, or its last line is not what this program wrote.
        """
        self.directory = directory
        self._file, self.head = _open(directory)
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._failed = False
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    def note(self, event: Event) -> None:
        """Record what needs no waiting for. It is written within milliseconds.

        Raises:
            JournalError: an earlier write failed.
        """
        self._queue.put(_Entry(self._seal(event), None))

    async def record(self, event: Event) -> None:
        """Record, and return once it is on disk.

        Raises:
            JournalError: it could not be written.
        """
        await self._put(self._seal(event))

    async def flush(self) -> Head:
        """Wait until everything recorded so far can be read in the file; returns where the chain stands."""
        head = self.head
        await self._put(b"")
        return head

    def files(self) -> list[Path]:
        """The journal's files, oldest first."""
        return sorted(self.directory.glob("[0-9]*.jsonl"))

    def close(self) -> None:
        """Write what is waiting and stop."""
        self._queue.put(None)
        self._thread.join()
        os.close(self._file)

    def _seal(self, event: Event) -> bytes:
        if self._failed:
            raise _failure()
        line, self.head = audit.seal(event, self.head)
        return line

    async def _put(self, line: bytes) -> None:
        done = asyncio.get_running_loop().create_future()
        self._queue.put(_Entry(line, done))
        await done

    def _write_all(self) -> None:
        """The thread: take what is there, write it in one go, tell who waits."""
        for batch in self._batches():
            error = self._write(batch)
            for entry in batch:
                if entry.done is not None:
                    _tell(entry.done, error)

    def _batches(self) -> Iterator[list[_Entry]]:
        closing = False
        while not closing:
            taken = [self._queue.get()]
            while not self._queue.empty():
                taken.append(self._queue.get())
            closing = None in taken
            yield [entry for entry in taken if entry is not None]

    def _write(self, batch: list[_Entry]) -> JournalError | None:
        if self._failed:
            return _failure()
        try:
            data = memoryview(b"".join(entry.line for entry in batch))
            while data:
                data = data[os.write(self._file, data) :]
            if any(entry.done is not None and entry.line for entry in batch):
                os.fdatasync(self._file)
        except OSError:
            self._failed = True
            return _failure()
        return None


def _failure() -> JournalError:
    return JournalError(
        "the journal cannot be written (disk full?), so nothing is done any more; make room, then start the daemon"
        " again: hf-proxy daemon"
    )


def _tell(done: asyncio.Future[None], error: JournalError | None) -> None:
    def settle() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    done.get_loop().call_soon_threadsafe(settle)


def _open(directory: Path) -> tuple[int, Head]:
    """Open the newest file and read where its chain stands."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        newest = max(directory.glob("[0-9]*.jsonl"), default=directory / FIRST)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(newest, flags, 0o600)
        head = _head(file, newest)
        _sync_directory(directory)
    except OSError as error:
        raise JournalError(f"the journal in {directory} cannot be opened: {error.strerror}") from None
    return file, head


def _head(file: int, path: Path) -> Head:
    """The head after the last whole line. A torn last line (a crash in mid-write) is cut off.

    Raises:
        JournalError: the last line is not a sealed one; nothing is appended to a damaged journal.
    """
    size = os.fstat(file).st_size
    tail = os.pread(file, TAIL_BYTES, max(0, size - TAIL_BYTES))
    whole, newline, torn = tail.rpartition(b"\n")
    if len(torn) == TAIL_BYTES:
        raise JournalError(f"{path} is damaged (no line ends in it); move it away to start a new one")
    if torn:
        os.ftruncate(file, size - len(torn))
    if not newline:
        return Head()
    last = whole.rpartition(b"\n")[2]
    try:
        return audit.standing(last)
    except JournalError as error:
        raise JournalError(f"{path} is damaged ({error}); move it away to start a new one") from None


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
