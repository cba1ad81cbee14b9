"""A progress line for a waiting user: on a terminal only, from the first full second on, and erased at the end."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

CLEARED = "\r\x1b[K"


class CountingIterator(Iterator[Item]):
    """An iterator that counts the items it has yielded."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self.count = 0

    def __next__(self) -> Item:
        item = next(self._items)
        self.count += 1
        return item


@contextmanager
def show_progress(activity: str, progress: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Print every second the activity, its progress and the elapsed time."""
    if not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()
    printer = threading.Thread(target=_print_progress, args=(activity, progress, ended), daemon=True)
    printer.start()
    try:
        yield
    finally:
        ended.set()
        printer.join()


def _print_progress(activity: str, progress: Callable[[], str], ended: threading.Event) -> None:
    seconds = 0
    while not ended.wait(1):
        seconds += 1
        sys.stderr.write(f"{CLEARED}{activity}: {', '.join(filter(None, (progress(), f'{seconds} s')))}")
        sys.stderr.flush()
    if seconds:
        sys.stderr.write(CLEARED)
        sys.stderr.flush()
