"""The one place that writes the journal.

Events are sealed (`core.audit`) in the order in which they happened, and a thread of its own writes them: all
that is waiting in one `write`, one `fdatasync` for the lot when any of them must be durable (group commit). What
nobody waits for is sealed when a request is on its way to the Hub, which is when there is time for it, and gathered
some milliseconds before it is written: the thread and the loop both want the interpreter's lock, and each time that
one waits for the other costs as much as many requests. After a failed write nothing is accepted any more: what cannot
be recorded is not done.

The chain runs on from file to file. A file that is full is put on disk before the next is made, and that one's
name before a line goes into it; so a crash leaves at worst a newest file that is empty or ends in a torn line.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from hfproxy import atomic_file
from hfproxy.core.audit import chain
from hfproxy.core.audit.chain import ChainHead, Event, EventKind
from hfproxy.daemon.runtime.clock import now
from hfproxy.errors import JournalError, RefusedError
from hfproxy.secret import Secret

log = structlog.get_logger()
NAMES: Final = "[0-9]" * 8 + ".jsonl"
FIRST: Final = "00000001.jsonl"
# A file that is longer than this is full; it is exceeded by what one write holds.
FULL_BYTES: Final = 64 * 1024 * 1024
FLAGS: Final = os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
# A line holds an address of at most some kilobytes; the last one is looked for this far from the end.
TAIL_BYTES: Final = 1024 * 1024
GATHER_SECONDS: Final = 0.05


class _Batch(NamedTuple):
    data: bytes  # whole lines
    last: int  # the number of the last of them
    written: asyncio.Future[None] | None = None  # set where somebody waits until they are written
    durable: bool = False  # until they are on disk


class JournalWriter:
    """Append-only files of sealed lines, and where their chain stands."""

    def __init__(
        self, directory: Path, key: Callable[[], Secret | None] = lambda: None, full_bytes: int = FULL_BYTES
    ) -> None:
        """Open the journal for appending; makes it if there is none. `key` gives what lines are MACed with, if it is
        to be had at that moment.

        Raises:
            JournalError: it cannot be opened, or its last line is not what this program wrote.
        """
        self.directory, self._key, self._full_bytes = directory, key, full_bytes
        self._own = os.getuid()
        self._path, self._file, self.head = _open(directory)
        self._size = os.fstat(self._file).st_size
        self._noted: list[str] = []
        self._gathered: list[bytes] = []
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._in_file = self.head.seq
        self._failed = False
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether a write has failed, so that nothing is accepted any more."""
        return self._failed

    @property
    def waiting(self) -> int:
        """How many lines are still to be written."""
        return self.head.seq + len(self._noted) - self._in_file

    def encode_fields(self, event: Event) -> str:
        """An event, or a part of one, as `note` and `record` take it as well: for what is said again and again.

        A line says whose it is, unless that is the daemon's own user, who mostly is the only one.
        """
        return chain.encode_fields({**event, "uid": None} if event.get("uid") == self._own else event)

    def append(self, event: Event | str) -> None:
        """Record what needs no waiting for. It is written within milliseconds.

        Raises:
            JournalError: an earlier write failed.
        """
        if self._failed:
            raise _failure()
        if not self._noted and not self._gathered:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._submit)
        self._noted.append(event if isinstance(event, str) else self.encode_fields(event))

    def schedule_chaining(self) -> None:
        """In the event loop's next turn there is time to seal what was noted."""
        asyncio.get_running_loop().call_soon(self._chain_pending)

    def append_best_effort(self, kind: EventKind) -> None:
        """Note what is done whether or not it can be written down. It is sealed now: there may be no key afterwards."""
        try:
            self.append({"at": now(), "kind": kind.value})
            self._chain_pending()
        except JournalError:
            log.warning("not_recorded", kind=kind.value)

    async def append_durably(self, event: Event | str) -> None:
        """Record, and return once it is on disk.

        Raises:
            JournalError: it could not be written.
        """
        self.append(event)
        await self._written(durable=True)

    async def flush(self) -> ChainHead:
        """Wait until everything recorded so far can be read in the file; returns where the chain stands."""
        self._chain_pending()
        head = self.head
        await self._written(durable=False)
        return head

    def files(self) -> list[Path]:
        """The journal's files, oldest first."""
        return _files(self.directory)

    def check_macs(self, macs: Iterable[tuple[str, str]]) -> tuple[str, list[bool]]:
        """The name of the key, and of each digest and MAC (`core.audit`) whether that MAC was made with it.

        Raises:
            RefusedError: the key is not to be had.
        """
        key = self._key_bytes()
        if key is None:
            raise RefusedError("the journal's key is in the vault, which is not open; run: hf-proxy unlock")
        return chain.key_id(key), [chain.mac_matches(digest, mac, key) for digest, mac in macs]

    def close(self) -> None:
        """Write what is waiting and stop."""
        self._submit()
        self._queue.put(None)
        self._thread.join()
        os.close(self._file)

    def _chain_pending(self) -> None:
        """Seal what was noted since the last time."""
        noted, self._noted = self._noted, []
        key = self._key_bytes() if noted else None
        for event in noted:
            line, self.head = chain.append_link(event, self.head, key)
            self._gathered.append(line)

    def _key_bytes(self) -> bytes | None:
        key = self._key()
        return None if key is None else key.reveal().encode()

    async def _written(self, *, durable: bool) -> None:
        """Wait for everything that was noted so far."""
        done = asyncio.get_running_loop().create_future()
        self._submit(done, durable=durable)
        await done

    def _submit(self, done: asyncio.Future[None] | None = None, *, durable: bool = False) -> None:
        """Give the thread what was gathered."""
        self._chain_pending()
        gathered, self._gathered = self._gathered, []
        if gathered or done is not None:
            self._queue.put(_Batch(b"".join(gathered), self.head.seq, done, durable))

    def _write_all(self) -> None:
        """The thread: take what is there, write it in one go, tell who waits."""
        for batches in self._batches():
            error = self._write(batches)
            for batch in batches:
                if batch.written is not None:
                    _resolve(batch.written, error)

    def _batches(self) -> Iterator[list[_Batch]]:
        closing = False
        while not closing:
            taken = [self._queue.get()]
            while not self._queue.empty():
                taken.append(self._queue.get())
            closing = None in taken
            yield [batch for batch in taken if batch is not None]

    def _write(self, batches: list[_Batch]) -> JournalError | None:
        if self._failed:
            return _failure()
        try:
            self._append(b"".join(batch.data for batch in batches))
            self._in_file = max([self._in_file, *(batch.last for batch in batches)])
            if any(batch.durable for batch in batches):
                os.fdatasync(self._file)
        except OSError:
            self._failed = True
            return _failure()
        return None

    def _append(self, data: bytes) -> None:
        if data and self._size >= self._full_bytes:
            self._rotate()
        self._size += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _rotate(self) -> None:
        os.fdatasync(self._file)
        full = self._file
        self._path = self.directory / f"{int(self._path.stem) + 1:08}.jsonl"
        self._file = os.open(self._path, FLAGS | os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._size = 0
        os.close(full)
        atomic_file.sync_directory(self.directory)


def _failure() -> JournalError:
    return JournalError(
        "the journal cannot be written (disk full?), so nothing is done any more; make room, then start the daemon"
        " again: hf-proxy daemon"
    )


def _resolve(done: asyncio.Future[None], error: JournalError | None) -> None:
    def settle() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    done.get_loop().call_soon_threadsafe(settle)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob(NAMES))


def _open(directory: Path) -> tuple[Path, int, ChainHead]:
    """Open the newest file and read where the chain stands: in the newest that holds a line."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        *older, newest = _files(directory) or [directory / FIRST]
        file = os.open(newest, FLAGS | os.O_RDWR | os.O_CREAT, 0o600)
        head = _head(file, newest)
        while head == ChainHead() and older:
            head = _head_of_full(older.pop())
        atomic_file.sync_directory(directory)
    except OSError as error:
        raise JournalError(
            f"the journal in {directory} cannot be opened ({error.strerror}); see: ls -ld {directory}"
        ) from None
    return newest, file, head


def _head(file: int, path: Path) -> ChainHead:
    """The head after the last whole line. A torn last line (a crash in mid-write) is cut off.

    Raises:
        JournalError: the last line is not a sealed one; nothing is appended to a damaged journal.
    """
    last, torn = _end(file, path)
    if torn:
        os.ftruncate(file, os.fstat(file).st_size - torn)
    return _standing(last, path)


def _head_of_full(path: Path) -> ChainHead:
    """The same for a file that another follows, which was on disk as a whole before that one was made."""
    file = os.open(path, FLAGS | os.O_RDONLY)
    try:
        last, torn = _end(file, path)
    finally:
        os.close(file)
    if torn:
        raise _damaged(path, "its last line has no end")
    return _standing(last, path)


def _end(file: int, path: Path) -> tuple[bytes | None, int]:
    """The last whole line, None if there is none, and the number of bytes after it."""
    size = os.fstat(file).st_size
    whole, newline, torn = os.pread(file, TAIL_BYTES, max(0, size - TAIL_BYTES)).rpartition(b"\n")
    if len(torn) == TAIL_BYTES:
        raise _damaged(path, "no line ends in it")
    return whole.rpartition(b"\n")[2] if newline else None, len(torn)


def _standing(last: bytes | None, path: Path) -> ChainHead:
    if last is None:
        return ChainHead()
    try:
        return chain.head_after(last)
    except JournalError as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> JournalError:
    return JournalError(f"{path} is damaged ({why}); to start a new journal: mv {path.parent} {path.parent}.bad")
