"""Journals as tests read them: by the program's own verifier, which has nothing in common with the writer."""

from collections.abc import Iterable
from pathlib import Path

from hfproxy.cli.journal import chain
from hfproxy.cli.journal.chain import Chain


def follow(*files: Iterable[bytes]) -> Chain:
    """Follow the lines (without newlines) of one or more files; raises JournalError at the first that is wrong."""
    followed = Chain()
    for number, lines in enumerate(files):
        for place, line in enumerate(lines):
            entry = chain.read(line)
            if place == 0:
                followed.begin(entry, f"file {number}")
            followed.follow(entry)
    return followed


def lines(path: Path) -> list[bytes]:
    """The lines of a file; the last one has to have its newline."""
    content = path.read_bytes()
    assert content.endswith(b"\n") or not content
    return content.split(b"\n")[:-1]


def follow_directory(directory: Path) -> Chain:
    """Follow what is in a journal's directory."""
    return follow(*(lines(path) for path in sorted(directory.iterdir())))
