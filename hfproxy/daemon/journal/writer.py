"""The journal's writer: appends events to the audit record, in the order in which they happened.

The life of a line, on the event loop up to step 3, and from there in the writer's thread:

1. **Append.** `append` encodes the event and keeps it in memory. It returns at once; the line is written within
   `GATHER_SECONDS`.
2. **Chain.** The event becomes a line that holds the hash of the line before (`core.audit.chain`) and, while the vault
   is open, a MAC. That happens when a request is on its way to the Hub, which is when the loop has time for it
   (`schedule_chaining`), and at step 3 at the latest.
3. **Queue.** All chained lines go to the thread as one batch: after `GATHER_SECONDS`, or at once if a caller waits.
   They are not handed over one by one: loop and thread compete for the interpreter's lock, and each time that one waits
   for the other costs as much as many requests.
4. **Write.** The thread takes every batch that is waiting and appends them with one `write`.
5. **Sync.** If a caller waits for the disk, one `fdatasync` for all of them (group commit).
6. **Resolve.** The futures of the callers that wait are resolved on the loop: `append_durably` and `flush` return.

After a failed write or sync nothing is accepted: what cannot be recorded is not done.

The chain runs on from file to file. A full file is synced before the next one is created, and the name of that one
before a line goes into it. So a crash leaves at worst a newest file that is empty or ends in a torn line, and `_open`
cuts a torn line off.

Left to others: the format of a line (`core.audit.chain`), which events there are and when one must be durable
(`proxy.recorder`, `grants.registry`), reading back (`reader`), and checking the chain (`hf-proxy audit verify`).
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
FILE_PATTERN: Final = "[0-9]" * 8 + ".jsonl"
FIRST_FILE: Final = "00000001.jsonl"
# A file of this size or more is full. The check is made before a write, so a file is longer by up to one write.
FULL_BYTES: Final = 64 * 1024 * 1024
OPEN_FLAGS: Final = os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
# The end of the last whole line is looked for in so many bytes from the end of the file; a line has a few KiB.
TAIL_BYTES: Final = 1024 * 1024
# How long lines are gathered for one batch, if no caller waits.
GATHER_SECONDS: Final = 0.05


class _Batch(NamedTuple):
    data: bytes  # whole lines, or none
    last_seq: int  # the number of the last line
    done: asyncio.Future[None] | None = None  # resolved when they are written, if a caller waits for that
    durable: bool = False  # and when they are on disk


class JournalWriter:
    """Append-only files of chained lines. All methods are for the event loop; one thread writes the files."""

    def __init__(
        self, directory: Path, key: Callable[[], Secret | None] = lambda: None, full_bytes: int = FULL_BYTES
    ) -> None:
        """Open the journal for appending; create it if there is none.

        Args:
            directory: Holds the files `NNNNNNNN.jsonl`.
            key: Returns the key that lines are MACed with, None while the vault is closed. Called for each chaining.
            full_bytes: The size at which the next file is begun.

        Raises:
            JournalError: it cannot be opened, or its last line is not one that this program wrote.
        """
        self.directory, self._key, self._full_bytes = directory, key, full_bytes
        self._own_uid = os.getuid()
        self._path, self._file, self.head = _open(directory)
        # Event loop only: encoded events that are not chained yet, and chained lines that are not queued yet.
        self._pending: list[str] = []
        self._chained: list[bytes] = []
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        # Written by the thread; the loop only reads them.
        self._size = os.fstat(self._file).st_size
        self._written_seq = self.head.seq
        self._failed = False
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether a write has failed: from then on nothing is accepted."""
        return self._failed

    @property
    def unwritten_lines(self) -> int:
        """How many lines are not written yet."""
        return self.head.seq + len(self._pending) - self._written_seq

    def encode_fields(self, event: Event) -> str:
        """Return an event, or some fields of one, as JSON members, which `append` takes, too.

        For fields that many events share: a caller encodes them once and joins them with a comma. A `uid` that is the
        daemon's own user is left out.
        """
        return chain.encode_fields({**event, "uid": None} if event.get("uid") == self._own_uid else event)

    def append(self, event: Event | str) -> None:
        """Record an event; it is written within `GATHER_SECONDS`.

        Raises:
            JournalError: an earlier write failed.
        """
        if self._failed:
            raise _failure()
        if not self._pending and not self._chained:  # else a batch is due already
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._submit)
        self._pending.append(event if isinstance(event, str) else self.encode_fields(event))

    def schedule_chaining(self) -> None:
        """Chain the pending events in the event loop's next iteration, when a request waits for the Hub."""
        asyncio.get_running_loop().call_soon(self._chain_pending)

    def append_best_effort(self, kind: EventKind) -> None:
        """Record an event that happens whether or not it can be recorded. Chained at once, while there is a key."""
        try:
            self.append({"at": now(), "kind": kind.value})
            self._chain_pending()
        except JournalError:
            log.warning("not_recorded", kind=kind.value)

    async def append_durably(self, event: Event | str) -> None:
        """Record an event, and return once it and all events before it are on disk.

        Raises:
            JournalError: it could not be written, or an earlier write failed.
        """
        self.append(event)
        await self._submit_and_wait(durable=True)

    async def flush(self) -> ChainHead:
        """Wait until all events so far can be read in the files; returns the head of the chain at the last of them.

        Raises:
            JournalError: they could not be written.
        """
        self._chain_pending()
        head = self.head
        await self._submit_and_wait(durable=False)
        return head

    def files(self) -> list[Path]:
        """Return the journal's files, oldest first."""
        return _files(self.directory)

    def check_macs(self, macs: Iterable[tuple[str, str]]) -> tuple[str, list[bool]]:
        """Check MACs with the journal's key; returns the key's name, and for each MAC whether it was made with the key.

        Args:
            macs: (digest of the line, MAC of the line), both as in `core.audit.chain`.

        Raises:
            RefusedError: the vault with the key is closed.
        """
        key = self._key_bytes()
        if key is None:
            raise RefusedError("the journal's key is in the vault, which is not open; run: hf-proxy unlock")
        return chain.key_id(key), [chain.mac_matches(digest, mac, key) for digest, mac in macs]

    def close(self) -> None:
        """Write all events so far, stop the thread and close the file. Blocks until then."""
        self._submit()
        self._queue.put(None)
        self._thread.join()
        os.close(self._file)

    def _chain_pending(self) -> None:
        pending, self._pending = self._pending, []
        key = self._key_bytes() if pending else None
        for event in pending:
            line, self.head = chain.append_link(event, self.head, key)
            self._chained.append(line)

    def _key_bytes(self) -> bytes | None:
        key = self._key()
        return None if key is None else key.reveal().encode()

    async def _submit_and_wait(self, *, durable: bool) -> None:
        """Wait until all events so far are written; with `durable`, until they are on disk."""
        done = asyncio.get_running_loop().create_future()
        self._submit(done, durable=durable)
        await done

    def _submit(self, done: asyncio.Future[None] | None = None, *, durable: bool = False) -> None:
        """Queue all events so far as one batch; a batch of nothing only to resolve `done`."""
        self._chain_pending()
        chained, self._chained = self._chained, []
        if chained or done is not None:
            self._queue.put(_Batch(b"".join(chained), self.head.seq, done, durable))

    def _write_all(self) -> None:
        """The thread: write the batches that are waiting, and resolve their futures."""
        for batches in self._batches():
            error = self._write(batches)
            for batch in batches:
                if batch.done is not None:
                    _resolve(batch.done, error)

    def _batches(self) -> Iterator[list[_Batch]]:
        """Wait for a batch, and yield it with all others that are waiting; ends after the None that `close` puts."""
        closing = False
        while not closing:
            queued = [self._queue.get()]
            while not self._queue.empty():
                queued.append(self._queue.get())
            closing = None in queued
            yield [batch for batch in queued if batch is not None]

    def _write(self, batches: list[_Batch]) -> JournalError | None:
        if self._failed:
            return _failure()
        try:
            self._write_lines(b"".join(batch.data for batch in batches))
            self._written_seq = max([self._written_seq, *(batch.last_seq for batch in batches)])
            if any(batch.durable for batch in batches):
                os.fdatasync(self._file)
        except OSError:
            self._failed = True
            return _failure()
        return None

    def _write_lines(self, data: bytes) -> None:
        if data and self._size >= self._full_bytes:
            self._rotate()
        self._size += len(data)
        remaining = memoryview(data)
        while remaining:  # write(2) may write less than it is given
            remaining = remaining[os.write(self._file, remaining) :]

    def _rotate(self) -> None:
        """Begin the next file. The order matters: see the module's last rule."""
        os.fdatasync(self._file)
        full = self._file
        self._path = self.directory / f"{int(self._path.stem) + 1:08}.jsonl"
        self._file = os.open(self._path, OPEN_FLAGS | os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._size = 0
        os.close(full)
        atomic_file.sync_directory(self.directory)


def _failure() -> JournalError:
    return JournalError(
        "the journal cannot be written (disk full?), so every request is refused; make room, then restart the daemon:"
        " systemctl --user restart hf-proxy (or stop it and run: hf-proxy daemon)"
    )


def _resolve(done: asyncio.Future[None], error: JournalError | None) -> None:
    """Resolve a future from the thread."""

    def on_loop() -> None:
        if done.done():  # its caller was cancelled
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    done.get_loop().call_soon_threadsafe(on_loop)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob(FILE_PATTERN))


def _open(directory: Path) -> tuple[Path, int, ChainHead]:
    """Open the newest file; returns its path, its descriptor, and the head of the chain, from the newest file with a
    line in it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        *older, newest = _files(directory) or [directory / FIRST_FILE]
        file = os.open(newest, OPEN_FLAGS | os.O_RDWR | os.O_CREAT, 0o600)
        head = _head(file, newest)
        while head == ChainHead() and older:
            head = _full_file_head(older.pop())
        atomic_file.sync_directory(directory)
    except OSError as error:
        raise JournalError(
            f"the journal in {directory} cannot be opened ({error.strerror}); see: ls -ld {directory}"
        ) from None
    return newest, file, head


def _head(file: int, path: Path) -> ChainHead:
    """The head of the chain after the last whole line of the newest file. A torn line (a crash during a write) is cut
    off.

    Raises:
        JournalError: the last whole line is not a chained one; nothing is appended to a damaged journal.
    """
    last, torn = _last_line(file, path)
    if torn:
        os.ftruncate(file, os.fstat(file).st_size - torn)
    return _head_after(last, path)


def _full_file_head(path: Path) -> ChainHead:
    """The head of the chain after the last line of a full file. It was synced before the next file was created, so a
    torn line in it is damage."""
    file = os.open(path, OPEN_FLAGS | os.O_RDONLY)
    try:
        last, torn = _last_line(file, path)
    finally:
        os.close(file)
    if torn:
        raise _damaged(path, "its last line has no end")
    return _head_after(last, path)


def _last_line(file: int, path: Path) -> tuple[bytes | None, int]:
    """The last whole line without its newline, None if there is none, and the number of bytes after it."""
    size = os.fstat(file).st_size
    whole, newline, torn = os.pread(file, TAIL_BYTES, max(0, size - TAIL_BYTES)).rpartition(b"\n")
    if len(torn) == TAIL_BYTES:
        raise _damaged(path, "no line ends in it")
    return whole.rpartition(b"\n")[2] if newline else None, len(torn)


def _head_after(last: bytes | None, path: Path) -> ChainHead:
    if last is None:
        return ChainHead()
    try:
        return chain.head_after(last)
    except JournalError as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> JournalError:
    return JournalError(f"{path} is damaged ({why}); to start a new journal: mv {path.parent} {path.parent}.bad")
