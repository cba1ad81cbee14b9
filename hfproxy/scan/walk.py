"""Walks directory trees and searches files for tokens: read-only, and regular files only.

Whole trees are read at some hundred MB/s, so each file costs only open, fstat, read, close and two searches. The name
of a file is classified only once a token was found in it.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hfproxy.detect import find, kinds, patterns
from hfproxy.detect.kinds import LocationKind
from hfproxy.detect.patterns import Match, TokenKind
from hfproxy.scan import locations
from hfproxy.scan.globs import Globs
from hfproxy.secret import Secret

# Larger binaries are skipped: weights, archives and images hold no typed tokens.
BINARY_BYTES: Final = 16 * 1024 * 1024
# Larger texts are read in pieces of this size.
PIECE_BYTES: Final = 16 * 1024 * 1024
OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Finding:
    """A plaintext token and its place."""

    path: str
    kind: LocationKind
    token: Secret
    token_kind: TokenKind
    line: int | None = None
    beside: Secret | None = None
    """For a refresh token: the access token that it renews."""
    variable: str | None = None
    program: str | None = None


@dataclass(slots=True)
class ScanCounts:
    """How much was searched, and how much was left out."""

    files: int = 0
    bytes: int = 0
    processes: int = 0
    skipped: int = 0  # directories that tools fill, and large binaries
    excluded: int = 0  # by --exclude
    denied: int = 0  # files, directories and processes that this user may not read
    elsewhere: list[str] = field(default_factory=list)  # mount points of other file systems


class Walk:
    """One scan over files.

    Attributes:
        seen: the counts so far.
        findings: the findings of each file, by its path.
    """

    def __init__(
        self,
        exclude: Globs,
        kinds: Mapping[str, LocationKind | None] | None = None,
        *,
        one_system: bool = False,
        tick: Callable[["Walk"], None] = lambda _: None,
    ) -> None:
        """Prepare a scan.

        Args:
            exclude: the paths to leave out.
            kinds: the kinds of files, by path, if their names do not tell it.
            one_system: stay on the file system of each tree.
            tick: called for each directory, to report progress.
        """
        self.seen = ScanCounts()
        self.findings: dict[str, list[Finding]] = {}
        self._exclude, self._kinds = exclude, kinds or {}
        self._one_system, self._tick = one_system, tick

    def scan(self, path: str) -> None:
        """Search a file, or all files below a directory; if `path` is a symbolic link, it is followed.

        Raises:
            OSError: the path does not exist or cannot be accessed.
        """
        real = os.path.realpath(path)
        if stat.S_ISDIR(os.stat(real).st_mode):
            self._tree(real)
        else:
            self._file(real)

    def _tree(self, root: str) -> None:
        device = os.stat(root).st_dev
        pending = [root]
        while pending:
            directory = pending.pop()
            self._tick(self)
            try:
                if self._one_system and directory != root and os.lstat(directory).st_dev != device:
                    self.seen.elsewhere.append(directory)
                    continue
                with os.scandir(directory) as entries:
                    children = list(entries)
            except OSError as error:
                self._skip(error)
                continue
            self._entries(children, root, pending)

    def _entries(self, entries: list[os.DirEntry[str]], root: str, pending: list[str]) -> None:
        below_git = any(entry.name == "HEAD" for entry in entries)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if _is_tool_directory(entry.name) or (below_git and entry.name in locations.GIT_STORES):
                    self.seen.skipped += 1
                elif self._is_excluded(entry.path, root, directory=True):
                    self.seen.excluded += 1
                else:
                    pending.append(entry.path)
            elif self._is_excluded(entry.path, root, directory=False):
                self.seen.excluded += 1
            elif entry.is_file(follow_symlinks=False):
                self._file(entry.path)
            elif entry.is_symlink():
                self._link(entry.path)

    def _is_excluded(self, path: str, root: str, *, directory: bool) -> bool:
        return bool(self._exclude) and self._exclude.matches(os.path.relpath(path, root), directory=directory)

    def _link(self, path: str) -> None:
        """Follow a symbolic link to a file, wherever it leads, but not one to a directory."""
        real = os.path.realpath(path)
        try:
            if stat.S_ISREG(os.lstat(real).st_mode) and not any(map(_is_tool_directory, real.split("/"))):
                self._file(real)
        except OSError:
            pass  # a dangling link

    def _file(self, path: str) -> None:
        if path in self.findings:
            return
        try:
            fd = os.open(path, OPEN_FLAGS)
        except OSError as error:
            self._skip(error)
            return
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode):
                self._content(fd, path, status.st_size)
        except OSError as error:
            self._skip(error)
        finally:
            os.close(fd)

    def _content(self, fd: int, path: str, size: int) -> None:
        data = os.read(fd, min(size, PIECE_BYTES) + 1) if size <= PIECE_BYTES else os.read(fd, find.HEAD_BYTES)
        binary = find.is_binary(data)
        if binary and size > BINARY_BYTES:
            self.seen.skipped += 1
            return
        self.seen.files += 1
        self.seen.bytes += size
        if size <= PIECE_BYTES:
            kind = self._kinds.get(path)
            matches = find.find_in_binary(data) if binary else find.find_tokens(data, path, kind)
            if matches:
                self._record(path, LocationKind.BINARY if binary else kind, data, matches, 1)
            return
        for piece, line, matches in _pieces(fd, data):
            self._record(path, None, piece, matches, line)

    def _record(self, path: str, kind: LocationKind | None, data: bytes, matches: list[Match], line: int) -> None:
        """Add the matches to the file's findings; `line` is the number of the data's first line."""
        kind = kind or kinds.kind_of(path)
        findings, position = self.findings.setdefault(path, []), 0
        for hit in matches:
            login = find.paired_access_token(matches, data, hit) if hit.token_kind is TokenKind.REFRESH else None
            line, position = line + data.count(b"\n", position, hit.start), hit.start
            findings.append(
                Finding(path, kind, hit.token, hit.token_kind, line, None if login is None else login.token)
            )

    def _skip(self, error: OSError) -> None:
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ENXIO}:  # removed in the meantime, or a socket
            self.seen.denied += 1


def _is_tool_directory(name: str) -> bool:
    return name in locations.SKIPPED_DIRECTORIES or name.startswith(locations.HUB_CACHES)


def _pieces(fd: int, data: bytes) -> Iterator[tuple[bytes, int, list[Match]]]:
    """Yield (piece, number of its first line, matches) for a large text.

    The pieces overlap by the maximal length of a token, so that each token is found in a piece that holds all of it.
    """
    line, first = 1, True
    while True:
        chunk = os.read(fd, PIECE_BYTES)
        data += chunk
        end = len(data) - patterns.MAX_TOKEN_BYTES if chunk else len(data)
        begin = 0 if first else patterns.BEFORE_BYTES
        matches = sorted(
            (hit for hit in patterns.find_plain(data) if begin <= hit.start < end), key=lambda hit: hit.start
        )
        if matches:
            yield data, line, matches
        if not chunk:
            return
        start = max(0, end - patterns.BEFORE_BYTES)
        line += data.count(b"\n", 0, start)
        data, first = data[start:], first and start == 0
