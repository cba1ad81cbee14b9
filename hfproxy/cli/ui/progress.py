"""A word to a person who waits: on a terminal only, and only from the second second on. It leaves nothing behind."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

CLEARED = "\r\x1b[K"


class CountingIterator(Iterator[Item]):
    """Items as they come, and how many have come."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self.count = 0

    def __next__(self) -> Item:
        item = next(self._items)
        self.count += 1
        return item


@contextmanager
def waiting(doing: str, so_far: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Say every second what is being done, and how far it is."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    teller = threading.Thread(target=_tell, args=(doing, so_far, ended), daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _tell(doing: str, so_far: Callable[[], str], ended: threading.Event) -> None:
    seconds = 0
    while not ended.wait(1):
        seconds += 1
        sys.stderr.write(f"{CLEARED}{doing}: {', '.join(filter(None, (so_far(), f'{seconds} s')))}")
        sys.stderr.flush()
    if seconds:
        sys.stderr.write(CLEARED)
        sys.stderr.flush()
