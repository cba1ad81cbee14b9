"""Walks trees and looks into files: read-only, and into nothing but regular files.

Whole trees are read at some hundred MB/s, so what happens for every file is little: open, fstat, read, close, and two
searches. What a file is called matters only once something was found in it.
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

# Weights, archives, images: in a binary of more than this nobody typed a token.
BINARY_BYTES: Final = 16 * 1024 * 1024
# Larger text is read in pieces of this.
PIECE_BYTES: Final = 16 * 1024 * 1024
FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Finding:
    """A token in the clear, and where."""

    path: str
    kind: LocationKind
    token: Secret
    shape: TokenKind
    line: int | None = None
    beside: Secret | None = None
    """Of a refresh token: the token that it renews."""
    variable: str | None = None
    program: str | None = None


@dataclass(slots=True)
class ScanCounts:
    """What was looked into, and what was not."""

    files: int = 0
    bytes: int = 0
    processes: int = 0
    skipped: int = 0  # directories that tools fill, and large binaries
    excluded: int = 0  # by --exclude
    denied: int = 0  # files, directories and processes that we may not read
    elsewhere: list[str] = field(default_factory=list)  # directories of another file system


class Walk:
    """One scan over files. `findings` has each file's by its path."""

    def __init__(
        self,
        exclude: Globs,
        kinds: Mapping[str, LocationKind | None] | None = None,
        *,
        one_system: bool = False,
        tick: Callable[["Walk"], None] = lambda _: None,
    ) -> None:
        """`kinds`: of files whose names do not say it; `one_system`: stay on the file system of each tree;
        `tick` is called for each directory."""
        self.seen = ScanCounts()
        self.findings: dict[str, list[Finding]] = {}
        self._exclude, self._kinds = exclude, kinds or {}
        self._one_system, self._tick = one_system, tick

    def scan(self, path: str) -> None:
        """Look into a file, or into everything below a directory; a symbolic link is followed.

        Raises:
            OSError: there is no such thing.
        """
        real = os.path.realpath(path)
        if stat.S_ISDIR(os.stat(real).st_mode):
            self._tree(real)
        else:
            self._file(real)

    def _tree(self, root: str) -> None:
        device = os.stat(root).st_dev
        coming = [root]
        while coming:
            directory = coming.pop()
            self._tick(self)
            try:
                if self._one_system and directory != root and os.lstat(directory).st_dev != device:
                    self.seen.elsewhere.append(directory)
                    continue
                with os.scandir(directory) as entries:
                    listed = list(entries)
            except OSError as error:
                self._skip(error)
                continue
            self._listed(listed, root, coming)

    def _listed(self, entries: list[os.DirEntry[str]], root: str, coming: list[str]) -> None:
        below_git = any(entry.name == "HEAD" for entry in entries)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if _is_filled(entry.name) or (below_git and entry.name in locations.GIT_STORES):
                    self.seen.skipped += 1
                elif self._is_excluded(entry.path, root, directory=True):
                    self.seen.excluded += 1
                else:
                    coming.append(entry.path)
            elif self._is_excluded(entry.path, root, directory=False):
                self.seen.excluded += 1
            elif entry.is_file(follow_symlinks=False):
                self._file(entry.path)
            elif entry.is_symlink():
                self._linked(entry.path)

    def _is_excluded(self, path: str, root: str, *, directory: bool) -> bool:
        return bool(self._exclude) and self._exclude.matches(os.path.relpath(path, root), directory=directory)

    def _linked(self, path: str) -> None:
        """A link to a file is followed, wherever it leads; one to a directory is not."""
        real = os.path.realpath(path)
        try:
            if stat.S_ISREG(os.lstat(real).st_mode) and not any(map(_is_filled, real.split("/"))):
                self._file(real)
        except OSError:
            pass  # it leads nowhere

    def _file(self, path: str) -> None:
        if path in self.findings:
            return
        try:
            fd = os.open(path, FLAGS)
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
            found = find.binary_hits(data) if binary else find.find_tokens(data, path, kind)
            if found:
                self._keep(path, LocationKind.BINARY if binary else kind, data, found, 1)
            return
        for piece, line, found in _pieces(fd, data):
            self._keep(path, None, piece, found, line)

    def _keep(self, path: str, kind: LocationKind | None, data: bytes, found: list[Match], line: int) -> None:
        kind = kind or kinds.kind_of(path)
        here, counted = self.findings.setdefault(path, []), 0
        for hit in found:
            login = find.paired_access_token(found, data, hit) if hit.shape is TokenKind.REFRESH else None
            line, counted = line + data.count(b"\n", counted, hit.start), hit.start
            here.append(Finding(path, kind, hit.token, hit.shape, line, None if login is None else login.token))

    def _skip(self, error: OSError) -> None:
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ENXIO}:  # gone meanwhile, or a socket in its place
            self.seen.denied += 1


def _is_filled(name: str) -> bool:
    return name in locations.SKIPPED or name.startswith(locations.HUB_CACHES)


def _pieces(fd: int, data: bytes) -> Iterator[tuple[bytes, int, list[Match]]]:
    """A large text piece by piece, with the number of each one's first line and what begins in it.

    The pieces overlap, by what a token may be long: it is found in the one where all of it is.
    """
    line, first = 1, True
    while True:
        more = os.read(fd, PIECE_BYTES)
        data += more
        end = len(data) - patterns.LONGEST if more else len(data)
        begin = 0 if first else patterns.BEFORE_BYTES
        found = sorted(
            (hit for hit in patterns.find_plain(data) if begin <= hit.start < end), key=lambda hit: hit.start
        )
        if found:
            yield data, line, found
        if not more:
            return
        kept = max(0, end - patterns.BEFORE_BYTES)
        line += data.count(b"\n", 0, kept)
        data, first = data[kept:], first and kept == 0
