"""A coroutine that is run by hand for as long as it waits for nothing but the Hub.

A task for each request, its first turn of the event loop and another one after each wait cost as much as to decide the
request (`make bench`). Nearly all requests wait once, for the answer of the Hub, and whoever receives that can go on
with them at once. The first other thing that is waited for makes a task of it, which changes nothing else.

Until then there is no current task, which `asyncio.timeout` needs: what uses it is awaited as a task of its own.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial, wraps
from typing import Any, Generic, ParamSpec, TypeVar

Result = TypeVar("Result")
T = TypeVar("T")
P = ParamSpec("P")


class DirectFuture(Generic[Result]):
    """A result that one waits for, whether in a task or driven; like a future, but for the turn of the loop."""

    __slots__ = ("_continuation", "_error", "_result", "done")

    def __init__(self) -> None:
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._continuation: Callable[[], None] | None = None
        self.done = False

    def set_result(self, result: Result) -> None:
        """Here it is. Whoever waits for it in no task has gone on when this returns."""
        self._result = result
        self._settle()

    def set_exception(self, error: BaseException) -> None:
        """There will be none."""
        self._error = error
        self._settle()

    def set_continuation(self, go_on: Callable[[], None] | None) -> None:
        """What is to be done when it is there; None: nobody waits any more."""
        self._continuation = go_on

    def __await__(self) -> Generator[Any, None, Result]:
        if not self.done and asyncio.current_task() is None:
            yield self
        elif not self.done:
            there = asyncio.get_running_loop().create_future()
            self._continuation = lambda: None if there.done() else there.set_result(None)
            yield from there
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # it is there, unless there was an error

    def _settle(self) -> None:
        self.done = True
        then, self._continuation = (
            self._continuation,
            None,
        )  # or each would keep the other until garbage is searched for
        if then is not None:
            then()


class EagerCoroutine:
    """A coroutine under way. Nothing runs before the first `go_on`."""

    __slots__ = ("_awaited", "_coroutine", "_finished", "_task", "done")

    def __init__(self, work: Coroutine[Any, None, None]) -> None:
        self._coroutine = work
        self._awaited: DirectFuture[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._finished: asyncio.Future[None] | None = None
        self.done = False

    def resume(self) -> None:
        """Run it until it waits for something, or ends. What it raises, this raises."""
        self._advance(self._coroutine.send, None)

    def cancel(self) -> None:
        """Raise CancelledError where it waits."""
        if self._task is not None:
            # Not before its first turn: a task that ends without one has told the work nothing.
            asyncio.get_running_loop().call_soon(self._task.cancel)
        elif not self.done:
            if self._awaited is not None:
                self._awaited.set_continuation(None)
            self._advance(self._coroutine.throw, asyncio.CancelledError())

    async def join(self, seconds: float) -> None:
        """Wait for its end, for so long at most."""
        if not self.done:
            self._finished = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._finished], timeout=seconds)

    def _advance(self, go: Callable[[Any], Any], given: BaseException | None) -> None:
        try:
            wanted = go(given)
        except (StopIteration, asyncio.CancelledError):
            self._end()
        except BaseException:
            self._end()
            raise
        else:
            self._wait_for(wanted)

    def _wait_for(self, wanted: Any) -> None:
        if type(wanted) is DirectFuture:
            self._awaited = wanted
            wanted.set_continuation(self.resume)
        else:
            self._task = asyncio.get_running_loop().create_task(_finish_as_task(self._coroutine, wanted))
            self._task.add_done_callback(self._end)

    def _end(self, _: object = None) -> None:
        self.done = True
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)


async def _finish_as_task(work: Coroutine[Any, None, None], wanted: Any) -> None:
    await _trampoline(work, wanted)


@types.coroutine
def _trampoline(work: Coroutine[Any, None, None], wanted: Any) -> Generator[Any, None, None]:
    """What is left of a coroutine that waits for something."""
    while True:
        try:
            yield wanted
        except BaseException as thrown:  # noqa: BLE001  (whatever it is, it is for the work)
            step = partial(work.throw, thrown)
        else:
            step = partial(work.send, None)
        try:
            wanted = step()
        except StopIteration:
            return


def needs_task(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run each call of a coroutine function in a task of its own.

    For functions that use `asyncio.timeout` or a timeout of aiohttp: these raise RuntimeError where there is no current
    task, and a coroutine that an `EagerCoroutine` runs has none until it first awaits something other than a
    `DirectFuture`.
    """

    @wraps(function)
    async def in_task(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().create_task(function(*args, **kwargs))

    return in_task
