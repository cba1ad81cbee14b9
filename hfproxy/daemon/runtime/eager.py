"""Coroutines that run without a Task until they wait for something other than a `DirectFuture`.

A Task for each request, its start in the next iteration of the event loop, and one iteration more after each wait cost
time (measured: docs/adr/0007-eager-coroutine.md). Most requests wait once, for the Hub's response, and the callback
that parses the response can resume them at once.

Invariants, referred to by number below:

1. A coroutine is driven by one hand at a time: by `resume` and `cancel` until it waits for something other than a
   DirectFuture, by a Task from then on. There is no way back.
2. While no Task drives it, `asyncio.current_task()` is None. `asyncio.timeout` needs a task: a coroutine that uses it
   is awaited as a Task of its own.
3. A DirectFuture has one waiter. A waiter without a Task runs *inside* `set_result` and `set_exception`: they are the
   last thing a caller does, or it expects its own state to have changed when they return.
4. No object of a request is part of a reference cycle once it is done. A cycle is freed by the garbage collector only,
   which stops the event loop.
5. A coroutine ends by being run to its end: its `finally` blocks run, whether it returns, raises or is cancelled.
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
    """A result that one coroutine waits for. Unlike an asyncio.Future it resumes a waiter without a Task directly."""

    __slots__ = ("_continuation", "_error", "_result", "done")

    def __init__(self) -> None:
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._continuation: Callable[[], None] | None = None
        self.done = False

    def set_result(self, result: Result) -> None:
        """Set the result. A waiter without a Task is resumed before this method returns (invariant 3)."""
        self._result = result
        self._settle()

    def set_exception(self, error: BaseException) -> None:
        """Set the exception that the waiter gets. One without a Task is resumed before this method returns."""
        self._error = error
        self._settle()

    def set_continuation(self, continuation: Callable[[], None] | None) -> None:
        """Set the function to call, once, when the result is set; None: the waiter is gone."""
        self._continuation = continuation

    def __await__(self) -> Generator[Any, None, Result]:
        if not self.done and asyncio.current_task() is None:
            # To EagerCoroutine, which sets itself as the continuation.
            yield self
        elif not self.done:
            # In a Task, which can wait for futures of asyncio only.
            settled = asyncio.get_running_loop().create_future()
            self._continuation = lambda: None if settled.done() else settled.set_result(None)
            yield from settled
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # it is set, unless there was an error

    def _settle(self) -> None:
        self.done = True
        # Invariant 4: the continuation refers to the coroutine, and the coroutine's frame to this future.
        continuation, self._continuation = self._continuation, None
        if continuation is not None:
            continuation()


class EagerCoroutine:
    """A coroutine that is run step by step. Nothing of it runs before the first `resume`."""

    __slots__ = ("_awaited", "_coroutine", "_finished", "_task", "done")

    def __init__(self, work: Coroutine[Any, None, None]) -> None:
        self._coroutine = work
        self._awaited: DirectFuture[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._finished: asyncio.Future[None] | None = None
        self.done = False

    def resume(self) -> None:
        """Run the coroutine until it waits for something, or ends. Raises its exceptions."""
        self._advance(self._coroutine.send, None)

    def cancel(self) -> None:
        """Raise CancelledError in the coroutine where it waits; nothing if it has ended."""
        if self._task is not None:
            # Invariant 5: a task that is cancelled before its first iteration never throws into the coroutine.
            asyncio.get_running_loop().call_soon(self._task.cancel)
        elif not self.done:
            if self._awaited is not None:
                # Invariant 1: the result may still come, when the coroutine has ended or waits for something else.
                self._awaited.set_continuation(None)
            self._advance(self._coroutine.throw, asyncio.CancelledError())

    async def join(self, seconds: float) -> None:
        """Wait until the coroutine has ended, at most so many seconds."""
        if not self.done:
            self._finished = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._finished], timeout=seconds)

    def _advance(self, step: Callable[[Any], Any], argument: BaseException | None) -> None:
        try:
            awaited = step(argument)
        except (StopIteration, asyncio.CancelledError):
            self._end()
        except BaseException:
            self._end()
            raise
        else:
            self._wait_for(awaited)

    def _wait_for(self, awaited: Any) -> None:
        if type(awaited) is DirectFuture:
            self._awaited = awaited
            awaited.set_continuation(self.resume)
        else:  # Invariant 1: from here on the task drives it
            self._task = asyncio.get_running_loop().create_task(_finish_as_task(self._coroutine, awaited))
            self._task.add_done_callback(self._end)

    def _end(self, _: object = None) -> None:
        self.done = True
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)


async def _finish_as_task(work: Coroutine[Any, None, None], awaited: Any) -> None:
    """A coroutine, as `create_task` needs one, around the generator."""
    await _trampoline(work, awaited)


@types.coroutine
def _trampoline(work: Coroutine[Any, None, None], awaited: Any) -> Generator[Any, None, None]:
    """Run the rest of a coroutine that waits for `awaited`: a relay between it and the Task, in both directions."""
    while True:
        try:
            yield awaited
        except BaseException as thrown:  # noqa: BLE001  (whatever it is, it is for the coroutine)
            step = partial(work.throw, thrown)
        else:
            step = partial(work.send, None)
        try:
            awaited = step()
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
